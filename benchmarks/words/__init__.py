"""The words of random losses: how each is written, its value, and its gradient."""

from __future__ import annotations

from benchmarks.words.algebra import ALGEBRA
from benchmarks.words.declaration import Words
from benchmarks.words.entries import ENTRIES
from benchmarks.words.fused import FUSED
from benchmarks.words.moves import MOVES
from benchmarks.words.products import PRODUCTS
from benchmarks.words.reductions import REDUCTIONS

WORDS: Words = {**ENTRIES, **MOVES, **REDUCTIONS, **PRODUCTS, **FUSED, **ALGEBRA}
"""The vocabulary, each word as a random loss uses it."""
