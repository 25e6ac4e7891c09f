"""Sum of squares, with hand-written gradients that go wrong in every way."""

import ctypes
import os
import sys
import time

import numpy as np


def inputs(k):
    return {"a": (k,), "b": (k, k)}


def loss(ops, a, b):
    return ops.sum(a * a) + ops.sum(b * b)


def right(a, b):
    return np.sum(a * a) + np.sum(b * b), {"a": 2 * a, "b": 2 * b}


def wrong_sign(a, b):
    value, gradients = right(a, b)
    return value, gradients | {"b": -gradients["b"]}


def one_entry_off(a, b):
    value, gradients = right(a, b)
    gradients["b"][0, 0] *= 1 + 1e-6
    return value, gradients


def wrong_loss(a, b):
    value, gradients = right(a, b)
    return value * (1 + 1e-6), gradients


def not_a_number(a, b):
    value, gradients = right(a, b)
    gradients["a"][0] = np.nan
    return value, gradients


def wrong_shape(a, b):
    value, gradients = right(a, b)
    return value, gradients | {"b": gradients["b"][0]}


def missing_gradient(a, b):
    value, gradients = right(a, b)
    return value, {"a": gradients["a"]}


def vector_loss(a, b):
    return a, right(a, b)[1]


def words(a, b):
    return right(a, b)[0], {"a": np.array(["no"] * len(a)), "b": b}


def raises(a, b):
    raise ZeroDivisionError("planted")


def prints(a, b):
    print("planted text on standard output")
    os.system("echo planted text of a child")
    return right(a, b)


def exits(a, b):
    os._exit(7)


def segfaults(a, b):
    ctypes.string_at(0)


def hangs(a, b):
    time.sleep(600)


def hangs_deaf(a, b):
    """SIGTERM does not end it, and a child of it survives."""
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(600)
    ctypes.PyDLL(None).sleep(600)  # keeps the interpreter's lock


def floods(a, b):
    sys.stdout.write("x" * 10_000_000)
    return right(a, b)


def mutates(a, b):
    value, gradients = right(a, b)
    gradients = {name: array.copy() for name, array in gradients.items()}
    b *= 2
    return value, gradients


def unsteady(a, b):
    """Wrong from the second call on."""
    value, gradients = right(a, b)
    unsteady.calls = getattr(unsteady, "calls", 0) + 1
    return value, gradients | {"a": gradients["a"] * (1 + 1e-9 * (unsteady.calls - 1))}


def varies_as_rounding_does(a, b):
    value, gradients = right(a, b)
    varies_as_rounding_does.calls = getattr(varies_as_rounding_does, "calls", 0) + 1
    return value * (1 + 2.0**-52 * (varies_as_rounding_does.calls - 1)), gradients


def exhausts_memory(a, b):
    raise MemoryError("planted")


gradients = {
    function.__name__: function
    for function in (
        right, wrong_sign, one_entry_off, wrong_loss, not_a_number, wrong_shape, missing_gradient, vector_loss, words,
        raises, prints, exits, segfaults, hangs, hangs_deaf, floods, mutates, unsteady,
        varies_as_rounding_does, exhausts_memory,
    )
}  # fmt: skip
