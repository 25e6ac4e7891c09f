"""The worker: hosts one backend in its framework's interpreter, and answers until a request ends it."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from gradcheck.backends._engine import Answer, Engine, Malformed, Unavailable, Unsupported
from gradcheck.backends._worker import protocol
from gradcheck.backends._worker.authoring import Author
from gradcheck.backends._worker.comparison import differences, same_bits
from gradcheck.backends._worker.graph import InterpretedGraph
from gradcheck.backends._worker.handwritten import HandWritten, Subject, function_of
from gradcheck.backends._worker.imports import Imports
from gradcheck.backends._worker.own_arrays import Implementation, InEngine
from gradcheck.backends._worker.source import execute
from gradcheck.backends._worker.whole_files import ORIGINAL, watched_in

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from gradcheck.backends._engine import Arrays, Key


FUNCTIONS = ("gradients", "hessian_products", "implementations")
"""What names functions in a problem's file."""
KEPT_GRAPHS = 16
"""How many losses a worker keeps, the latest ones first."""


def main() -> None:
    """Answer the requests on standard input."""
    requests, replies = take_standard_streams()
    arrived: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(requests, arrived), daemon=True).start()
    host = Host()
    while True:
        request = arrived.get()
        protocol.write(replies, {"id": request["id"], **host.answer(request)})


def take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard input and output for the protocol; prints of frameworks and problems go to standard error."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def listen(requests: BinaryIO, arrived: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Pass requests on, and end the process when a request says so or the parent has ended, even during an evaluation.

    It ends at once: a framework's own teardown costs a tenth of a second and may crash, and there is nothing to save.
    """
    for request in protocol.read(requests):
        if request["method"] == "stop":
            break
        arrived.put(request)
    os._exit(0)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation of a backend: its answer, the seconds that it took, and the inputs that it changed."""

    answer: Answer
    seconds: float
    mutated: set[str]


class Files:
    """Writes arrays to .npy files.

    Args:
        folders: where; each takes the place of those before it that are full.
        numbers: the names of their files.
    """

    def __init__(self, folders: Sequence[str], numbers: Iterator[int]) -> None:
        self.folders = folders
        self.numbers = numbers

    def save(self, array: np.ndarray) -> str:
        """The path of a new file that holds an array."""
        name = f"{next(self.numbers)}.npy"
        *first, last = (os.path.join(folder, name) for folder in self.folders)
        for path in first:
            with contextlib.suppress(OSError):
                return written(path, array)
            with contextlib.suppress(OSError):
                os.remove(path)
        return written(last, array)


def written(path: str, array: np.ndarray) -> str:
    """The path of a file, once it holds an array."""
    with open(path, "wb") as file:
        protocol.write_npy(file, array)
    return path


