"""A JAX function as data: what jax.make_jaxpr records of it, for `gradcheck.graphs.jax`.

A dump is a dictionary of plain data and arrays:

    jax         the release of JAX
    nodes       in order of computation, each with "operator", "shape" and "dtype" of its (first) result, "file" and
                "line" of the user's source:
                  "input"     with "name"
                  "constant"  with "name", a key of `arrays`
                  "exp"       a primitive with "operands", each {"node": place} and its "result" if it is not the first,
                              and "options", its parameters as plain data
                  "jit[inv]"  a function of JAX of that name, which `KEPT` lists
                  "stack", "take" and "put" are made here; `_jax_indices.py` makes the last two
    outputs     label -> operand; the label of a single result is ""
    arrays      name -> NumPy array of an input or a constant; bfloat16 comes as float32

Calls, custom_jvp and custom_vjp become the steps of their primal, loops those of each turn, and a branch those of the
taken one. Integers and booleans that depend on no floating input are computed here, and so are floats that JAX does not
round. All other steps stay, with their rounding errors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from gradcheck.backends import _jax_bodies as bodies
from gradcheck.backends import _jax_folding as folding
from gradcheck.backends import _jax_indices as indices
from gradcheck.backends import _jax_trial as trial

Operands = Sequence[Any]
LIMIT = 200_000
"""Of steps: a loop that never ends would otherwise take all memory."""


class Untraceable(Exception):
    """JAX cannot record the function, or this module a step. The message is the reason, in one line."""


def dumped(
    jax: Any, function: Callable[..., Any], leaves: Mapping[str, Any], constants: Collection[str] = ()
) -> dict[str, Any]:
    """The dump of a function.

    Args:
        jax: the imported framework.
        function: of the leaves in their order; it returns label -> array.
        leaves: its arguments by name, all of them arrays.
        constants: the names of floating ones that are constants, such as a mask with infinities.

    Raises:
        Untraceable: JAX refuses it.
    """
    labels: list[str] = []

    def flat(*arrays: Any) -> Any:
        results = function(*arrays)
        labels[:] = results
        return list(results.values())

    try:
        closed = jax.make_jaxpr(flat)(*leaves.values())
    except jax.errors.ConcretizationTypeError as error:
        where = bodies.raised_at(jax, error)
        raise Untraceable(f"{where}it makes a Python number or a branch of the values of an array") from error
    except jax.errors.TracerArrayConversionError as error:
        raise Untraceable(f"{bodies.raised_at(jax, error)}it makes an array of NumPy, not of jax.numpy") from error
    made = _JaxDump(jax)
    known = {name: folding.in_numpy(jax.numpy.asarray(leaves[name])) for name in constants}
    operands = [known[name] if name in known else made.given(name, leaf) for name, leaf in leaves.items()]
    results = made.steps(closed.jaxpr, closed.consts, operands, bodies.Where(), of_jax=False)
    floating = {label: each for label, each in zip(labels, results) if folding.is_floating(jax, each, made.dtype_of)}
    outputs = {label: made.operand(each, bodies.Where()) for label, each in floating.items()}
    return {"jax": str(jax.__version__), **_needed(made.nodes, outputs, made.arrays)}


def _needed(nodes: Sequence[Any], outputs: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs, and the nodes of which the outputs are computed."""
    wanted = {place for place, node in enumerate(nodes) if node["operator"] == "input"}
    waiting = [each["node"] for each in outputs.values()]
    while waiting:
        place = waiting.pop()
        if place not in wanted:
            wanted.add(place)
            waiting += [each["node"] for each in nodes[place].get("operands", ())]
    places = {old: new for new, old in enumerate(sorted(wanted))}

    def moved(operand: Mapping[str, int]) -> dict[str, int]:
        return {**operand, "node": places[operand["node"]]}

    kept = [nodes[place] for place in places]
    for node in kept:
        if "operands" in node:
            node["operands"] = [moved(each) for each in node["operands"]]
    names = {node.get("name") for node in kept}
    named = {name: array for name, array in arrays.items() if name in names}
    return {"nodes": kept, "outputs": {label: moved(each) for label, each in outputs.items()}, "arrays": named}


