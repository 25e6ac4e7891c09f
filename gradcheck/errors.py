"""The exceptions that gradcheck raises.

    GradcheckError
    └── RequestError              the request is wrong; nothing was run (exit code 2)
        ├── ProblemError          the problem's file is wrong
        ├── InputsError           the inputs of a case do not fit its dtype
        └── EngineUnavailable     the engine in whose code it is written is not available (exit code 3)
    BaseException
    └── Interrupted           SIGTERM or Ctrl-C; the workers are gone (exit code 130)

A failure inside a backend raises no exception: it is that backend's verdict (see `gradcheck.results.Verdict`).
"""

import sys

FRAMEWORKS = {"torch": "PyTorch", "jax": "JAX"}
"""Those whose functions gradcheck checks in their own process, and whose code a problem's file may be written in."""


class GradcheckError(Exception):
    """Everything that gradcheck raises on purpose."""


class RequestError(GradcheckError):
    """The request is wrong. The message is one line that shows the value and what was expected."""

    exit_code = 2


class ProblemError(RequestError):
    """A problem's file is missing, cannot be loaded, or is not a complete problem."""


class InputsError(RequestError):
    """The inputs of a case overflow or underflow in its dtype; among many cases, that one has no outcome."""


class EngineUnavailable(RequestError):
    """The engine in whose own code a problem's file is written is not installed, or does not start."""

    exit_code = 3


class Interrupted(BaseException):
    """A signal ends the run; no `except Exception` in a user's file may swallow that."""


def not_installed(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error of `gradcheck.torch` or `gradcheck.jax` in an environment without that framework.

    Args:
        error: of the framework's import; it stays if the framework lacks something itself.
    """
    name = error.name or ""
    if name not in FRAMEWORKS:
        return error
    instead = f"expected pip install 'gradcheck[{name}]'"
    managed = f"(that of `gradcheck run -b {name}` is for its workers alone)"
    message = f"gradcheck.{name}: no {FRAMEWORKS[name]} in this environment, {sys.prefix}: {instead} {managed}"
    return ModuleNotFoundError(message, name=name)


class WithoutFrames:
    """A context from which errors of the request come without the frames inside it: a user sees only their call.

    Their causes stay inside too: the message says what they were, and PyTorch's frames alone would be 200 lines.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, GradcheckError):
            error.__traceback__ = None  # Python adds the frames outside when it raises the error again
            error.__cause__, error.__suppress_context__ = None, True
