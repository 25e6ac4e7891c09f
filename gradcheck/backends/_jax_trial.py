"""The trial of a function of JAX that stays as it is: at random numbers it is what NumPy computes.

A name does not say everything: `jax.vmap` may put its axis anywhere, and settings are no operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def is_that_of_numpy(body: Any, equation: Any, options: Mapping[str, Any]) -> bool:
    """Whether a function has the results of that of its name, along the same axes.

    Args:
        body: the jaxpr of the function.
        equation: that calls it.
        options: its "name", and "axes", "correction" and "keepdims" where it has these.
    """
    import jax
    import jax.extend.core  # JAX itself does not import it
    import numpy

    random = numpy.random.default_rng(0)
    given = [_drawn(random, each.aval, options) for each in equation.invars]
    try:
        expected = REFERENCES[options["name"]](*(each.astype(numpy.float64) for each in given), options=options)
    except (ValueError, IndexError):
        return False
    found = numpy.asarray(jax.extend.core.jaxpr_as_fun(body)(*given)[-1]).astype(numpy.float64)
    largest = abs(expected).max(initial=0)
    # Half of the digits: the functions that a trial tells apart differ by as much as the largest entry.
    tolerance = float(jax.numpy.finfo(equation.outvars[0].aval.dtype).eps) ** 0.5 * largest
    return found.shape == expected.shape and bool((abs(found - expected) <= tolerance).all())


def _drawn(random: Any, aval: Any, options: Mapping[str, Any]) -> Any:
    """Numbers of a shape, those of an integer the correction; matrices get a diagonal that keeps them regular."""
    import numpy

    if numpy.dtype(aval.dtype).kind in "iu":
        return numpy.full(aval.shape, int(options.get("correction", 0)), aval.dtype)
    numbers = random.standard_normal(aval.shape)
    is_square = len(aval.shape) > 1 and aval.shape[-1] == aval.shape[-2]
    if options["name"] in ("inv", "slogdet", "solve") and is_square:
        numbers = numbers + 3 * numpy.sqrt(aval.shape[-1]) * numpy.eye(aval.shape[-1])
    return numbers.astype(aval.dtype)


def _log_softmax(a: Any, options: Mapping[str, Any]) -> Any:
    import numpy

    return a - numpy.log(numpy.sum(numpy.exp(a), options["axes"], keepdims=True))


def _variance(a: Any, _: Any, options: Mapping[str, Any]) -> Any:
    return a.var(options["axes"], ddof=options["correction"], keepdims=options["keepdims"])


def _solution(a: Any, b: Any, options: Mapping[str, Any]) -> Any:
    import numpy

    return numpy.linalg.solve(a, b[:, None])[:, 0] if b.ndim == 1 else numpy.linalg.solve(a, b)


def _of_numpy(name: str) -> Callable[..., Any]:
    def computed(*operands: Any, options: Mapping[str, Any]) -> Any:
        import numpy

        place = numpy.linalg if hasattr(numpy.linalg, name) else numpy
        result = getattr(place, name)(*operands)
        return result[-1] if isinstance(result, tuple) else result

    return computed


def _softplus(a: Any, options: Mapping[str, Any]) -> Any:
    import numpy

    return numpy.logaddexp(a, 0)


def _silu(a: Any, options: Mapping[str, Any]) -> Any:
    import numpy

    return a / (1 + numpy.exp(-a))


REFERENCES: dict[str, Callable[..., Any]] = {
    **{name: _of_numpy(name) for name in ("inv", "slogdet", "hypot", "logaddexp")},
    "solve": _solution,
    "log_softmax": _log_softmax,
    "_var": _variance,
    "softplus": _softplus,
    "log_sigmoid": lambda a, options: -_softplus(-a, options),
    "silu": _silu,
}
"""The functions by name, in float64."""
