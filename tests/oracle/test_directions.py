"""Derivatives along directions: sums of the analyses of the gradients' entries."""

from __future__ import annotations

import numpy as np

from gradcheck.oracle import Format, Slopes, analyse, record


def test_the_analysis_of_a_slope_is_the_sum_of_the_analyses_of_the_entries() -> None:
    generator = np.random.default_rng(0)
    inputs = {name: generator.uniform(-1, 1, 50).astype(np.float32) for name in "ab"}
    tape = record(lambda ops, a, b: ops.sum(ops.tanh(a * b)), {"a": (50,), "b": (50,)}, ("a", "b"))
    analysis = analyse(tape, inputs, Format.of("float32"))
    directions = {name: generator.choice([-1.0, 1.0, 0.0], (3, 50)) for name in "ab"}
    (known,) = Slopes(analysis, directions).blocks()
    true, worst, variance = np.zeros(3), np.zeros(3), np.zeros(3)
    for name, signs in directions.items():
        output = analysis["gradient", name]
        true += signs @ output.enclosure.high
        worst += abs(signs) @ output.worst
        variance += abs(signs) @ np.square(output.spread)
    assert np.allclose(known.enclosure.high, true, rtol=0, atol=1e-13)
    assert np.allclose(known.worst, worst, rtol=1e-6, atol=0)
    assert np.allclose(known.spread, np.sqrt(variance), rtol=1e-6, atol=0)
