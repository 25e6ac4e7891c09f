"""A loss as engines have it: a function of arrays of their own, perhaps in the form of its derivative."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any


class DifferentiableLoss(abc.ABC):
    """A loss, as engines have it.

    Args:
        message: `graph` of a request, as docs/protocol.md describes it.
    """

    def __init__(self, message: Mapping[str, Any]) -> None:
        self._directions: Mapping[str, str] = message.get("directions", {})

    def loss(self, ops: Any, **inputs: Any) -> Any:
        """The loss, or its derivative along directions if the message names any.

        Args:
            ops: the vocabulary in an engine's own functions.
            inputs: the engine's own arrays by name, including the constants.

        Raises:
            Unsupported: the engine has no derivatives of derivatives.
        """
        if not self._directions:
            return self.value(ops, inputs)

        def function(sources: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
            return self.value(ops, {**inputs, **sources}), ops.values

        sources = {name: inputs[name] for name in self._directions}
        along = {name: inputs[direction] for name, direction in self._directions.items()}
        slope, ops.values = ops.directional_derivative(function, sources, along)
        return slope

    @abc.abstractmethod
    def value(self, ops: Any, inputs: Mapping[str, Any]) -> Any:
        """The loss itself."""
