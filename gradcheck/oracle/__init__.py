"""The truth: certified values of a loss and its gradients, and the errors that a correct backend can make.

    tape = record(loss, {"A": (3, 3), "x": (3,)}, wrt=("A",))
    analysis = analyse(tape, inputs, Format.of("float32"))          # end to end
    for stage in stages(tape, inputs, Format.of("float32"), arrays): ...  # step by step

The source of each formula and constant is beside it.
"""

from gradcheck.oracle.analysis import BALL_BITS, Analysis, Block, Output, analyse, analyse_together
from gradcheck.oracle.batches import most_together
from gradcheck.oracle.directions import Slopes
from gradcheck.oracle.enclosure import Enclosure, Rows
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import TYPICAL
from gradcheck.oracle.operations.shares import CONVENTIONS
from gradcheck.oracle.operations.terms import DOUBT
from gradcheck.oracle.plain import plain_values
from gradcheck.oracle.running_error import NotTogetherError
from gradcheck.oracle.stages import Stage, stages, stages_together
from gradcheck.oracle.tape import Key, Tape, forward_of, record, tape_of
from gradcheck.oracle.wholes import TiedSum, wholes

__all__ = [
    "BALL_BITS",
    "CONVENTIONS",
    "DOUBT",
    "TYPICAL",
    "Analysis",
    "Block",
    "Enclosure",
    "Format",
    "Key",
    "NotTogetherError",
    "Output",
    "Rows",
    "Slopes",
    "Stage",
    "Tape",
    "TiedSum",
    "analyse",
    "analyse_together",
    "forward_of",
    "most_together",
    "plain_values",
    "record",
    "stages",
    "stages_together",
    "tape_of",
    "wholes",
]