class _JaxDump:
    """The making of one dump. A value is a known array, or the operand of a node, a dictionary."""

    def __init__(self, jax: Any) -> None:
        self._jax = jax
        self.nodes: list[dict[str, Any]] = []
        self.arrays: dict[str, Any] = {}
        self._avals: dict[tuple[int, int], Any] = {}
        self._folds = folding.Folding(jax)
        self._kept: list[Any] = []  # known arrays that have a node: their identities must stay theirs
        self._constants: dict[tuple[int, Any], dict[str, Any]] = {}
        self._trusted: dict[Any, tuple[Any, bool]] = {}

    def given(self, name: str, leaf: Any) -> Any:
        """The value of an argument."""
        array = self._jax.numpy.asarray(leaf)
        if not self._jax.numpy.issubdtype(array.dtype, self._jax.numpy.floating):
            return folding.in_numpy(array)
        self.arrays[name] = as_array(array)
        return self.append({"operator": "input", "name": name}, [array], bodies.Where())[0]

    def dtype_of(self, operand: Mapping[str, int]) -> Any:
        """The dtype of a node's result."""
        return self._avals[operand["node"], operand.get("result", 0)].dtype

    def shape_of(self, value: Any) -> tuple[int, ...]:
        """The shape of a value."""
        return tuple(
            self._avals[value["node"], value.get("result", 0)].shape if isinstance(value, dict) else value.shape
        )

    def append(self, record: dict[str, Any], avals: Sequence[Any], where: bodies.Where) -> list[Any]:
        """Add a node, and give its results."""
        if len(self.nodes) >= LIMIT:
            raise Untraceable(f"{bodies.text_of(where)}it takes more than {LIMIT} steps: expected shorter loops")
        place = len(self.nodes)
        record["shape"], record["dtype"] = list(avals[0].shape), str(avals[0].dtype)
        record["file"], record["line"] = where
        self.nodes.append(record)
        self._avals.update({(place, number): aval for number, aval in enumerate(avals)})
        return [{"node": place, "result": number} if number else {"node": place} for number in range(len(avals))]

    def operand(self, value: Any, where: bodies.Where) -> dict[str, Any]:
        """A value as an operand; a known array becomes a constant where it is first used."""
        if isinstance(value, dict):
            return value
        key = id(value), where
        if key not in self._constants:
            self._kept.append(value)
            name = f"constant {len(self.nodes)}"
            self.arrays[name] = as_array(value)
            self._constants[key] = self.append({"operator": "constant", "name": name}, [value], where)[0]
        return self._constants[key]

    def step(
        self,
        operator: str,
        operands: Operands,
        options: Mapping[str, Any],
        avals: Sequence[Any],
        where: bodies.Where,
    ) -> list[Any]:
        """Add the node of a primitive."""
        given = [self.operand(each, where) for each in operands]
        return self.append({"operator": operator, "operands": given, "options": bodies.as_data(options)}, avals, where)

    def steps(
        self, jaxpr: Any, constants: Operands, operands: Operands, where: bodies.Where, of_jax: bool
    ) -> list[Any]:
        """The results of a jaxpr for operands.

        Args:
            jaxpr: without its constants.
            constants: arrays.
            operands: values.
            where: the place of the step that calls it.
            of_jax: whether its steps have that place too: JAX keeps the lines of the first call alone.
        """
        given = [*map(folding.in_numpy, constants), *operands]
        known: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], given))
        read = functools.partial(_read, known)
        for equation in jaxpr.eqns:
            inner = where if of_jax else bodies.place_of(self._jax, equation, where)
            results = self._equation(equation, [read(each) for each in equation.invars], inner, of_jax)
            known.update(zip(equation.outvars, results))
        return [read(each) for each in jaxpr.outvars]

    def _equation(self, equation: Any, operands: list[Any], where: bodies.Where, of_jax: bool) -> list[Any]:
        name = equation.primitive.name
        if not any(isinstance(each, dict) for each in operands):
            results = self._folds(equation, operands)
            if results is not None:
                return results
        if name in LOOPS:
            return LOOPS[name](self, equation, operands, where, of_jax)
        body = bodies.body_of(equation)
        if body is not None:
            options = self._kept_by_name(equation, body, operands)
            avals = [each.aval for each in equation.outvars]
            if options is not None:
                return self.step(f"jit[{options.pop('name')}]", operands, options, avals, where)
            return self.call(body, operands, where, of_jax)
        return self._primitive(equation, operands, where)

    def _kept_by_name(self, equation: Any, body: Any, operands: list[Any]) -> dict[str, Any] | None:
        """The name and the options of a function of JAX that stays as it is, None of any other."""
        options = bodies.kept(self._jax, equation, body, operands)
        if options is None:
            return None
        key = id(body), tuple(sorted(options.items()))
        if key not in self._trusted:
            self._trusted[key] = body, trial.is_that_of_numpy(body, equation, options)
        return options if self._trusted[key][1] else None

    def call(self, body: Any, operands: Operands, where: bodies.Where, of_jax: bool) -> list[Any]:
        """The results of the jaxpr of an equation."""
        inside = of_jax or bodies.is_of_jax(self._jax, body)
        return self.steps(getattr(body, "jaxpr", body), getattr(body, "consts", ()), operands, where, inside)

    def _primitive(self, equation: Any, operands: list[Any], where: bodies.Where) -> list[Any]:
        name, avals = equation.primitive.name, [each.aval for each in equation.outvars]
        if name in indices.PLACES:
            found = indices.PLACES[name](self._jax, equation, operands, self.shape_of)
            if found is not None:
                return self.step(found.operator, found.operands, found.options, avals, where)
        return self.step(name, operands, equation.params, avals, where)


