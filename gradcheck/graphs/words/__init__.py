"""The vocabulary: each word with its signature, the shape of its result, and its documentation.

A new word is one declaration here, one in `oracle/operations`, and one function in each engine.
"""

from gradcheck.graphs.words import (
    algebra,
    axes,
    choices,
    copies,
    entries,
    fused,
    indexing,
    moving,
    ordering,
    products,
    statistics,
    windows,
)

__all__ = [
    "algebra",
    "axes",
    "choices",
    "copies",
    "entries",
    "fused",
    "indexing",
    "moving",
    "ordering",
    "products",
    "statistics",
    "windows",
]
