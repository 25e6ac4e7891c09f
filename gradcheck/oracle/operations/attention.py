"""Scaled dot-product attention, as it is written and as kernels fuse it (docs/math.md, R40).

Sources of the fused forms: M. Milakov and N. Gimelshein, Online normalizer calculation for softmax, 2018,
arXiv:1805.02867; T. Dao, FlashAttention-2, 2023, arXiv:2307.08691, algorithms 1 and 2; PyTorch's
`FlashAttentionKernel.cpp`, which the CPU runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcheck.graphs.attention import causal
from gradcheck.oracle.formats import SMALLEST, Format
from gradcheck.oracle.operations.arithmetic import ANY, any_of
from gradcheck.oracle.operations.base import (
    ROUNDING_DEVIATION,
    Variable,
    apply,
    constant,
    operated,
    square,
    total,
)
from gradcheck.oracle.operations.coherence import COVERED
from gradcheck.oracle.operations.contractions import Labels, contract
from gradcheck.oracle.operations.exponentials import FLUSHED, LARGEST_EXPONENT, Along, Softmax, known, lognormal
from gradcheck.oracle.operations.forms import fused
from gradcheck.oracle.operations.reductions import sum_
from gradcheck.oracle.operations.rules import rule
from gradcheck.oracle.operations.smooth import ACCURACY, DEVIATION
from gradcheck.oracle.operations.terms import Array, Bounded, Errors, Spread, Values, Variances

EXPONENTIAL = 40
"""Units of u by which an exponential errs: PyTorch's fused kernel has `exp_u20`, of 20 ulp; measured 6.4 u."""

TYPICAL_EXPONENTIAL = 3
"""The number of roundings that its typical error is worth."""

DISTANCE, SHIFT, ENTROPY, RESCALED = 4, 3, 12, 8
"""Roundings of the exponent relative to the distance d, to the largest score and to log n, and of each new maximum."""

SCALING = 6
"""Roundings of a scale: 1/√E, its root, that of each factor, and two products."""

TILE = 16
"""The smallest number of rows of a fused kernel's block, whose products may be stored in the format."""


@dataclass(frozen=True)
class Weights(Softmax):
    """The shares p of scores s along the last axis.

    Attributes:
        again: whether they are made from a logsumexp of other scores, which were computed before.
    """

    again: bool

    def worst(self, format: Format, result: Values, a: Bounded) -> Errors:
        """R40: R17's, with rescalings, a logsumexp and powers of two; at most e^d for the smallest distance."""
        along = Along((self.axis,), a.native.shape)
        reach = a.errors + along.largest(np.broadcast_to(a.errors, a.native.shape))
        distance = np.abs(along.distance(a))
        top = np.abs(along.largest(a.middle)) + reach
        functions = (2 * EXPONENTIAL + ACCURACY["log"] * along.entropy) * format.function_roundoff
        steps = SHIFT * top + ENTROPY * along.entropy + RESCALED * max(along.terms - 1, 0) + 2
        others = along.sum_error(format) + functions + format.roundoff * steps
        relative = others + DISTANCE * format.roundoff * (distance + reach)
        moved = np.zeros(()) if a.error is None else self._moved(along, result.size, a.error)
        floor = FLUSHED * format.normal + 2 * format.underflow
        grown = np.expm1(np.minimum(relative, LARGEST_EXPONENT)) * (result.size + moved)
        nearest = np.maximum(distance - reach, 0.0) * (1 - DISTANCE * format.roundoff)
        largest = np.exp(np.minimum(others - nearest + (reach if self.again else 0.0), LARGEST_EXPONENT))
        return np.asarray(np.where(np.isfinite(moved), np.minimum(moved + grown, largest) + floor, np.inf))

    def _moved(self, along: Along, p: Array, errors: Array) -> Array:
        """The change of p with its scores; of other scores than the logsumexp's, p(e^c − 1), and it may exceed 1."""
        if not self.again:
            return self.moved(along, p, errors)
        change = np.broadcast_to(errors, p.shape) + along.moved(p, errors)
        return known(along, errors, (p + SMALLEST) * np.expm1(np.minimum(change, LARGEST_EXPONENT)))

    def variance(self, format: Format, result: Values, a: Spread) -> Variances:
        """R17's; (0.6u·p)² of the accumulator times d², exp's, the logsumexp's, and those of R new maxima (W2)."""
        along = Along((self.axis,), a.native.shape)
        maxima = self._new_maxima(a.middle) + along.entropy
        own = square(along.distance(a)) + TYPICAL_EXPONENTIAL**2 + square(self._logsumexp(along, a))
        own = own + (1 + DEVIATION["exp"] ** 2) * maxima * np.maximum(maxima / COVERED, 1.0)
        added = np.asarray((ROUNDING_DEVIATION * format.accumulator_roundoff) ** 2 * square(result.size) * own)
        if self.again and a.variance is not None:
            grown = lognormal(a.variance)
            changed = square(result.size) * (grown + along.sum(square(result.size) * grown))
            added = added + known(along, a.variance, changed)
        return total(super().variance(format, result, a), added)

    def _logsumexp(self, along: Along, a: Values) -> Array:
        """The magnitude of log Σeˢ."""
        return np.asarray(np.abs(along.largest(a.middle) + np.log(along.sum(np.exp(along.distance(a))))))

    def _new_maxima(self, scores: Array) -> Array:
        """How often the running maximum grows, from the first key on or from the last one."""
        counts = [
            np.sum(np.diff(np.maximum.accumulate(each, axis=-1), axis=-1) > 0, axis=-1, keepdims=True)
            for each in (scores, scores[..., ::-1])
        ]
        return np.asarray(np.maximum(*counts))


