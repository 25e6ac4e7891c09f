"""Arrays and records of answers from files: JSON with nested lists, or .npz."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from gradcheck.answers import BackendAnswer, Printed
from gradcheck.dtypes import DTYPES, Dtype
from gradcheck.errors import RequestError
from gradcheck.problems.cases import Case
from gradcheck.results import Backend
from gradcheck.runs import archives
from gradcheck.text.suggestions import did_you_mean
from gradcheck.text.wording import shortened

T = TypeVar("T")
Array = npt.NDArray[np.floating[Any]]
NON_FINITE: Mapping[str, float] = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
MOST_BYTES = 1 << 24
"""The largest JSON file, 16 MiB: as Python's lists it takes up to ten times as much."""
MOST_LISTS = 1 << 20
"""The largest number of lists in a JSON file: an empty one takes three bytes there, and seventy in memory."""
DEEPEST = 32
"""The largest number of dimensions of an array: every NumPy allows it."""
LONGEST_NAME = 100
LONGEST_MESSAGE = 300
LONGEST_PATH = 4096
EXPECTED = {
    "problem": "a problem's name, or the path of its file",
    "inputs": """the inputs by name, such as {"x": [1.0, 2.0]}""",
    "answers": """answers by name, one at least, such as {"mine": {"dtype": …, "loss": …, "gradients": …}}""",
    "dtype": "one of " + ", ".join(f'"{dtype}"' for dtype in DTYPES),
    "loss": "a number",
    "gradients": """the gradients by name, such as {"x": [1.0, 2.0]}""",
    "values": """watched values by name, such as {"h": [1.0, 2.0]}""",
    "adjoints": """their adjoints by name, such as {"h": [1.0, 2.0]}""",
    "printed": """one of {"decimals": 4} and {"significant": 8}""",
    "decimals": "a number from 1 to 30",
    "significant": "a number from 1 to 30",
}
"""The expected content of each field of a record."""
BARE = re.compile(rb"NaN|Infinity")
"""Numbers that Python's `json.dump` writes, but JSON does not have."""
Places = Annotated[int, msgspec.Meta(ge=1, le=30)]


class PrintedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an answer's numbers were rounded for print: one of the two is given."""

    decimals: Places | None = None
    significant: Places | None = None

    def __post_init__(self) -> None:
        """Check that one is given."""
        if (self.decimals is None) == (self.significant is None):
            raise ValueError("one of decimals and significant is given")


class AnswerRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer in a file: arrays as nested lists, or as arrays of a .npz file."""

    dtype: Dtype
    loss: Any
    gradients: dict[str, Any]
    values: dict[str, Any] = {}
    adjoints: dict[str, Any] = {}
    printed: PrintedRecord | None = None

    def answer(self, where: str) -> BackendAnswer:
        """The answer, its arrays in float64.

        Raises:
            RequestError: something in it is not an array of numbers; the message shows `where`.
        """
        return BackendAnswer(
            loss=as_array(self.loss, f"{where}: loss"),
            gradients=as_arrays(self.gradients, f"{where}: gradients"),
            values=as_arrays(self.values, f"{where}: values"),
            adjoints=as_arrays(self.adjoints, f"{where}: adjoints"),
            printed=Printed(self.printed.decimals, self.printed.significant) if self.printed else None,
        )


class RecordFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Gradients that were computed elsewhere: the problem, the inputs, and each answer by its name."""

    problem: Annotated[str, msgspec.Meta(max_length=LONGEST_PATH)]
    inputs: dict[str, Any]
    answers: Annotated[dict[str, AnswerRecord], msgspec.Meta(min_length=1)]


EXPECTED_WHOLE: Mapping[type, str] = {
    RecordFile: "an object with problem, inputs and answers",
    AnswerRecord: "an object with dtype, loss and gradients",
    dict: EXPECTED["inputs"],
}