class Host:
    """One backend, once it is started, and the problems that it has loaded."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.implementation: str | None = None
        self.implemented: tuple[Any, Any, Implementation] | None = None
        self.problems: dict[tuple[str, ...], tuple[Imports, ModuleType]] = {}
        self.graphs: list[tuple[Any, InterpretedGraph]] = []
        self.numbers = itertools.count()  # of files, so that those of several cases have different names
        self.files: set[str] = set()  # in which functions of problems were written

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A request's result or error."""
        try:
            own = {"start": self.start, "evaluate": self.evaluate, "evaluate_several": self.evaluate_several}
            return {"result": own.get(request["method"], self.ask)(request)}
        except Unsupported as error:
            return failure("unsupported", error)
        except (ImportError, Unavailable) as error:
            return failure("unavailable", error)
        except BaseException as error:  # a gradient may call sys.exit, or raise KeyboardInterrupt
            return failure("crashed", error, {request.get("problem", ""), *self.files})

    def start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Import the framework."""
        began = time.perf_counter()
        with no_collections():
            self.engine = loaded(request)
        self.implementation = request.get("implementation")
        if "device" in request:
            self.engine.use(request["device"], request["tf32"])
        return {
            "version": self.engine.version,
            "python_version": ".".join(map(str, sys.version_info[:3])),
            "packages": {"numpy": sys.modules["numpy"].__version__, **self.engine.packages()},
            "threads": self.engine.threads(),
            "seconds": time.perf_counter() - began,
        }

    def evaluate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluate a case, by default twice: a backend that keeps state, or has a race, does not repeat itself."""
        subject: Any
        context: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if isinstance(self.engine, HandWritten) or self.implementation:
            context, problem = self.problem(request["problem"], request["folders"])
            with context:
                subject = self.subject(problem, request)
            given = read(request["inputs"])
        else:
            subject = self.graph(request["graph"])
            given = read({**request["inputs"], **request["constants"]})
        with context:
            first = self.evaluate_once(subject, given, request)
            again = self.evaluate_once(subject, given, request) if request.get("twice", True) else first
        varies = differences(first.answer, again.answer)
        files = Files([request["folder"], request["spare"]], self.numbers)
        return {
            **first.answer.converted(lambda key, array: protocol.encode(array, files.save)),
            "notes": list(first.answer.notes),
            "seconds": first.seconds,
            "again_seconds": None if again is first else again.seconds,
            "mutated": [name for name in request["inputs"] if name in first.mutated or name in again.mutated],
            "varies": [[*which, protocol.number(largest)] for which, largest in varies],
        }

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What a file in the engine's own code has: a method of `Author`."""
        assert self.engine is not None, "it comes after start"
        context, problem = self.problem(request["problem"], request["folders"])
        with context:
            author = Author(self.engine, problem, request, read, Files([request["folder"]], self.numbers).save)
            found: dict[str, Any] = getattr(author, request["method"])()
        return {**found, "files": context.files, "used": sorted(context.folders_used)}

    def evaluate_several(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluate several cases of one loss; each has a result or an error of its own."""
        return {"answers": [self.answer({**request, **case, "method": "evaluate"}) for case in request["cases"]]}

    def evaluate_once(self, subject: Any, given: Arrays, request: Mapping[str, Any]) -> Evaluation:
        """Evaluate the backend once, with its own copy of the inputs."""
        import numpy as np

        assert self.engine is not None, "evaluate comes after start"
        inputs = {name: np.array(array) for name, array in given.items()}
        began = time.perf_counter()
        answer = self.engine.evaluate(subject, inputs, request["wrt"], request["dtype"])
        seconds = time.perf_counter() - began
        # A backend may use the memory of its answer, or of its inputs, again.
        kept = dataclasses.replace(answer, **answer.converted(lambda key, array: protocol.real(array, in_words(key))))
        return Evaluation(kept, seconds, {name for name, array in inputs.items() if not same_bits(array, given[name])})

    def subject(self, problem: ModuleType, request: Mapping[str, Any]) -> Subject | Implementation:
        """A problem's hand-written functions, or its implementation, the same object for the same loss."""
        message = request["graph"]
        if self.implementation is None:
            return Subject.of(problem, message)
        key = message, request["size"], request["dtype"]
        if self.implemented is None or self.implemented[0] is not problem or self.implemented[1] != key:
            function = self.function(problem, self.implementation, request)
            self.implemented = problem, key, Implementation(function, message)
        return self.implemented[2]

    def function(self, problem: ModuleType, name: str, request: Mapping[str, Any]) -> Any:
        """An implementation of a problem's loss: the loss itself, if it is written in an engine's own code."""
        if name != ORIGINAL:
            return function_of(problem.implementations[name])
        assert self.engine is not None, "evaluate comes after start"
        whole = self.engine.whole_file(problem, tuple(request["size"]), request["dtype"])
        return whole.as_function(watched_in(request["graph"]))

    def graph(self, message: Any) -> InterpretedGraph:
        """The loss of a message, the same object for the same loss: engines keep what they have compiled of it."""
        for known, graph in self.graphs:
            if known == message:
                return graph
        self.graphs = [(message, InterpretedGraph(message)), *self.graphs[: KEPT_GRAPHS - 1]]
        return self.graphs[0][1]

    def problem(self, path: str, folders: Sequence[str]) -> tuple[Imports, ModuleType]:
        """The problem's module, and the context of its code; both are loaded again if a file has changed.

        Args:
            path: its file.
            folders: where its user's modules are searched.
        """
        key = (path, *folders)
        if key not in self.problems or self.problems[key][0].have_changed():
            imports = Imports(folders)
            if self.engine is not None:
                self.engine.begin_file()
            self.problems[key] = imports, imports.execute(path)
            module = self.problems[key][1]
            named = [each for each in (getattr(module, key, {}) for key in FUNCTIONS) if isinstance(each, Mapping)]
            codes = [getattr(function_of(function), "__code__", None) for each in named for function in each.values()]
            self.files = {code.co_filename for code in codes if code}
        return self.problems[key]


def read(wired: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a request."""
    return {name: protocol.decode(each, protocol.mapped, protocol.INPUT_DTYPES) for name, each in wired.items()}


def loaded(request: Mapping[str, Any]) -> Engine:
    """The backend of a request to start, with its framework imported."""
    if "backend" not in request:
        return HandWritten(request["gradient"])
    engine: Engine = execute(request["backend"]).load()
    return InEngine(request["gradient"], engine) if "gradient" in request else engine


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """Collect no garbage during the import of a framework: nearly all objects stay, and collecting takes a tenth."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor among these objects later
        gc.enable()


def in_words(key: Key) -> str:
    """An array's kind and its name, if it has one."""
    return "-".join(each for each in key if each)


def failure(kind: str, error: BaseException, files: Collection[str] = ()) -> dict[str, Any]:
    """An exception as an error message; it begins with the line of the user's file through which the exception came."""
    if isinstance(error, Malformed):
        return {"error": {"kind": kind, "message": str(error)}}
    message = str(error)
    if kind == "crashed":
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
        message = line_in(files, error) + message
    return {"error": {"kind": kind, "message": message, "traceback": trimmed(error)}}


def line_in(files: Collection[str], error: BaseException) -> str:
    """`file:line: ` of the last line in some files through which an exception came, or nothing."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{lines[-1].filename}:{lines[-1].lineno}: " if lines else ""


def trimmed(error: BaseException) -> str:
    """A traceback without our own frames: only those of the problem and the framework."""
    summary = traceback.TracebackException.from_exception(error)
    worker = os.path.dirname(os.path.abspath(__file__))
    ours = (worker, os.path.dirname(worker))
    theirs = [frame for frame in summary.stack if os.path.dirname(frame.filename) not in ours]
    summary.stack = traceback.StackSummary.from_list(theirs)
    return "".join(summary.format())