@dataclass(frozen=True)
class ScaledProduct:
    """Errors of c·Σab, whose factors, or the product, or the root of c twice, are multiplied by c.

    Attributes:
        subscripts: of the sum of products, for `numpy.einsum`.
        pieces: in how many it may be stored (R27).
    """

    subscripts: str
    pieces: int

    def combine(self, a: Array, b: Array) -> Array:
        """Σab."""
        return np.asarray(np.einsum(self.subscripts, a, b, optimize=True))

    def terms(self, a: Values) -> int:
        """The number of terms."""
        left, out = self.subscripts.replace(",", "->").split("->")[::2]
        lengths = dict(zip(left[3:], a.size.shape[-2:], strict=True))
        return math.prod(size for label, size in lengths.items() if label not in out)

    def worst(
        self, format: Format, _result: Values, product: Bounded, a: Bounded, b: Bounded, c: Bounded, *_: Bounded
    ) -> Errors:
        """E + θ(6, u)(1 + ρ(n))·cΣ|a||b|, and what underflows in a scaled factor, or before the scale."""
        scale, count = float(c.reach), self.terms(a)
        relative = format.sum_error(SCALING) * (1 + format.product_error(count, self.pieces))
        added = scale * relative * self.combine(a.reach, b.reach)
        ones = [np.ones_like(each.size) for each in (a, b)]
        beside = self.combine(a.reach, ones[1]) + self.combine(ones[0], b.reach) + 2 * count
        return total(added + (format.underflow + format.flush) * max(1.0, scale) * beside, product.error)

    def variance(
        self, format: Format, result: Values, product: Spread, a: Spread, b: Spread, c: Spread, *shared: Spread
    ) -> Variances:
        """s² + (0.6u)²(v² + Σ(cab)²), underflows, and the error of D, which all keys of a query share (W3)."""
        squares, scale = self.combine(square(a.size), square(b.size)), square(c.size)
        own = (ROUNDING_DEVIATION * format.roundoff) ** 2 * (square(result.size) + scale * squares)
        ones = [np.ones_like(each.size) for each in (a, b)]
        beside = self.combine(square(a.size), ones[1]) + self.combine(ones[0], square(b.size)) + self.terms(a)
        own = own + format.variance_floor * np.maximum(scale, 1.0) * beside
        if shared:
            weights, weighted = shared
            own = own + scale * square(self.combine(weights.middle, b.middle)) * weighted.variances
        return total(np.asarray(own), product.variance)

    def partial_sums(self, _format: Format, product: Bounded, a: Bounded, b: Bounded, c: Bounded, *_: Bounded) -> Array:
        """The product, and where the scale is above one its terms and factors."""
        scale = float(c.reach)
        if scale <= 1:
            return product.reach
        factors = max(a.reach.max(initial=0.0), b.reach.max(initial=0.0))
        return np.asarray(np.maximum(scale * self.combine(a.reach, b.reach), scale * factors))


LETTERS = {"query": "i", "key": "j", "feature": "e"}