def read_record(path: Path) -> RecordFile:
    """Read a record.

    In a .npz file the keys are paths: `problem`, `inputs/A`, `answers/torch/dtype`, `answers/torch/gradients/A`, ….

    Raises:
        RequestError: the file cannot be read, or holds something else.
    """
    record = _nested(_read(path), path)
    answers = record.get("answers") if isinstance(record, dict) else None
    for name, answer in answers.items() if isinstance(answers, dict) else ():
        _convert(answer, AnswerRecord, f"{path}: {_short(name)}")
    return _convert(record, RecordFile, str(path))


def record_of(problem: str, inputs: Any, answers: Any, where: str) -> RecordFile:
    """A record of arrays of any framework.

    Args:
        problem: its name, or the path of its file.
        inputs: arrays by name.
        answers: by name, each a mapping as in a file, or what a hand-written gradient returns: (loss, gradients), and
            the watched values as an optional third. Without a dtype, an answer has that of its gradients.
        where: the beginning of messages.

    Raises:
        RequestError: something is missing, unknown, or no array.
    """
    for field, given in (("inputs", inputs), ("answers", answers)):
        if not isinstance(given, Mapping):
            raise RequestError(f"{where}: {field}: {_found(given)}: expected {EXPECTED[field]}")
    plain = {str(name): _answer_of(each, inputs, f"{where}: {name}") for name, each in answers.items()}
    return _convert({"problem": problem, "inputs": _plain(inputs), "answers": plain}, RecordFile, where)


