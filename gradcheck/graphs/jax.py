"""The front end for functions in JAX: it lowers a dump of `gradcheck.backends._jax_export` to words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradcheck.graphs import jax_arrays, jax_entries, jax_layers
from gradcheck.graphs.graph import Graph
from gradcheck.graphs.jax_forms import form_of
from gradcheck.graphs.jax_reasons import reason
from gradcheck.graphs.jax_rows import ROWS
from gradcheck.graphs.lowering import Lowering, ProblemInputs
from gradcheck.graphs.values import Value

CONVERSION = "convert_element_type"
FILES = (jax_entries, jax_arrays, jax_layers)
"""The modules that fill the table."""


def record(dump: Mapping[str, Any], dtype: str, problem: ProblemInputs | None = None) -> Graph:
    """The graph of a dump.

    Its inputs are the floating inputs of the dump that have the dtype, by their names; those of other dtypes are
    constants.

    Args:
        dump: see `gradcheck.backends._jax_export`.
        dtype: of the check.
        problem: the inputs of a problem, whose loss it is.

    Raises:
        RecordingError: a primitive has no row, or its operands do not fit; the message begins with the user's line.
    """
    return _JaxLowering(dump, dtype, problem).graph()


class _JaxLowering(Lowering):
    """The making of one graph of a jaxpr."""

    def lowered(self, node: Mapping[str, Any]) -> Any:
        operator = node["operator"]
        if operator not in ROWS and operator != CONVERSION:
            raise ValueError(reason(operator, self.instead))
        self.check_dtype(node["dtype"])
        nodes = self.dump["nodes"]
        if operator == CONVERSION:
            (operand,) = node["operands"]
            return self.converted(self._read(operand), nodes[operand["node"]]["dtype"], node["dtype"])
        form = form_of(nodes, self.dump["arrays"], len(self.values))
        if form is not None:
            return form.record(self._read(form.operand))
        return ROWS[operator](*map(self._read, node["operands"]), **node["options"])

    def output(self, reference: Any) -> Value:
        value = self._read(reference)
        return value if isinstance(value, Value) else self.recording.constant(value)

    def _read(self, operand: Mapping[str, int]) -> Any:
        value = self.values[operand["node"]]
        if not isinstance(value, tuple):
            return value
        place = operand.get("result", 0)
        if value[place] is None:
            raise ValueError(f"result {place} of {self.dump['nodes'][operand['node']]['operator']} has no word")
        return value[place]
