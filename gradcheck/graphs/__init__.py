"""A loss as a graph of words: a front end makes it, and the oracle and every engine take it.

    ops function ───┐            ┌─→ the oracle's tape
                    ├──→ Graph ──┼─→ every engine, which interprets it with its own primitives
    NumPy function ─┘            └─→ reports: the line of the user's source for every step

One file is one front end; `words/` declares the parts of a loss.
"""

from gradcheck.graphs import words
from gradcheck.graphs.front_ends import record
from gradcheck.graphs.graph import Graph, Node, Shape
from gradcheck.graphs.sources import RecordingError
from gradcheck.graphs.vocabulary import OPERATORS, VOCABULARY

__all__ = ["OPERATORS", "VOCABULARY", "Graph", "Node", "RecordingError", "Shape", "record", "words"]