def _read(known: Mapping[Any, Any], variable: Any) -> Any:
    """The value of a variable or a literal."""
    if not hasattr(variable, "val"):
        return known[variable]
    import numpy

    return numpy.asarray(variable.val, variable.aval.dtype)


def _scan(made: _JaxDump, equation: Any, operands: list[Any], where: bodies.Where, of_jax: bool) -> list[Any]:
    """The turns of a scan, one by one."""
    settings = equation.params
    constants, carries = settings["num_consts"], settings["num_carry"]
    fixed, state = operands[:constants], operands[constants : constants + carries]
    series = operands[constants + carries :]
    turns = range(settings["length"])
    rows: dict[int, list[Any]] = {}
    for turn in reversed(turns) if settings["reverse"] else turns:
        picked = [_at(made, each, turn, where) for each in series]
        results = made.call(settings["jaxpr"], [*fixed, *state, *picked], where, of_jax)
        state, rows[turn] = results[:carries], results[carries:]
    stacked = [
        _stacked(made, [rows[turn][number] for turn in turns], each.aval, where)
        for number, each in enumerate(equation.outvars[carries:])
    ]
    return [*state, *stacked]


def _at(made: _JaxDump, series: Any, turn: int, where: bodies.Where) -> Any:
    """The entry of an array along its first axis."""
    if not isinstance(series, dict):
        return series[turn]
    shape = made.shape_of(series)
    row = bodies.Aval((1, *shape[1:]), made.dtype_of(series))
    ends = {"start_indices": (turn, *(0,) * len(shape[1:])), "limit_indices": (turn + 1, *shape[1:]), "strides": None}
    piece = made.step("slice", [series], ends, [row], where)[0]
    return made.step("squeeze", [piece], {"dimensions": (0,)}, [bodies.Aval(shape[1:], row.dtype)], where)[0]


def _stacked(made: _JaxDump, rows: list[Any], aval: Any, where: bodies.Where) -> Any:
    if not any(isinstance(each, dict) for each in rows):
        import numpy

        return numpy.stack(rows) if rows else numpy.zeros(aval.shape, aval.dtype)
    return made.step("stack", rows, {}, [aval], where)[0]


def _while(made: _JaxDump, equation: Any, operands: list[Any], where: bodies.Where, of_jax: bool) -> list[Any]:
    """The turns of a loop whose condition depends on no floating input."""
    settings = equation.params
    first, second = settings["cond_nconsts"], settings["cond_nconsts"] + settings["body_nconsts"]
    of_condition, of_body, state = operands[:first], operands[first:second], operands[second:]
    while True:
        (goes_on,) = made.call(settings["cond_jaxpr"], [*of_condition, *state], where, of_jax)
        if isinstance(goes_on, dict):
            reason = "the number of turns of a while_loop depends on floating numbers"
            raise Untraceable(f"{bodies.text_of(where)}{reason}: expected a number that does not")
        if not goes_on:
            return state
        state = made.call(settings["body_jaxpr"], [*of_body, *state], where, of_jax)


def _cond(made: _JaxDump, equation: Any, operands: list[Any], where: bodies.Where, of_jax: bool) -> list[Any]:
    """The steps of the taken branch."""
    index, *others = operands
    if isinstance(index, dict):
        reason = "a branch of lax.cond depends on floating numbers"
        raise Untraceable(f"{bodies.text_of(where)}{reason}: expected jax.numpy.where, or a condition that does not")
    branches = equation.params["branches"]
    return made.call(branches[min(max(int(index), 0), len(branches) - 1)], others, where, of_jax)


LOOPS: dict[str, Callable[..., list[Any]]] = {"scan": _scan, "while": _while, "cond": _cond}


def as_array(array: Any) -> Any:
    """An array of JAX as NumPy's; bfloat16 as float32."""
    import numpy

    return numpy.asarray(array.astype("float32") if str(array.dtype) == "bfloat16" else array)
