// L = |C(sigmoid(Ax) + Bx)|^2 and its gradient, in C++17 and its standard library: a backend, see docs/protocol.md.
//
//     c++ -O2 -std=c++17 -o sigmoid_skip sigmoid_skip.cpp
//     gradcheck run -b manual -b exec:./sigmoid_skip

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <valarray>
#include <vector>

template <typename Real> using Array = std::valarray<Real>; // k entries, or k rows of k
using Message = std::map<std::string, std::string>;         // "inputs.A.dtype" -> "float64"; of lists the inside

// The computation.

template <typename Real> Real sigmoid(Real y) {
    const Real decay = std::exp(-std::abs(y)); // the exponent is never positive
    return (y < 0 ? decay : 1) / (1 + decay);
}

template <typename Real> Array<Real> product(const Array<Real> &matrix, const Array<Real> &vector, bool transposed) {
    const std::size_t k = vector.size();
    Array<Real> result(k);
    for (std::size_t i = 0; i < k; i++) {
        const Array<Real> row = matrix[transposed ? std::slice(i, k, k) : std::slice(i * k, k, 1)];
        result[i] = (row * vector).sum();
    }
    return result;
}

template <typename Real> Array<Real> outer(const Array<Real> &left, const Array<Real> &right) {
    const std::size_t k = left.size();
    Array<Real> result(k * k);
    for (std::size_t i = 0; i < k; i++) result[std::slice(i * k, k, 1)] = Array<Real>(left[i] * right);
    return result;
}

// JSON.

void parse(std::istream &in, const std::string &key, Message &message) {
    std::string text;
    char mark = static_cast<char>((in >> std::ws).peek());
    if (mark == '{') {
        for (in >> mark; mark != '}' && in >> std::quoted(text) >> mark; in >> mark) // name, colon, value, comma or }
            parse(in, key.empty() ? text : key + "." + text, message);
    } else if (mark == '[') {
        std::getline(in.ignore(), message[key], ']');
    } else if (mark == '"') {
        in >> std::quoted(message[key]);
    } else {
        while (in.get(mark) && mark != ',' && mark != '}') message[key] += mark;
        in.unget();
    }
}

std::string object(const std::vector<std::pair<std::string, std::string>> &members) {
    std::string text;
    for (const auto &[name, value] : members) text += (text.empty() ? "{\"" : ",\"") + name + "\":" + value;
    return text + "}";
}

template <typename Real> std::string array(const std::string &shape, const Array<Real> &entries) {
    std::ostringstream data;
    const char *separator = "";
    for (const Real entry : entries) {
        data << std::exchange(separator, ",") << std::setprecision(17);
        if (std::isfinite(entry)) data << entry;
        else data << (std::isnan(entry) ? "\"NaN\"" : entry > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    }
    const std::string dtype = sizeof(Real) == 4 ? "\"float32\"" : "\"float64\"";
    return object({{"dtype", dtype}, {"shape", "[" + shape + "]"}, {"data", "[" + data.str() + "]"}});
}

// The protocol.

template <typename Real> Array<Real> input(const Message &request, const std::string &name, std::size_t entries) {
    Array<Real> array(entries);
    if (const auto npy = request.find("inputs." + name + ".npy"); npy != request.end()) {
        std::ifstream file(npy->second, std::ios::binary);
        unsigned char head[10] = {}; // "\x93NUMPY", version 1 0, and the length of the rest of the header
        file.read(reinterpret_cast<char *>(head), sizeof head).seekg(head[8] + 256 * head[9], std::ios::cur);
        file.read(reinterpret_cast<char *>(&array[0]), static_cast<std::streamsize>(entries * sizeof(Real)));
        if (!file) throw std::runtime_error("cannot read " + npy->second);
    } else {
        std::istringstream data(request.at("inputs." + name + ".data"));
        std::string number;
        for (std::size_t i = 0; i < entries && std::getline(data, number, ','); i++)
            array[i] = static_cast<Real>(std::strtod(number.c_str(), nullptr));
    }
    return array;
}

template <typename Real> std::string evaluate(const Message &request) {
    const std::string n = request.at("inputs.x.shape"), nn = n + "," + n;
    const std::size_t k = std::stoul(n);
    const Array<Real> A = input<Real>(request, "A", k * k), B = input<Real>(request, "B", k * k);
    const Array<Real> C = input<Real>(request, "C", k * k), x = input<Real>(request, "x", k);

    const Array<Real> y = product(A, x, false), v = product(B, x, false);
    const Array<Real> u = y.apply(sigmoid<Real>), z = u + v, w = product(C, z, false);
    const Array<Real> loss((w * w).sum(), 1);

    const Array<Real> dw = w + w, dz = product(C, dw, true), dy = dz * u * (Real(1) - u);
    const Array<Real> dA = outer(dy, x), dB = outer(dz, x), dC = outer(dw, z);

    const auto watched = [&n](auto &y, auto &u, auto &v, auto &z, auto &w) {
        return object({{"y", array(n, y)}, {"u", array(n, u)}, {"v", array(n, v)},
                       {"z", array(n, z)}, {"w", array(n, w)}});
    };
    return object({{"loss", array("", loss)},
                   {"gradients", object({{"A", array(nn, dA)}, {"B", array(nn, dB)}, {"C", array(nn, dC)}})},
                   {"values", watched(y, u, v, z, w)},
                   {"adjoints", watched(dy, dz, dz, dz, dw)}});
}

std::pair<std::string, std::string> reply(const Message &request) {
    const auto refused = [](const std::string &reason) {
        return std::pair("error", object({{"kind", "\"unsupported\""}, {"message", '"' + reason + '"'}}));
    };
    if (request.at("method") == "start") return {"result", object({{"version", "\"1.0\""}})};
    if (request.at("problem").find("/sigmoid_skip.py") == std::string::npos)
        return refused("this program knows sigmoid_skip alone");
    if (request.at("dtype") == "float64") return {"result", evaluate<double>(request)};
    if (request.at("dtype") == "float32") return {"result", evaluate<float>(request)};
    return refused("C++ has float64 and float32 only");
}

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        Message request;
        std::istringstream in(line);
        parse(in, "", request);
        if (request["method"] == "stop") break;
        std::cout << object({{"id", request["id"]}, reply(request)}) << std::endl;
    }
}
