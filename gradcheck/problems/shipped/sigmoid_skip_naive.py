"""A specimen: the loss of sigmoid_skip in its most direct form, 1/(1 + exp(−y)) and (√Σw²)², including its NaN.

`sigmoid_skip` is finite and agrees for every distribution, in float64 and float32. This one has, in every backend,

- NaN in dL/dA where exp(−y) overflows, ∞/∞²: an entry of y below −709.8 in float64, −88.8 in float32. `saturated`
  brings it about wherever y has a negative entry, `mixed` where one is as large as that;
- NaN in every gradient where the sum of squares is 0, 0/0: `zeros` and `subnormal`, in float32 `tiny`, too.

There the verdict is undecided, and never "agrees": a correct evaluation of this formula may end in NaN. For other
inputs both are equally good. y = Ax, u = σ(y), z = u + Bx and w = Cz are those of `sigmoid_skip`.
"""

import numpy as np


def inputs(k):
    return {"A": (k, k), "B": (k, k), "C": (k, k), "x": (k,)}


wrt = ("A", "B", "C")


def loss(A, B, C, x):
    y = A @ x
    u = 1 / (1 + np.exp(-y))
    v = B @ x
    z = u + v
    w = C @ z
    norm = np.sqrt(np.sum(w * w))
    return norm**2


def vectorised(A, B, C, x):
    y = A @ x
    decay = np.exp(-y)
    u = 1 / (1 + decay)
    v = B @ x
    z = u + v
    w = C @ z
    norm = np.sqrt(np.sum(w * w))

    dnorm = 2 * norm
    dw = dnorm / norm * w
    dz = C.T @ dw
    dy = dz * decay / ((1 + decay) * (1 + decay))
    gradients = {"A": np.outer(dy, x), "B": np.outer(dz, x), "C": np.outer(dw, z)}
    adjoints = {"y": dy, "u": dz, "v": dz, "z": dz, "w": dw, "norm": dnorm}
    return norm**2, gradients | adjoints, {"y": y, "u": u, "v": v, "z": z, "w": w, "norm": norm}


gradients = {"numpy": vectorised}
backends = ("numpy", "torch", "mxnet")
