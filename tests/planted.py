"""Hand-written backends of `sigmoid_skip` with one bug each.

`CLEAN` is the backpropagation step by step. A bug replaces one or several of them; everything after it continues with
its result, as in a real backend, so that an error is passed on and only its origin is wrong.

Steps are named as in the formulas: `dz` makes the adjoint of z, `dA` the gradient of A. Each takes a namespace with the
inputs and the results of the steps before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from gradcheck.answers import BackendAnswer

Step = Callable[[SimpleNamespace], np.ndarray]
Steps = Mapping[str, Step]
WATCHED = ("y", "u", "v", "z", "w")
WRT = ("A", "B", "C")


def sigmoid(y: np.ndarray) -> np.ndarray:
    """1/(1 + exp(−y)) without overflow."""
    decay = np.exp(-np.abs(y))
    return np.where(y >= 0, 1, decay) / (1 + decay)


CLEAN: Steps = {
    "y": lambda s: s.A @ s.x,
    "u": lambda s: sigmoid(s.y),
    "v": lambda s: s.B @ s.x,
    "z": lambda s: s.u + s.v,
    "w": lambda s: s.C @ s.z,
    "loss": lambda s: np.sum(s.w * s.w),
    "dw": lambda s: 2 * s.w,
    "dz": lambda s: s.C.T @ s.dw,
    "dv": lambda s: s.dz,
    "du": lambda s: s.dz,
    "dy": lambda s: s.du * s.u * (1 - s.u),
    "dA": lambda s: np.outer(s.dy, s.x),
    "dB": lambda s: np.outer(s.dv, s.x),
    "dC": lambda s: np.outer(s.dw, s.z),
}


def answer(inputs: Mapping[str, np.ndarray], steps: Steps = CLEAN) -> BackendAnswer:
    """The answer of the backend in which `steps` replace the clean ones; in the dtype of the inputs."""
    state = SimpleNamespace(**inputs)
    with np.errstate(all="ignore"):
        for name, step in (CLEAN | steps).items():
            setattr(state, name, np.asarray(step(state), state.x.dtype))
    return BackendAnswer(
        loss=state.loss,
        gradients={name: getattr(state, f"d{name}") for name in WRT},
        values={name: getattr(state, name) for name in WATCHED},
        adjoints={name: getattr(state, f"d{name}") for name in WATCHED},
    )


def place(step: str) -> tuple[str, str | None]:
    """The kind and the name of a step's result in a report."""
    if not step.startswith("d"):
        return ("loss", None) if step == "loss" else ("value", step)
    return ("gradient" if step[1:] in WRT else "adjoint", step[1:])


@dataclass(frozen=True, eq=False)
class Bug:
    """Wrong steps.

    Attributes:
        name: the mistake.
        steps: the planted ones.
        wrong: the steps that are wrong by themselves, first one first: the planted ones, unless a step spoils the
            result of an earlier one.
        numerical: a loss of digits; others are structural: the formula is wrong.
        dtypes: where it loses digits at all.
        distribution: inputs that reveal it.
    """

    name: str
    steps: Steps
    wrong: tuple[str, ...]
    numerical: bool
    dtypes: tuple[str, ...]
    distribution: str

    def __str__(self) -> str:
        return f"{self.wrong[0]}: {self.name}"

    def answer(self, inputs: Mapping[str, np.ndarray]) -> BackendAnswer:
        """The answer of a backend with this bug."""
        return answer({name: array.copy() for name, array in inputs.items()}, self.steps)


def bug(
    name: str,
    *,
    wrong: tuple[str, ...] | None = None,
    numerical: bool = False,
    dtypes: tuple[str, ...] = ("float64", "float32"),
    distribution: str = "uniform",
    **steps: Step,
) -> Bug:
    """A bug; its steps are given by name."""
    return Bug(name, steps, wrong or tuple(steps), numerical, dtypes, distribution)


def digits(name: str, dtypes: str = "float64 float32", **steps: Step) -> Bug:
    """A loss of digits that matters in some dtypes."""
    return bug(name, numerical=True, dtypes=tuple(dtypes.split()), **steps)


def computed_in(dtype: str, step: Step) -> Step:
    """The step with all its operands rounded to a dtype."""
    return lambda s: step(SimpleNamespace(**{name: array.astype(dtype) for name, array in vars(s).items()}))


