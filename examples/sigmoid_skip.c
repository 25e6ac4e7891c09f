// L = |C(sigmoid(Ax) + Bx)|^2 and its gradient, in C11 and its standard library: a backend, see docs/protocol.md.
//
//     cc -O2 -o sigmoid_skip sigmoid_skip.c -lm
//     gradcheck run -b manual -b exec:./sigmoid_skip

#ifdef REAL // the computation: C has no templates, so the file includes itself, once for each dtype

static REAL OF(sigmoid)(REAL y) {
    REAL decay = exp(-fabs(y)); // <tgmath.h> takes expf where REAL is float; the exponent is never positive
    return (y < 0 ? decay : 1) / (1 + decay);
}

// matrix * vector; with `down` and `across` interchanged, the transposed matrix * vector.
static void OF(product)(const REAL *matrix, size_t down, size_t across, const REAL *vector, REAL *result, size_t k) {
    for (size_t i = 0; i < k; i++) {
        result[i] = 0;
        for (size_t j = 0; j < k; j++) result[i] += matrix[i * down + j * across] * vector[j];
    }
}

static void OF(read)(const char *input, REAL *array, size_t entries) {
    const char *at = value(input, "data");
    if (!*at) read_npy(value(input, "npy"), array, sizeof *array, entries);
    for (size_t i = 0; i < entries && *at; i++) {
        char *end;
        array[i] = (REAL)strtod(at + 1, &end);
        at = end;
    }
}

// A vector, or the outer product of two.
static void OF(print)(const char *name, const REAL *left, const REAL *right, size_t k) {
    printf("\"%s\":{\"dtype\":\"" DTYPE "\",\"shape\":[%zu", name, k);
    if (right) printf(",%zu", k);
    printf("],\"data\":");
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < (right ? k : 1); j++) {
            putchar(i + j ? ',' : '[');
            print_number(right ? left[i] * right[j] : left[i]);
        }
    }
    printf("]}");
}

static void OF(evaluate)(const char *inputs, size_t k) {
    REAL *A = calloc(3 * k * k + 9 * k, sizeof *A), loss = 0;
    if (!A) die("out of memory");
    REAL *B = A + k * k, *C = B + k * k, *x = C + k * k, *y = x + k, *u = y + k, *v = u + k, *z = v + k, *w = z + k;
    REAL *dw = w + k, *dz = dw + k, *dy = dz + k;
    OF(read)(value(inputs, "A"), A, k * k);
    OF(read)(value(inputs, "B"), B, k * k);
    OF(read)(value(inputs, "C"), C, k * k);
    OF(read)(value(inputs, "x"), x, k);

    OF(product)(A, k, 1, x, y, k);
    OF(product)(B, k, 1, x, v, k);
    for (size_t i = 0; i < k; i++) u[i] = OF(sigmoid)(y[i]);
    for (size_t i = 0; i < k; i++) z[i] = u[i] + v[i];
    OF(product)(C, k, 1, z, w, k);
    for (size_t i = 0; i < k; i++) loss += w[i] * w[i];

    for (size_t i = 0; i < k; i++) dw[i] = 2 * w[i];
    OF(product)(C, 1, k, dw, dz, k);
    for (size_t i = 0; i < k; i++) dy[i] = dz[i] * u[i] * (1 - u[i]);

    printf("\"result\":{\"loss\":{\"dtype\":\"" DTYPE "\",\"shape\":[],\"data\":[");
    print_number(loss);
    printf("]},\"gradients\":{");
    OF(print)("A", dy, x, k), putchar(',');
    OF(print)("B", dz, x, k), putchar(',');
    OF(print)("C", dw, z, k);
    const char *const names[] = {"y", "u", "v", "z", "w"};
    const REAL *const values[] = {y, u, v, z, w}, *const adjoints[] = {dy, dz, dz, dz, dw};
    for (int i = 0; i < 5; i++) printf(i ? "," : "},\"values\":{"), OF(print)(names[i], values[i], NULL, k);
    for (int i = 0; i < 5; i++) printf(i ? "," : "},\"adjoints\":{"), OF(print)(names[i], adjoints[i], NULL, k);
    printf("}}");
    free(A);
}

#undef REAL
#undef DTYPE
#undef OF

#else // the protocol

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tgmath.h>

static void die(const char *reason) { // standard error is shown when a program fails
    fprintf(stderr, "%s\n", reason);
    exit(1);
}

// Where the value of a key of the JSON object at `at` begins; an empty string where there is none.
static const char *value(const char *at, const char *key) {
    for (int depth = 0; *at; at++) {
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        if (depth == 0) break;
        if (*at != '"') continue;
        const char *text = ++at;
        while (*at && *at != '"') at += at[0] == '\\' && at[1] ? 2 : 1;
        if (!*at) break;
        size_t length = (size_t)(at - text);
        if (depth == 1 && at[1] == ':' && length == strlen(key) && !memcmp(text, key, length)) return at + 2;
    }
    return "";
}

static int begins(const char *text, const char *with) { return !strncmp(text, with, strlen(with)); }

static void read_npy(const char *quoted, void *array, size_t size, size_t entries) {
    char path[4096] = "";
    unsigned char head[10]; // "\x93NUMPY", version 1 0, and the length of the rest of the header
    sscanf(quoted, "\"%4095[^\"]", path);
    FILE *file = fopen(path, "rb");
    if (!file || fread(head, sizeof head, 1, file) != 1) die(path);
    if (fseek(file, head[8] + 256 * head[9], SEEK_CUR) || fread(array, size, entries, file) != entries) die(path);
    fclose(file);
}

static void print_number(double number) {
    if (isfinite(number)) printf("%.17g", number);
    else printf(isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
}

#define REAL double
#define DTYPE "float64"
#define OF(function) function##_float64
#include "sigmoid_skip.c"

#define REAL float
#define DTYPE "float32"
#define OF(function) function##_float32
#include "sigmoid_skip.c"

static void refuse(const char *reason) { printf("\"error\":{\"kind\":\"unsupported\",\"message\":\"%s\"}", reason); }

static void answer(const char *request) {
    const char *inputs = value(request, "inputs"), *dtype = value(request, "dtype");
    const char *shape = value(value(inputs, "x"), "shape");
    if (begins(value(request, "method"), "\"start\"")) printf("\"result\":{\"version\":\"1.0\"}");
    else if (!*shape || !strstr(request, "/sigmoid_skip.py\"")) refuse("this program knows sigmoid_skip alone");
    else if (begins(dtype, "\"float64\"")) evaluate_float64(inputs, strtoul(shape + 1, NULL, 10));
    else if (begins(dtype, "\"float32\"")) evaluate_float32(inputs, strtoul(shape + 1, NULL, 10));
    else refuse("C has float64 and float32 only");
}

int main(void) {
    static char request[1 << 16]; // holds four inputs of 256 numbers; larger ones come in files
    while (fgets(request, sizeof request, stdin) && !begins(value(request, "method"), "\"stop\"")) {
        printf("{\"id\":%ld,", strtol(value(request, "id"), NULL, 10));
        answer(request);
        puts("}");
        fflush(stdout);
    }
    return 0;
}

#endif