def _scaled(
    a: Variable, of_a: Labels, b: Variable, of_b: Labels, out: Labels, scale: Variable, *shared: Variable
) -> Variable:
    """c·Σab in any form; labels are those of the last two axes."""
    batch = tuple(range(a.ndim - 2))
    count = a.shape[-2:][[label not in out for label in of_a].index(True)]
    pieces = -(-max(count, 1) // TILE)
    product = contract(a, (*batch, *of_a), b, (*batch, *of_b), (*batch, *out), pieces) * scale
    left, right, result = ("..." + "".join(LETTERS[str(label)] for label in labels) for labels in (of_a, of_b, out))
    form = ScaledProduct(f"{left},{right}->{result}", pieces)

    def back(g: Variable, _v: Variable, _product: Variable, a: Variable, b: Variable, *_: Variable) -> Any:
        of_one = _scaled(g, out, b, of_b, of_a, scale), _scaled(g, out, a, of_a, of_b, scale)
        return (None, *of_one, *[None] * (1 + len(shared)))

    operation = fused("scaled product", form.worst, form.variance, back, form.partial_sums)
    return apply(operation, product, a, b, scale, *shared)


OF_QUERIES, OF_KEYS, OF_SCORES = ("query", "feature"), ("key", "feature"), ("query", "key")


def _attended_gradients(
    g: Variable, v: Variable, _o: Variable, p: Variable, q: Variable, k: Variable, values: Variable, scale: Variable
) -> tuple[Variable | None, ...]:
    """Of shares p and their adjoint P′ = g vᵀ the scores' one is p(P′ − D), D = Σ p P′ or, in fused kernels, Σ g o."""
    batch = tuple(range(g.ndim - 2))
    of_output, of_values = (*batch, "query", "value"), (*batch, "key", "value")
    change = contract(g, of_output, values, of_values, (*batch, *OF_SCORES))
    weighted = apply(ANY, sum_(p * change, -1, keepdims=True), sum_(g * v, -1, keepdims=True))
    forms = (lambda change, d, p: (change - d) * p, lambda change, d, p: p * change - p * d)
    scores = any_of(forms, change, weighted, p)
    pieces = -(-max(p.shape[-2], 1) // TILE)
    return (
        None,
        None,
        _scaled(scores, OF_SCORES, k, OF_KEYS, OF_QUERIES, scale, p, weighted),
        _scaled(scores, OF_SCORES, q, OF_QUERIES, OF_KEYS, scale),
        contract(p, (*batch, *OF_SCORES), g, of_output, of_values, pieces),
        None,
    )


def _attended_worst(format: Format, _result: Values, o: Bounded, p: Bounded, *_: Bounded) -> Errors:
    """The error of Σpv; a rescaled partial sum may underflow once for each key."""
    lost = 2 * p.size.shape[-1] * (format.underflow + format.flush)
    return total(np.full(o.size.shape, lost), o.error)


def _attended_variance(format: Format, _result: Values, o: Spread, p: Spread, *_: Spread) -> Variances:
    return total(np.full(o.size.shape, p.size.shape[-1] * format.variance_floor), o.variance)


def _attended_sums(
    _format: Format, _o: Bounded, p: Bounded, _q: Bounded, _k: Bounded, v: Bounded, *_: Bounded
) -> Array:
    """Σ e^d|v|, not yet divided by the sum of e^d, which is 1 over the largest share."""
    largest = np.max(p.size, axis=-1, keepdims=True, initial=0.0)
    return np.asarray(np.matmul(p.reach, v.reach) / np.where(largest > 0, largest, 1.0))


ATTENDED = fused("attention", _attended_worst, _attended_variance, _attended_gradients, _attended_sums)


def _scale_of(q: Variable, scale: float | None) -> Variable:
    """1/√E as it is, which engines round, or the number of the loss."""
    if scale is not None:
        return q.recorder.append(constant(float(scale)), ())
    length = q.recorder.append(constant(float(q.shape[-1])), ())
    return operated("rsqrt", length)


@rule(
    worst="of shares θ(n, u) + (82 + 20 log n + 4|d| + 3|max s| + 8n) u, + 2 λ; ρ(n) of Σp|v|",
    typical="√(2d² + (log Σeˢ)² + n/2 + 15) of the shares; √(1 + n/2)",
)
def scaled_dot_product_attention(
    q: Variable,
    k: Variable,
    v: Variable,
    mask: Variable | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Variable:
    """Sums of values v, weighted by the shares of the products q·k in their sum over keys."""
    factor = _scale_of(q, scale)
    scores = _scaled(q, OF_QUERIES, k, OF_KEYS, OF_SCORES, factor)
    conditions = [] if mask is None else [mask]
    if is_causal:
        earlier = causal(q.shape[-2], k.shape[-2]).astype(float)
        conditions.append(operated("gt", q.recorder.append(constant(earlier), ()), 0.5))
    allowed: Variable | None = None
    for condition in conditions:
        allowed = condition if allowed is None else operated("and", allowed, condition)
    if allowed is not None:
        scores = operated("where", allowed, scores, -math.inf)
    shares, stored = (_shares(scores, allowed, again) for again in (False, True))
    batch = tuple(range(q.ndim - 2))
    of_values = (*batch, "key", "value")
    output = contract(shares, (*batch, *OF_SCORES), v, of_values, (*batch, "query", "value"))
    return apply(ATTENDED, output, stored, q, k, v, factor)


def _shares(scores: Variable, allowed: Variable | None, again: bool) -> Variable:
    """The shares of scores; one that is masked is exactly zero, unless its row is masked as a whole.

    Such a row has no value: 0/0. PyTorch gives zeros there, JAX the mean of all values.
    """
    shares = apply(Weights(-1, again).operation(), scores)
    if allowed is None:
        return shares
    without_any = operated("invert", operated("any", allowed, -1, True))
    return operated("where", operated("or", allowed, without_any), shares, 0.0)