def one_entry_off(array: np.ndarray, relative: float) -> np.ndarray:
    """The same except for its first entry."""
    changed = array.copy()
    changed[0, 0] *= 1 + relative
    return changed


def without_last_bits(array: np.ndarray, bits: int) -> np.ndarray:
    """Rounded to `bits` significant bits."""
    fraction, exponent = np.frexp(array)
    return np.ldexp(np.rint(np.ldexp(fraction, bits)), exponent - bits)


def without_first(array: np.ndarray) -> np.ndarray:
    """The same with 0 for its first entry."""
    return np.concatenate([np.zeros(1), array[1:]])


BUGS = (
    # The loss of digits that a tolerance accepts.
    digits("rounded to 4 decimals", dw=lambda s: np.round(2 * s.w, 4)),
    digits("rounded to 6 decimals", dw=lambda s: np.round(2 * s.w, 6)),
    digits("float32 everywhere", "float64", **{name: computed_in("float32", step) for name, step in CLEAN.items()}),
    digits("float32 product", "float64", dz=computed_in("float32", CLEAN["dz"])),
    digits("float32 sum", "float64", loss=lambda s: np.sum(np.float32(s.w * s.w))),
    digits("1e-7 added to 1 − u", "float64", dy=lambda s: s.du * s.u * (1 - s.u + 1e-7)),
    digits("one entry off by 2⁻³⁰", "float64", dC=lambda s: one_entry_off(np.outer(s.dw, s.z), 2.0**-30)),
    digits("one entry off by 2⁻⁴⁸", "float64", dC=lambda s: one_entry_off(np.outer(s.dw, s.z), 2.0**-48)),
    digits("one entry off by 2⁻¹⁹", "float32", dC=lambda s: one_entry_off(np.outer(s.dw, s.z), 2.0**-19)),
    digits("float16 product", y=computed_in("float16", CLEAN["y"])),
    digits("operands of 11 bits", w=lambda s: without_last_bits(s.C, 11) @ without_last_bits(s.z, 11)),
    digits("operands of 8 bits", dz=lambda s: without_last_bits(s.C, 8).T @ without_last_bits(s.dw, 8)),
    digits("float16 result", dA=computed_in("float16", CLEAN["dA"])),
    digits("1e-5 in the denominator", u=lambda s: 1 / (1 + np.exp(-s.y) + 1e-5)),
    # Forward mistakes.
    bug("A transposed", y=lambda s: s.A.T @ s.x),
    bug("x reversed", y=lambda s: s.A @ s.x[::-1]),
    bug("last column left out", y=lambda s: s.A[:, :-1] @ s.x[:-1]),
    bug("sign", y=lambda s: -(s.A @ s.x)),
    bug("tanh instead of sigmoid", u=lambda s: np.tanh(s.y)),
    bug("hard sigmoid", u=lambda s: np.clip(0.2 * s.y + 0.5, 0, 1)),
    bug("sigmoid of −y", u=lambda s: sigmoid(-s.y)),
    bug("sigmoid of a clipped y", u=lambda s: sigmoid(np.clip(s.y, -0.5, 0.5))),
    bug("Taylor series", u=lambda s: 0.5 + s.y / 4 - s.y**3 / 48),
    bug("exp overflows to NaN", u=lambda s: np.exp(s.y) / (1 + np.exp(s.y)), distribution="saturated"),
    bug("A in the place of B", v=lambda s: s.A @ s.x),
    bug("u in the place of x", v=lambda s: s.B @ s.u),
    bug("summed over the other axis", v=lambda s: np.sum(s.B * s.x, axis=0)),
    bug("product instead of sum", z=lambda s: s.u * s.v),
    bug("difference instead of sum", z=lambda s: s.u - s.v),
    bug("no skip path", z=lambda s: s.u),
    bug("no sigmoid path", z=lambda s: s.v),
    bug("indices shifted", z=lambda s: np.roll(s.u, 1) + s.v),
    bug("u overwritten in place", wrong=("u",), z=lambda s: np.add(s.u, s.v, out=s.u)),
    bug("C transposed", w=lambda s: s.C.T @ s.z),
    bug("v in the place of z", w=lambda s: s.C @ s.v),
    bug("first row left out", w=lambda s: without_first(s.C @ s.z)),
    bug("rows reversed", w=lambda s: s.C[::-1] @ s.z),
    bug("root not squared", loss=lambda s: np.linalg.norm(s.w)),
    bug("mean instead of sum", loss=lambda s: np.mean(s.w * s.w)),
    bug("half of it", loss=lambda s: np.sum(s.w * s.w) / 2),
    bug("last term left out", loss=lambda s: np.sum(s.w[:-1] * s.w[:-1])),
    bug("square of the sum", loss=lambda s: np.sum(s.w) ** 2),
    bug("sum of magnitudes", loss=lambda s: np.sum(np.abs(s.w))),
    # Backward mistakes.
    bug("factor 2 missing", dw=lambda s: s.w),
    bug("sign", dw=lambda s: -2 * s.w),
    bug("of the mean", dw=lambda s: 2 * s.w / s.w.size),
    bug("clipped", dw=lambda s: np.clip(2 * s.w, -0.5, 0.5)),
    bug("of z", dw=lambda s: 2 * s.z),
    bug("C not transposed", dz=lambda s: s.C @ s.dw),
    bug("indices shifted", dz=lambda s: np.roll(s.C.T @ s.dw, 1)),
    bug("broadcast instead of product", dz=lambda s: np.sum(s.C, axis=0) * s.dw),
    bug("w in the place of dL/dw", dz=lambda s: s.C.T @ s.w),
    bug("B in the place of C", dz=lambda s: s.B.T @ s.dw),
    bug("accumulated twice", dv=lambda s: s.dz + s.dz),
    bug("sign", dv=lambda s: -s.dz),
    bug("times σ'", dv=lambda s: s.dz * s.u * (1 - s.u)),
    bug("off by one", dv=lambda s: np.append(s.dz[1:], s.dz[-1])),
    bug("missing", dv=lambda s: 0 * s.dz),
    bug("missing", du=lambda s: 0 * s.dz),
    bug("accumulated twice", du=lambda s: s.dz + s.dz),
    bug("first entry left out", du=lambda s: without_first(s.dz)),
    bug("σ' without 1 − u", dy=lambda s: s.du * s.u),
    bug("σ' without u", dy=lambda s: s.du * (1 - s.u)),
    bug("σ' missing", dy=lambda s: s.du),
    bug("1 + u", dy=lambda s: s.du * s.u * (1 + s.u)),
    bug("σ' of z", dy=lambda s: s.du * sigmoid(s.z) * (1 - sigmoid(s.z))),
    bug("σ' of u", dy=lambda s: s.du * sigmoid(s.u) * (1 - sigmoid(s.u))),
    bug("z(1 − z)", dy=lambda s: s.du * s.z * (1 - s.z)),
    bug("1 − u²", dy=lambda s: s.du * (1 - s.u * s.u)),
    bug("summed before σ'", dy=lambda s: np.sum(s.du) * s.u * (1 - s.u)),
    bug("transposed", dA=lambda s: np.outer(s.x, s.dy)),
    bug("z in the place of x", dA=lambda s: np.outer(s.dy, s.z)),
    bug("dL/du in the place of dL/dy", dA=lambda s: np.outer(s.du, s.x)),
    bug("broadcast instead of outer product", dA=lambda s: np.broadcast_to(s.dy * s.x, s.A.shape)),
    bug("accumulated twice", dA=lambda s: 2 * np.outer(s.dy, s.x)),
    bug("dA and dB swapped", dA=lambda s: np.outer(s.dv, s.x), dB=lambda s: np.outer(s.dy, s.x)),
    bug("transposed", dB=lambda s: np.outer(s.x, s.dv)),
    bug("stale: that of A", dB=lambda s: s.dA),
    bug("y in the place of x", dB=lambda s: np.outer(s.dv, s.y)),
    bug("columns shifted", dB=lambda s: np.roll(np.outer(s.dv, s.x), 1, axis=1)),
    bug("transposed", dC=lambda s: np.outer(s.z, s.dw)),
    bug("u in the place of z", dC=lambda s: np.outer(s.dw, s.u)),
    bug("v in the place of z", dC=lambda s: np.outer(s.dw, s.v)),
    bug("w in the place of dL/dw", dC=lambda s: np.outer(s.w, s.z)),
    bug("upper triangle alone", dC=lambda s: np.triu(np.outer(s.dw, s.z))),
)
