"""A PyTorch function as data: what torch.export records of it, for `gradcheck.graphs.torch`.

A dump is a dictionary of plain data and arrays:

    torch       the release of PyTorch
    nodes       in order of computation, each with "operator", "shape" and "dtype" of its result (None for several
                results), "module" (the path of the module that computes it), "file" and "line" of the user's source:
                  "input"     with "name" and "of": "parameter", "buffer" or "argument"
                  "constant"  with "name", a key of `arrays`
                  "getitem"   one of several results
                  "aten..."   an operator with "arguments" and "options"; a tensor in them is {"node": place}
    outputs     label -> place of a node; the label of a single result is ""
    arrays      name -> NumPy array of an input or a constant; bfloat16 comes as float32

Integers and booleans that depend on no floating input are computed here, and so are floats that are only moved:
PyTorch rounds none of them. All other steps stay, with their rounding errors.
"""

from __future__ import annotations

import contextlib
import io
import logging
import operator
import os
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

_MOVING = """alias arange cat clone copy detach_copy empty empty_permuted empty_strided expand expand_copy eye fill flip
full full_like gather index index_select lift_fresh_copy ones ones_like permute repeat scalar_tensor select slice
split_with_sizes squeeze stack tril triu unsqueeze view where zeros zeros_like"""
OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
"""The folder of gradcheck, which holds no line of the user."""
EXACT = frozenset(_MOVING.split())
"""ATen operators that round nothing."""


class Unexportable(Exception):
    """torch.export cannot record the function. The message is the reason, in one line."""


def wrapped(torch: Any, function: Callable[..., Any], modules: Mapping[str, Any]) -> Any:
    """A function as a module, whose parameters are those of the modules that it uses, by their names in it.

    Args:
        torch: the imported framework.
        function: what is called.
        modules: name -> a module that the function uses; "" for the function itself.
    """
    if "" in modules:
        return modules[""]

    class Caller(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *arguments: Any, **options: Any) -> Any:
            return function(*arguments, **options)

    caller = Caller()
    for name, module in modules.items():
        caller.add_module(name, module)
    return caller


def dumped(
    torch: Any, module: Any, call: tuple[Sequence[Any], Mapping[str, Any]], names: Sequence[str], rows: Collection[str]
) -> dict[str, Any]:
    """The dump of a module.

    Args:
        torch: the imported framework.
        module: what is recorded, see `wrapped`.
        call: its arguments, and those by keyword.
        names: of the leaves of its arguments, see `leaves_of`.
        rows: names of the operators that stay as they are, such as "aten.gelu.default"; others are decomposed.

    Raises:
        Unexportable: torch.export refuses it.
    """
    try:
        with _with_every_frame(torch), _in_silence():
            program = torch.export.export(module, tuple(call[0]), dict(call[1]), strict=False)
            table = torch.export.default_decompositions()
            for each in [each for each in table if str(each) in rows]:
                del table[each]
            program = program.run_decompositions(table)
    except Exception as error:
        raise Unexportable(reason(torch, error)) from error
    return _Dump(torch, program, module, call, names).data