def _answer_of(answer: Any, inputs: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An answer as in a file."""
    if isinstance(answer, (tuple, list)):
        if len(answer) not in (2, 3) or not all(isinstance(each, Mapping) for each in answer[1:]):
            raise RequestError(f'{where}: {_found(answer)}: expected (loss, {{"W": dL/dW, ...}})')
        loss, found, *values = answer
        answer = {
            "loss": loss,
            "gradients": {name: each for name, each in found.items() if name in inputs},
            "adjoints": {name: each for name, each in found.items() if name not in inputs},
            "values": values[0] if values else {},
        }
    if not isinstance(answer, Mapping):
        raise RequestError(f"{where}: {_found(answer)}: expected {EXPECTED_WHOLE[AnswerRecord]}")
    gradients = answer.get("gradients")
    dtypes = [dtype_name(each) for each in gradients.values()] if isinstance(gradients, Mapping) else []
    own = dtypes[0] if dtypes and len(set(dtypes)) == 1 and dtypes[0] in DTYPES else "float64"
    plain: dict[str, Any] = {"dtype": own, **_plain(answer)}
    if isinstance(plain.get("loss"), (list, np.ndarray)):
        raise RequestError(f"{where}: loss: an array: expected {EXPECTED['loss']}")
    _convert(plain, AnswerRecord, where)
    return plain


def dtype_name(array: Any) -> str:
    """The name of an array's dtype, "float32", in any framework."""
    return str(getattr(array, "dtype", "")).rpartition(".")[2]


def _plain(value: Any) -> Any:
    """Mappings of arrays as mappings of NumPy arrays; numbers, texts and lists stay."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if value is None or isinstance(value, (bool, int, float, str, list)):
        return value
    array = plain(value)
    return array.item() if array.shape == () and array.dtype.kind in "fiub" else array


def plain(array: Any) -> npt.NDArray[Any]:
    """An array of any framework in NumPy, bfloat16 as float32."""
    array = array.detach().cpu() if hasattr(array, "detach") else array
    array = array.float() if hasattr(array, "float") and dtype_name(array) == "bfloat16" else array
    found = np.asarray(array)
    return found.astype(np.float32) if found.dtype.name == "bfloat16" else found


def record_text(problem: str, case: Case, backends: Iterable[Backend]) -> str:
    """The JSON of a record of a case and its answers; without an answer, of the inputs alone.

    Args:
        problem: its name, or the path of its file from the record's folder.
        case: its numbers are written with as few digits as its dtype needs.
        backends: those that answered, with their gradients.
    """
    inputs = {name: _listed(array) for name, array in case.inputs.items()}
    answers = {
        each.spec: {
            "dtype": each.dtype,
            "loss": _number(each.loss),
            "gradients": {name: _listed(np.asarray(array, np.float64)) for name, array in each.gradients.items()},
        }
        for each in backends
        if each.gradients is not None and each.loss is not None
    }
    whole = {"problem": problem, "inputs": inputs, "answers": answers} if answers else inputs
    return msgspec.json.format(msgspec.json.encode(whole), indent=1).decode() + "\n"


def _listed(array: npt.NDArray[Any]) -> Any:
    """An array as nested lists."""
    if array.ndim:
        return [_listed(each) for each in array]
    return _number(float(str(array[()]))) if array.dtype.kind == "f" else array.item()


def _number(value: float) -> float | str:
    """A number in JSON, as text if it is not finite."""
    return next((text for text, each in NON_FINITE.items() if each == value), value) if value == value else "NaN"


def read_arrays(path: Path) -> dict[str, Array]:
    """Arrays by name, in float64, from a .npz file or a JSON object of nested lists; of a record its inputs.

    Raises:
        RequestError: the file cannot be read, or holds something else.
    """
    content = _read(path)
    if isinstance(content, dict) and "problem" in content:
        content = _nested(content, path).get("inputs")
    return as_arrays(_convert(content, dict, str(path)), str(path))


def as_arrays(values: Mapping[str, Any], where: str) -> dict[str, Array]:
    """Each value as an array; see `as_array`."""
    return {name: as_array(value, f"{where}: {name}") for name, value in values.items()}


def as_array(value: Any, where: str) -> Array:
    """Nested lists of numbers (or "NaN", "Infinity", "-Infinity") as an array of float64.

    Raises:
        RequestError: they are not an array of numbers; the message shows `where`.
    """
    try:
        if isinstance(value, np.ndarray):
            if value.dtype.kind == "c":
                raise TypeError("complex numbers")
            value = value.tolist() if value.dtype.kind in archives.TEXTS else value
        return np.asarray(value, np.float64) if isinstance(value, np.ndarray) else _array(_numbers(value))
    except (ValueError, TypeError, OverflowError) as error:
        raise RequestError(f"{where}: {_short(error)}: expected an array of real numbers") from None


def _array(numbers: Any) -> Array:
    """Nested lists of floats as an array."""
    try:
        return np.asarray(numbers, np.float64)
    except ValueError:
        raise ValueError("lists side by side differ in length or depth") from None


def _numbers(value: Any, depth: int = 0) -> Any:
    """Nested lists of floats: NumPy would allocate the longest text at each place, and read None as NaN."""
    if isinstance(value, list):
        if depth == DEEPEST:
            raise ValueError(f"more than {DEEPEST} dimensions")
        return [_numbers(each, depth + 1) for each in value]
    if isinstance(value, (int, float)):
        return float(value)
    if value is None:
        raise TypeError("a number is missing")
    if isinstance(value, str) and value in NON_FINITE:
        return NON_FINITE[value]
    raise TypeError(f"{_short(repr(value)) if isinstance(value, str) else 'an object'} is not a number")


def _read(path: Path) -> Any:
    """The unchecked content of a file, with single strings and numbers of a .npz file as such."""
    if path.suffix == ".py":
        instead = f"judge its gradients with: gradcheck run {path}"
        raise RequestError(f"{path}: a problem's file: expected a record, a .json or .npz file; {instead}")
    try:
        if path.suffix == ".npz":
            return {name: array.item() if array.shape == () else array for name, array in archives.read(path).items()}
        return _decoded(_content(path))
    except OSError as error:
        raise RequestError(f"{str(path)!r}: {error.strerror or error}: expected a .json or .npz file") from None
    except archives.Refused as error:
        raise RequestError(f"{path}: {_short(error)}") from None
    except RecursionError:
        raise RequestError(f"{path}: lists in lists without end: expected at most {DEEPEST} dimensions") from None
    except Exception as error:
        raise RequestError(f"{path}: {_short(error)}: expected JSON, or a .npz file") from None


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise archives.Refused(f"more than {MOST_BYTES} bytes of JSON: expected a .npz file for so much")
    if content.count(b"[") + content.count(b"{") > MOST_LISTS:
        raise archives.Refused(f"more than {MOST_LISTS} lists: expected a .npz file for so many")
    return content


def _decoded(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        place = re.search(r"\(byte (\d+)\)", str(error))
        if place and (bare := BARE.match(content, int(place[1]))):
            quoted = 'expected "NaN", "Infinity" or "-Infinity", in quotes'
            raise archives.Refused(f"{bare[0].decode()} at byte {place[1]} is not JSON: {quoted}") from None
        raise


def _nested(flat: Any, source: Path) -> Any:
    """Keys that are paths as nested mappings.

    Raises:
        RequestError: a key is the folder of another; the message shows `source`.
    """
    if not isinstance(flat, dict):
        return flat
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *folders, name = path.split("/")
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise RequestError(f"{source}: {_short(path)}: expected no value at {folder}, which holds it")
        if name in place:
            raise RequestError(f"{source}: {_short(path)}: expected a value or what is below it, not both")
        place[name] = value
    return nested


def _convert(value: Any, kind: type[T], where: str) -> T:
    try:
        converted = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RequestError(f"{where}: {_in_words(str(error), value, kind)}") from None
    for name in _names(value):
        if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
            raise RequestError(f"{where}: {_short(repr(name))}: expected a name, such as 'A'")
    return converted


def _in_words(error: str, value: Any, kind: type) -> str:
    """An error of msgspec about a record or an answer in plain words: the field, its value, the expected value.

    Names in the file may be long, and may contain any text: only the end of the error is used.
    """
    if missing := re.fullmatch("Object missing required field `([a-z]+)`", error[:LONGEST_MESSAGE]):
        return f"no key {missing[1]!r}: expected {EXPECTED[missing[1]]}"
    if error.startswith("Object contains unknown field"):
        return _unknown(value, RecordFile if kind is RecordFile else AnswerRecord)
    place = re.search(r" - at `\$\.([a-z.]+)`$", error[-LONGEST_NAME:])
    path = place[1].split(".") if place else []
    for name in path:
        value = value[name]
    expected = EXPECTED[path[-1]] if path else EXPECTED_WHOLE[kind]
    return ": ".join([*path, _found(value), f"expected {expected}"])


def _unknown(value: Mapping[str, Any], kind: type[msgspec.Struct]) -> str:
    """The first unknown field of a record, of an answer, or of its `printed`."""
    unknown = [name for name in value if name not in kind.__struct_fields__]
    if not unknown:
        return f"printed: {_unknown(value['printed'], PrintedRecord)}"
    name, fields = unknown[0][:LONGEST_NAME], kind.__struct_fields__
    return f"unknown field {name!r}: {did_you_mean(name, fields)}expected {', '.join(fields)}"


def _found(value: Any) -> str:
    if isinstance(value, dict):
        names = (name[:LONGEST_NAME] for name in itertools.islice(value, 3))
        return f"an object with {', '.join(names)}" if value else "an empty object"
    if isinstance(value, str):
        return repr(value[:LONGEST_NAME])
    return "a list" if isinstance(value, list) else _short(repr(value))


def _names(value: Any, depth: int = 0) -> Iterator[str]:
    """The keys of nested mappings, down to the depth of a record."""
    if isinstance(value, dict) and depth < DEEPEST:
        for name, each in value.items():
            yield name
            yield from _names(each, depth + 1)


def _short(message: object) -> str:
    """As much of a message as fits in a line; an exception's type if it has no message."""
    text = str(message) or type(message).__name__
    return shortened(text, LONGEST_MESSAGE)
