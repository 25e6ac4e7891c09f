"""The samples of each word: expressions of vectors a and b and matrices M and N, and the domain of their inputs.

i is a vector of integers below 3, j one of places along an axis, half of which are the same, and m one of booleans.

No piece is empty: MXNet 1.9.1 leaves a gradient that is a sum of no terms uninitialised (2.1e-314 was seen).
"""

from __future__ import annotations

from typing import NamedTuple

ALL, POSITIVE, NONZERO, ABOVE = DOMAINS = ("all", "positive", "nonzero", "above −1")


class Sample(NamedTuple):
    """An expression, and the treatment of inputs outside of its domain."""

    expression: str
    domain: str = ALL


WORDS: dict[str, tuple[Sample, ...]] = {
    "matmul": (
        *(Sample(f"ops.matmul({operands})") for operands in ("M, a", "a, M", "M, N", "a, b")),
        Sample("ops.matmul(ops.reshape(M, (k, 1, k)), N)"),
        Sample("ops.matmul(M, ops.reshape(N, (k, k, 1)))"),
        Sample("ops.matmul(a, ops.reshape(M, (k, k, 1)))"),
        Sample("ops.matmul(ops.reshape(M, (k, 1, k)), a)"),
        Sample("ops.matmul(ops.reshape(M, (k, 1, k)), ops.reshape(a, (k, 1)))"),
        Sample("ops.matmul(ops.reshape(M, (k, 1, k)), ops.reshape(N, (k, k, 1)))"),
    ),
    "vecdot": (
        Sample("ops.vecdot(M, a)"),
        Sample("ops.vecdot(M[:, None], ops.reshape(N, (k, 1, k)))"),
        Sample("ops.vecdot(M, N[:, :1], axis=-2)"),
    ),
    "tensordot": (
        Sample("ops.tensordot(M, N, axes=([0], [1]))"),
        Sample("ops.tensordot(M[None], ops.reshape(N, (k, k, 1)))"),
        Sample("ops.tensordot(a, M, 1)"),
        Sample("ops.tensordot(a, b, axes=0)"),
    ),
    "einsum": (
        Sample("ops.einsum('ij,kj->ik', M, N)"),
        Sample("ops.einsum('bij,bj->bi', ops.reshape(M, (k, 1, k)), N)"),
        Sample("ops.einsum('i,ij,j->j', a, M, b)"),
        Sample("ops.einsum('ij,jk->k', M, N)"),
        Sample("ops.einsum('i,i->i', a, b)"),
    ),
    "permute_dims": (
        Sample("ops.permute_dims(ops.reshape(M, (1, k, k)), (-1, 0, 1))"),
        Sample("ops.where(ops.permute_dims(M > N, [1, 0]), M, a)"),
    ),
    "matrix_transpose": (Sample("ops.matrix_transpose(ops.reshape(M, (k, 1, k))) * b"), Sample("M.T * a")),
    "moveaxis": (
        Sample("ops.moveaxis(ops.reshape(M, (k, 1, k)), -1, 0)"),
        Sample("ops.moveaxis(ops.reshape(M, (k, 1, k)), (0, 1), (2, 0))"),
    ),
    "expand_dims": (Sample("ops.expand_dims(a, axis=-1) * M"), Sample("ops.where(ops.expand_dims(m), M, a)")),
    "squeeze": (Sample("ops.squeeze(M[:, :1], axis=1) * b"), Sample("ops.squeeze(M[None, :, :1], axis=(0, -1))")),
    "broadcast_to": (
        Sample("ops.broadcast_to(a, (2, k)) * M[:1]"),
        Sample("ops.broadcast_to(ops.reshape(a, (k, 1)), (k, 3))"),
        Sample("ops.where(ops.broadcast_to(m, (k, k)), M, a)"),
    ),
    "outer": (Sample("ops.outer(a, b)"),),
    "sum": (Sample("ops.sum(M)"), Sample("ops.sum(M, axis=0)"), Sample("ops.sum(M, axis=(0, -1), keepdims=True)")),
    "mean": (Sample("ops.mean(M)"), Sample("ops.mean(M, axis=-1)"), Sample("ops.mean(a, keepdims=True)")),
    "max": (Sample("ops.max(M)"), Sample("ops.max(M, axis=0)"), Sample("ops.max(M, axis=(0, 1), keepdims=True)")),
    "exp": (Sample("ops.exp(a)"),),
    "log": (Sample("ops.log(a)", POSITIVE),),
    "log1p": (Sample("ops.log1p(a)", ABOVE), Sample("ops.log1p(ops.tanh(a) * 0.1 - 0.4)")),
    "expm1": (Sample("ops.expm1(a)"),),
    "sqrt": (Sample("ops.sqrt(a)", POSITIVE),),
    "rsqrt": (Sample("ops.rsqrt(a)", POSITIVE),),
    "square": (Sample("ops.square(a)"),),
    "abs": (Sample("ops.abs(a)"),),
    "tanh": (Sample("ops.tanh(a)"),),
    "sigmoid": (Sample("ops.sigmoid(a)"),),
    "softplus": (Sample("ops.softplus(a)"), Sample("ops.softplus(a * 0.5)")),
    "relu": (Sample("ops.relu(a)"),),
    "maximum": (Sample("ops.maximum(a, b)"), Sample("ops.maximum(a, 0.1)"), Sample("ops.maximum(0.0, M + a)")),
    "minimum": (Sample("ops.minimum(a, b)"), Sample("ops.minimum(a, 0.1)"), Sample("ops.minimum(0.0, M + a)")),
    "clip": (
        Sample("ops.clip(a, -0.25, 0.1)"),
        Sample("ops.clip(a, min=0)"),
        Sample("ops.clip(M * a, max=0.5)"),
    ),
    "where": (
        Sample("ops.where(a > b, a * a, b)"),
        Sample("ops.where(a >= 0.0, a, 0.0)"),
        Sample("ops.where(a < 0.25, 0.1, b)"),
        Sample("ops.where(M <= a, 0.1, 0.7) * M"),
        Sample("ops.where(ops.sum(a) > 0, M, a)"),
        Sample("ops.where(m, a, 0.0) * b"),
        Sample("ops.where(ops.reshape(m, (k, 1)), M, N)"),
        Sample("ops.where((M > N).T, M, a)"),
        Sample("ops.where((M > a)[-1], a, ops.where(m[0], b, 2.0))"),
    ),
    "min": (Sample("ops.min(M, axis=0)"), Sample("ops.min(M, axis=(0, 1), keepdims=True)")),
    "var": (
        Sample("ops.var(M, axis=0)"),
        Sample("ops.var(M + 3.0, keepdims=True)"),
        Sample("ops.var(ops.concat([M, N], axis=1), 1, 1)"),
    ),
    "prod": (
        Sample("ops.prod(1.0 + M / 64, axis=(0, 1), keepdims=True) * M"),
        Sample("ops.prod(ops.concat([M, N]), axis=-1)"),
    ),
    "cumulative_prod": (Sample("ops.cumulative_prod(a) * b"), Sample("ops.cumulative_prod(M, axis=-2)")),
    "cumulative_sum": (Sample("ops.cumulative_sum(a) * b"), Sample("ops.cumulative_sum(M, axis=-2)")),
    "std": (Sample("ops.std(ops.concat([a, b + 2.0]))"),),
    "conv": (
        Sample("ops.conv(ops.stack([M, N])[:, None], ops.stack([N, M * N])[:, None, :2, :2], padding=1)"),
        Sample("ops.conv(ops.stack([M, N])[None], ops.stack([N[:2, :1], M[:2, :1]])[None], stride=2)"),
        # In float16 PyTorch is killed by SIGSEGV where the array has a single entry along the axis.
        Sample(
            "ops.conv(ops.reshape(ops.concat([a, b, a, b * a]), (1, 2, 2 * k)), "
            "ops.stack([a[:2], b[:2]])[:, None], 1, 1, 2, groups=2)"
        ),
    ),
    "max_pool": (
        Sample("ops.max_pool(ops.reshape(M, (1, 1, k, k)), 2, 1, 1)"),
        # After [None, None] MXNet's gradient is wrong: oneDNN leaves it in a layout that the index does not read.
        Sample("ops.max_pool(ops.reshape(ops.concat([a, b, a * b]), (1, 1, 3 * k)), 3, 2, 1)"),
    ),
    "avg_pool": (Sample("ops.avg_pool(ops.concat([a, b, a * b])[None, None], 3, 2)"),),
    "cholesky": (
        Sample("ops.cholesky(ops.sin(M) @ ops.sin(M).T + np.eye(k))"),
        Sample(
            "ops.cholesky(ops.exp(-(a - ops.reshape(a, (k, 1))) ** 2 * [[[0.1]], [[0.2]]]) + 0.1 * np.eye(k))"
        ),
    ),
    "solve_triangular": (
        Sample("ops.solve_triangular(ops.sin(M) + 2 * np.eye(k), a, lower=True)"),
        Sample("ops.solve_triangular(ops.stack([M, N]) + 3 * np.eye(k), N)"),
    ),
    "solve": (
        Sample("ops.solve(ops.sin(M) + 3 * np.eye(k), a)"),
        Sample("ops.solve(ops.sin(M) + 3 * np.eye(k)[::-1], ops.stack([M, N])[:, None])"),
    ),
    "slogdet": (Sample("ops.slogdet(ops.sin(ops.stack([M, N, M * N])) + 3 * np.eye(k)[::-1])[1]"),),
    "inv": (Sample("ops.inv(ops.sin(ops.stack([M, N])) + 3 * np.eye(k))"),),
    "vector_norm": (
        Sample("ops.vector_norm(M, axis=-1, keepdims=True) * N", NONZERO),
        Sample("ops.vector_norm(M, axis=(0, 1), keepdims=True)", NONZERO),
        Sample("ops.vector_norm(M, 0, ord=1)"),
        Sample("ops.vector_norm(a[0]) * b", NONZERO),
    ),
    "softmax": (Sample("ops.softmax(a)"), Sample("ops.softmax(M, axis=0)"), Sample("ops.softmax(M * N) * M")),
    "scaled_dot_product_attention": (
        Sample("ops.scaled_dot_product_attention(M, N, M * N, is_causal=True)"),
        Sample("ops.scaled_dot_product_attention(M[None, None], N[None, None], (M * a)[None, None])"),
        Sample(
            "ops.scaled_dot_product_attention(ops.stack([M, N])[None], ops.stack([N, M * b])[None], ops.stack([M, M])"
            "[None], mask=ops.reshape(m, (k, 1)) | (np.arange(k) == 0), scale=-0.3)"
        ),
    ),
    "layer_norm": (
        Sample("ops.layer_norm(M, a, b)"),
        Sample("ops.layer_norm(ops.concat([M, N], 1) + 3.0, epsilon=2.0**-10, axis=1)"),
        Sample("ops.layer_norm(M[None] * N, b, axis=-2)"),
    ),
    "rms_norm": (
        Sample("ops.rms_norm(M, a)"),
        Sample("ops.rms_norm(ops.concat([M, N], 1), epsilon=2.0**-10)"),
        Sample("ops.rms_norm(M[None] * N, b, axis=-2)"),
    ),
    "batch_norm": (
        Sample("ops.batch_norm(ops.concat([M, N]), a, b)"),
        Sample("ops.batch_norm(ops.reshape(ops.concat([M + 2.0, N, M * N]), (3, k, k)), b, epsilon=2.0**-10)"),
    ),
    "log_softmax": (Sample("ops.log_softmax(a) * b"), Sample("ops.log_softmax(M * N, axis=0)")),
    "logsumexp": (
        Sample("ops.logsumexp(a)"),
        Sample("ops.logsumexp(a[0], keepdims=True) * b"),
        Sample("ops.logsumexp(M, axis=1)"),
        Sample("ops.logsumexp(M, axis=(0, 1), keepdims=True) * M"),
        Sample("M - ops.logsumexp(M, axis=-1, keepdims=True)"),
    ),
    "sin": (Sample("ops.sin(a)"),),
    "cos": (Sample("ops.cos(a)"),),
    "erf": (Sample("ops.erf(a)"), Sample("ops.erf(a * 4)")),
    "exp2": (Sample("ops.exp2(a)"),),
    "log2": (Sample("ops.log2(a)", POSITIVE),),
    "log10": (Sample("ops.log10(a)", POSITIVE),),
    "tan": (Sample("ops.tan(a)"),),
    "sinh": (Sample("ops.sinh(a)"),),
    "cosh": (Sample("ops.cosh(a)"),),
    "atan": (Sample("ops.atan(a)"),),
    "asin": (Sample("ops.asin(ops.tanh(a) * 0.9)"),),
    "acos": (Sample("ops.acos(ops.tanh(a) * 0.9)"),),
    "asinh": (Sample("ops.asinh(a)"),),
    "acosh": (Sample("ops.acosh(a + 1.25)", POSITIVE),),
    "atanh": (Sample("ops.atanh(ops.tanh(a) * 0.9)"),),
    "log_sigmoid": (Sample("ops.log_sigmoid(a)"),),
    "leaky_relu": (Sample("ops.leaky_relu(a[0]) * a"), Sample("ops.leaky_relu(a, negative_slope=0.3)")),
    "elu": (Sample("ops.elu(a)"), Sample("ops.elu(a * 4)"), Sample("ops.elu(a, alpha=0.7)")),
    "sign": (Sample("ops.sign(a) * b"),),
    "floor": (Sample("ops.floor(a * 4) * b"),),
    "ceil": (Sample("ops.ceil(a * 4) * b"),),
    "round": (Sample("ops.round(a * 4) * b"),),
    "erfc": (Sample("ops.erfc(a)"), Sample("ops.erfc(a * 4)")),
    "lgamma": (Sample("ops.lgamma(a)", POSITIVE), Sample("ops.lgamma(a * 4 + 0.5)", POSITIVE)),
    "digamma": (Sample("ops.digamma(a)", POSITIVE), Sample("ops.digamma(a * 4 + 0.5)", POSITIVE)),
    "logaddexp": (Sample("ops.logaddexp(a, b)"), Sample("ops.logaddexp(M, a)")),
    "hypot": (Sample("ops.hypot(a, b)", NONZERO), Sample("ops.hypot(M, a)", NONZERO)),
    "atan2": (Sample("ops.atan2(a, b)", NONZERO), Sample("ops.atan2(M, a)", NONZERO)),
    "silu": (Sample("ops.silu(a)"), Sample("ops.silu(a * 4)")),
    "gelu": (
        Sample("ops.gelu(a)"),
        Sample("ops.gelu(a * 4)"),
        Sample("ops.gelu(a, approximate=True)"),
        Sample("ops.gelu(a * 4, approximate=True)"),
    ),
    "reshape": (
        Sample("ops.reshape(M, (k * k,))"),
        Sample("ops.reshape(a, (k, 1)) * M"),
        Sample("ops.reshape(M, (1, -1, k))"),
    ),
    "concat": (Sample("ops.concat([a, b * a])"), Sample("ops.concat([M, M * N], axis=-1)")),
    "flip": (
        Sample("ops.flip(a) * b"),
        Sample("ops.flip(M, axis=(0, -1)) * a"),
        Sample("ops.where(ops.flip(m), a, b)"),
    ),
    "roll": (
        Sample("ops.roll(a, 2) * b"),
        Sample("ops.roll(M, -k - 1, axis=-1) * N"),
        Sample("ops.roll(M, (1, 3), axis=(1, 0))"),
    ),
    "tile": (Sample("ops.tile(a, (2, 3))"), Sample("ops.tile(M[:2], (2,))")),
    "repeat": (Sample("ops.repeat(M[:2], 3, axis=-2)"), Sample("ops.repeat(M[:1], 2)")),
    "pad": (Sample("ops.pad(a, ((2, 1),)) "), Sample("ops.pad(M, ((0, 1), [2, 0]), constant_values=2.0)")),
    "tril": (Sample("ops.tril(M) * N"), Sample("ops.tril(M[:, None], k=-1)")),
    "triu": (Sample("ops.triu(M, k=1)"), Sample("ops.triu(M[None, :, :3], -1)")),
    "diagonal": (
        Sample("ops.diagonal(M) * a"),
        Sample("ops.diagonal(ops.concat([M, N])[None], offset=-1)"),
        Sample("ops.diagonal(ops.concat([M, N], 1), 1)"),
    ),
    "stack": (Sample("ops.stack([a, b, a])"), Sample("ops.stack([M, N * M], axis=-1)"), Sample("ops.stack([M, N], 1)")),
    "astype": (Sample("ops.astype(i, float) * a"), Sample("ops.astype(a > b, float) + ops.astype(m, float) * b")),
    "sort": (
        *(Sample("ops.sort(a) * b"), Sample("ops.sort(M, axis=0, descending=True) * N")),
        Sample("ops.sort(M * N) * M"),
    ),
    "argsort": (
        Sample("ops.take_along_axis(M, ops.argsort(M * N, axis=0, descending=True), axis=0) * N"),
        Sample("ops.take(a, ops.argsort(b)) * b"),
        Sample("ops.take(a, ops.argsort(i * 0, descending=True)) * b"),
    ),
    "argmax": (
        Sample("ops.take(a, ops.argmax(M, axis=-1)) * b"),
        Sample("ops.reshape(M, (-1,))[ops.argmax(M, keepdims=True)[0]] * a"),
        Sample("ops.take_along_axis(M, ops.argmax(M * N, 0, True), 0) * a"),
    ),
    "argmin": (Sample("ops.take(a, ops.argmin(M, 0)) * b"), Sample("M[0, ops.argmin(a * b)] * a")),
    "stop_gradient": (Sample("ops.stop_gradient(a * b)"), Sample("ops.stop_gradient(a) * a")),
    "+": (Sample("a + b"), Sample("M + a"), Sample("0.1 + a"), Sample("a + 1")),
    "-": (Sample("a - b"), Sample("M - ops.reshape(a, (k, 1))"), Sample("0.1 - a"), Sample("a - 1")),
    "*": (Sample("a * b"), Sample("M * a"), Sample("0.1 * a"), Sample("a * 3"), Sample("i * a")),
    "/": (Sample("a / b", NONZERO), Sample("M / a", NONZERO), Sample("0.1 / a", NONZERO), Sample("a / 3")),
    "**": (
        *(Sample("a ** 2"), Sample("a ** 3"), Sample("a ** -1", NONZERO)),
        *(Sample("a ** 0.5", POSITIVE), Sample("a ** 0.3", POSITIVE), Sample("a ** -0.7", POSITIVE)),
        *(Sample("a ** b", POSITIVE), Sample("2.0 ** a"), Sample("a ** i")),
    ),
    "@": (Sample("M @ a"), Sample("M @ N.T")),
    "unary -": (Sample("-a"),),
    ">": (
        *(Sample("ops.where(a > 0.1, M, a)"), Sample("ops.where(0 > a, b, a)"), Sample("ops.where(i > 1, a, b)")),
        Sample("ops.where(i > 0.5, a, b)"),
    ),
    ">=": (Sample("ops.where(a >= b, M, a)"), Sample("ops.where(0.5 >= a, b, a)")),
    "==": (Sample("ops.where(i == 1, a, b)"), Sample("ops.where(ops.reshape(i, (k, 1)) == i, M, 0.5)")),
    "!=": (Sample("ops.where(i != 1, a, b)"), Sample("ops.where(2 != i, M, a)")),
    "&": (Sample("ops.where((a > 0) & m, a, b)"), Sample("ops.where((M > 0) & (i != 0) & (N > M), M, N)")),
    "|": (Sample("ops.where(m | (a > b), a, b)"), Sample("ops.where((M > 0) | (N > 0), M, 0.5)")),
    "any": (
        Sample("ops.where(ops.any(M > 0.9, axis=0), a, b)"),
        Sample("ops.where(ops.any(m & (a > b), keepdims=True), a, b * 2)"),
    ),
    "all": (
        Sample("ops.where(ops.all(M > -0.9, axis=-1, keepdims=True), M, N)"),
        Sample("ops.where(ops.all(a > b), a, b * 2)"),
    ),
    "~": (Sample("ops.where(~m, a, b)"), Sample("ops.where(~(M > a), M, N)")),
    "[]": (
        Sample("a[k // 2 :] * b[: k - k // 2]"),
        Sample("M[:, 0] * a"),
        Sample("M[-1] * a"),
        Sample("M[0, -1] * a"),
        Sample("M[..., -1]"),
        Sample("M[::2, k // 2 :: 2] * a[0]"),
        Sample("M[::-1, None, ::-2] * a[::-1, None, None]"),
        Sample("ops.where(m[::-1], a, b[..., ::-1])"),
    ),
    "[i]": (
        *(Sample("a[k - 1 + (-j * 1)] * b"), Sample("M[j] * N[ops.reshape(j, (k, 1)), j]"), Sample("M[:, j] * a")),
        Sample("M[np.arange(k), j] * b"),
    ),
    "take": (
        *(Sample("ops.take(M, ops.reshape(j, (k, 1)), axis=-1)"), Sample("ops.take(M * N, j) * a")),
        Sample("ops.take(a, [0])"),
    ),
    "take_along_axis": (
        Sample("ops.take_along_axis(M, ops.reshape(j, (k, 1)))"),
        Sample("ops.take_along_axis(M * N, ops.reshape(j, (1, k)), axis=0)"),
    ),
    "one_hot": (Sample("M @ ops.one_hot(i, 3)"),),
    "at_add": (
        *(Sample("ops.at_add(a, j, b)"), Sample("ops.at_add(M, j, a * N)")),
        Sample("ops.at_add(M, (np.arange(k), j), b)"),
    ),
    "watch": (Sample("ops.watch('first', a * b) * ops.watch('second', b)"), Sample("ops.watch('exact', a) + a")),
}  # fmt: skip