@contextlib.contextmanager
def _with_every_frame(torch: Any) -> Iterator[None]:
    """Let steps keep the frames of all functions of the user: PyTorch itself keeps those of `forward` alone."""
    tracer, name = torch.fx.proxy.TracerBase, "_filter_traceback_frames"
    original = getattr(tracer, name, None)
    if original is None:
        yield
        return
    library = os.path.dirname(torch.__file__)
    modules = os.path.join(library, "nn", "modules", "")

    def kept(_tracer: Any, frames: Any) -> Any:
        ours = [place for place, frame in enumerate(frames) if frame.filename == __file__]
        inner = frames[ours[-1] + 1 :] if ours else frames
        of_users = [
            frame for frame in inner if not frame.filename.startswith((library, "<"))
        ]  # "<string>" is PyTorch's
        of_modules = [frame for frame in inner if frame.filename.startswith(modules)]
        return type(frames).from_list((of_users or of_modules)[-1:])

    setattr(tracer, name, kept)
    try:
        yield
    finally:
        setattr(tracer, name, original)


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """Keep what torch.export prints and warns about: the exception says what matters."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(disabled)


def reason(torch: Any, error: BaseException) -> str:
    """An error of the user's code or of torch.export in one line, with the user's line where it is known."""
    library = os.path.dirname(torch.__file__)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((library, OURS, "<"))
    ]
    where = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    if "DataDependent" in type(error).__name__:
        return f"{where}it makes a Python number or a branch of the values of a tensor"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{where}{type(error).__name__}: {lines[0] if lines else 'no reason'}"


def tensors_of(module: Any) -> dict[str, Any]:
    """The parameters and buffers of a module by name; one that has several names comes under each."""
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    return dict(named)


def leaves_of(torch: Any, call: tuple[Sequence[Any], Mapping[str, Any]], names: Sequence[str]) -> list[tuple[str, Any]]:
    """The leaves of a call's arguments with their names: "x", "batch[tokens]", "0" of an argument without a name.

    Args:
        torch: the imported framework.
        call: the arguments, and those by keyword.
        names: of the arguments by position, as many as have one.
    """
    given = [(names[at] if at < len(names) else str(at), each) for at, each in enumerate(call[0])]
    flat = torch.utils._pytree.tree_flatten_with_path
    return [
        (f"{name}{label_of(path)}", leaf) for name, each in [*given, *call[1].items()] for path, leaf in flat(each)[0]
    ]


def label_of(path: Sequence[Any]) -> str:
    """The path of a leaf, "[0][mean]"."""
    keys = [next(getattr(key, kind) for kind in ("key", "idx", "name") if hasattr(key, kind)) for key in path]
    return "".join(f"[{key}]" for key in keys)


class _Dump:
    """The making of one dump."""

    def __init__(self, torch: Any, program: Any, module: Any, call: Any, names: Sequence[str]) -> None:
        self._torch = torch
        self._places: dict[Any, int] = {}
        self._known: dict[Any, Any] = {}
        self._nodes: list[dict[str, Any]] = []
        self._arrays: dict[str, Any] = {}
        specs = program.graph_signature.input_specs
        self._of = {spec.arg.name: spec for spec in specs}
        self._given = {**program.constants, **tensors_of(module)}
        users = [spec.arg.name for spec in specs if spec.kind.name == "USER_INPUT"]
        self._leaves = dict(zip(users, torch.utils._pytree.tree_leaves((tuple(call[0]), dict(call[1])))))
        self._names = dict(zip(users, names))
        results = self._results(program)
        needed = _needed(results.values())
        for node in program.graph.nodes:
            if node.op == "placeholder":
                self._input(node)
            elif node.op == "call_function" and node in needed:
                self._step(node)
        outputs = {label: self._place(node) for label, node in results.items()}
        release = str(torch.__version__)
        self.data = {"torch": release, "nodes": self._nodes, "outputs": outputs, "arrays": self._arrays}

    def _input(self, node: Any) -> None:
        spec = self._of[node.name]
        kind = spec.kind.name
        value = self._leaves.get(node.name) if kind == "USER_INPUT" else self._given.get(spec.target)
        if not isinstance(value, self._torch.Tensor):
            return  # a number or a text, which the program holds as such
        if kind == "CONSTANT_TENSOR" or not value.is_floating_point():
            self._known[node] = value.detach()
            return
        of = {"PARAMETER": "parameter", "BUFFER": "buffer"}.get(kind, "argument")
        name = self._names[node.name] if kind == "USER_INPUT" else str(spec.target)
        record = {"operator": "input", "name": name, "of": of}
        if value.requires_grad or not self._torch.isinf(value).any():
            self._arrays[name] = as_array(self._torch, value)
            self._append(node, record)
        else:
            self._mask(node, record, value.detach())

    def _mask(self, node: Any, record: dict[str, Any], value: Any) -> None:
        """Append an input with infinities, such as a mask of attention: they are a constant, and it has zeros there."""
        infinite = value.isinf()
        constants = {"infinite": infinite, "infinities": self._torch.where(infinite, value, 0)}
        arrays = {record["name"]: value.masked_fill(infinite, 0), **constants}
        for name, array in arrays.items():
            key = name if name == record["name"] else f"{name} of {record['name']}"
            self._arrays[key] = as_array(self._torch, array)
            self._append(node, record if key == name else {"operator": "constant", "name": key})
            self._nodes[-1]["dtype"] = str(array.dtype).partition(".")[2]
        last = len(self._nodes) - 1
        operands = {"condition": last - 1, "self": last, "other": last - 2}
        arguments = {name: {"node": place} for name, place in operands.items()}
        self._append(node, {"operator": "aten.where.self", "arguments": arguments})

    def _step(self, node: Any) -> None:
        operands = node.all_input_nodes
        if all(each in self._known for each in operands) and self._folds(node):
            return
        if node.target is operator.getitem:
            arguments: list[Any] = [self._argument(each) for each in node.args]
            self._append(node, {"operator": "getitem", "arguments": arguments})
            return
        schema = getattr(node.target, "_schema", None)  # operators of a higher order have none
        names = [argument.name for argument in schema.arguments] if schema else map(str, range(len(node.args)))
        given = {**dict(zip(names, node.args)), **node.kwargs}
        options = {name: self._argument(value) for name, value in given.items()}
        self._append(node, {"operator": str(node.target), "arguments": options})

    def _folds(self, node: Any) -> bool:
        """Compute a step of known values, if PyTorch rounds nothing in it."""
        target = node.target
        if target is not operator.getitem and self._torch.Tag.nondeterministic_seeded in target.tags:
            return False
        arguments, options = self._torch.fx.node.map_arg((node.args, node.kwargs), self._known.__getitem__)
        with self._torch.no_grad():
            value = target(*arguments, **options)
        if str(target).startswith("aten.empty"):
            value = self._torch.zeros_like(value)  # whatever the memory holds, later steps write it
        results = value if isinstance(value, (tuple, list)) else [value]
        floats = any(isinstance(each, self._torch.Tensor) and each.is_floating_point() for each in results)
        if floats and not (target is operator.getitem or self._is_exact(target, arguments, value)):
            return False
        self._known[node] = value
        return True

    def _is_exact(self, target: Any, arguments: Sequence[Any], value: Any) -> bool:
        name = str(target).split(".")[1]
        if name == "_to_copy":
            return bool(self._torch.equal(arguments[0].double(), value.double()))
        return name in EXACT

    def _place(self, node: Any) -> int:
        """The place of a node; a known value becomes a constant where it is first used."""
        if node not in self._places:
            name = f"constant {len(self._nodes)}"
            self._arrays[name] = as_array(self._torch, self._known[node])
            self._append(node, {"operator": "constant", "name": name})
        return self._places[node]

    def _append(self, node: Any, record: dict[str, Any]) -> None:
        value = node.meta.get("val")
        single = isinstance(value, self._torch.Tensor)
        record["shape"] = list(value.shape) if single else None
        record["dtype"] = str(value.dtype).partition(".")[2] if single else None
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        record["module"] = stack[-1][0] if stack else ""
        record["file"], record["line"] = _source(node.meta.get("stack_trace") or "")
        if single and not all(isinstance(size, int) for size in value.shape):
            where = f"{record['file']}:{record['line']}: " if record["file"] else ""
            raise Unexportable(f"{where}the shape of {node.target} depends on values")
        self._places[node] = len(self._nodes)
        self._nodes.append(record)

    def _argument(self, value: Any) -> Any:
        """An argument as plain data."""
        torch = self._torch
        if isinstance(value, torch.fx.Node):
            known = self._known.get(value)
            return known if isinstance(known, (bool, int)) else {"node": self._place(value)}
        if isinstance(value, (tuple, list)):
            return [self._argument(each) for each in value]
        if isinstance(value, torch.dtype):
            return str(value).partition(".")[2]
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return {"number": str(value)}
        return value if isinstance(value, (bool, int, float, str)) else None

    def _results(self, program: Any) -> dict[str, Any]:
        """The nodes of the floating results of the user's function by label."""
        nodes = {node.name: node for node in program.graph.nodes}
        users = [spec.arg for spec in program.graph_signature.output_specs if spec.kind.name == "USER_OUTPUT"]
        pytree = self._torch.utils._pytree
        tree = pytree.tree_unflatten([getattr(each, "name", None) for each in users], program.call_spec.out_spec)
        found = {}
        for path, name in pytree.tree_flatten_with_path(tree)[0]:
            value = nodes[name].meta.get("val") if name in nodes else None
            if isinstance(value, self._torch.Tensor) and value.is_floating_point():
                found[label_of(path)] = nodes[name]
        return found


def _needed(results: Collection[Any]) -> set[Any]:
    """The nodes from which some are computed, and these: not the updates of buffers, and no assertions."""
    found, waiting = set(), list(results)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _source(trace: str) -> tuple[str | None, int | None]:
    """The file and line of the last frame of a stack trace as text."""
    for line in reversed(trace.splitlines()):
        file, _, rest = line.strip().partition('", line ')
        if file.startswith('File "') and rest:
            return file[6:], int(rest.partition(",")[0])
    return None, None


def as_array(torch: Any, tensor: Any) -> Any:
    """A tensor as a NumPy array; bfloat16 as float32, a sparse one with its zeros."""
    tensor = tensor.detach()
    tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(force=True).copy()
