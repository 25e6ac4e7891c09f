"""Problems' files that are written in PyTorch or JAX, which this process does not have: real engines load them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gradcheck as api
from gradcheck.errors import EngineUnavailable, RequestError
from gradcheck.execution import engines, environments
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Environment
from gradcheck.results import Report
from tests.conftest import Command

NETWORK = '''
"""A classifier."""

import torch
from torch import nn

engine = "torch"


class Network(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.hidden = nn.Linear(k, 2 * k)
        self.out = nn.Linear(2 * k, 3)
        self.register_buffer("scale", torch.full((k,), 0.5))
        self.frozen = nn.Parameter(torch.ones(k), requires_grad=False)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x * self.scale * self.frozen)))


def inputs(k):
    return {"x": (4, k), "labels": (4,), "net": Network(k), "weights": torch.tensor([1.0, 2.0, 3.0])}


def sample(rng, k):
    return {"labels": torch.from_numpy(rng.integers(3, size=4))}


def loss(x, labels, net, weights):
    return nn.functional.cross_entropy(net(x), labels, weights)
'''

TREE = """
import jax
import jax.numpy as jnp

engine = "jax"


@jax.custom_vjp
def double(x):
    return 2 * x


double.defvjp(lambda x: (2 * x, None), lambda _, g: (FACTOR * g,))


def inputs(k):
    params = {"dense": {"kernel": (k, 3), "bias": jax.ShapeDtypeStruct((3,), "float32")}, "out": (3,)}
    return {"params": params, "x": (4, k), "positive": jnp.arange(4) < 2}


def loss(ops, params, x, positive):
    h = ops.watch("h", jnp.tanh(x @ params["dense"]["kernel"] + params["dense"]["bias"]))
    y = double(h) @ params["out"]
    return jnp.where(positive, y, -y), {"mean": jnp.mean(h)}["mean"]
"""

BY_HAND = """
import torch

engine = "torch"


def inputs():
    return {"x": (5,)}


def loss(x):
    y = torch.exp(x)
    return torch.sum(y * y)


def mine(x):
    import numpy as np

    y = np.exp(x)
    dx = 2 * y
    return np.sum(y * y), {"x": dx}


gradients = {"mine": mine, "kernel": ("torch", lambda x: (loss(x), {"x": 2 * torch.exp(2 * x)}))}
backends = ("original", "mine", "kernel", "torch")
"""


@pytest.fixture(scope="module")
def session() -> Iterator[api.Session]:
    """Its workers stay warm from test to test."""
    with api.Session() as session:
        yield session


def written(folder: Path, text: str, name: str = "model.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def verdicts(report: Report) -> dict[str, str]:
    return {backend.spec: str(backend.verdict) for backend in report.backends}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("network"), NETWORK)


@pytest.mark.parametrize(("k", "seed", "dtype"), [(1, 0, "float64"), (3, 0, "float32"), (3, 1, "float64")])
def test_a_module_is_judged_beside_engines(session: api.Session, network: str, k: int, seed: int, dtype: str) -> None:
    report = session.check(network, k=k, seed=seed, dtype=dtype, backends=["original", "torch"])
    assert verdicts(report) == {"original": "agrees", "torch": "agrees"}
    parameters = {"net.hidden.weight", "net.hidden.bias", "net.out.weight", "net.out.bias"}
    assert set(report.backends[0].errors) == {"x", *parameters}
    assert "torch" not in sys.modules


def test_arrays_among_the_inputs_keep_their_values(session: api.Session, tmp_path: Path) -> None:
    """Those that require a gradient are checked."""
    text = "import torch\nengine = 'torch'\ndef inputs(): return {'w': torch.tensor([1.0, 2.0]), 'x': X, 'y': (2,)}\n"
    x = "torch.tensor([3.0, 4.0], requires_grad=True)"
    path = written(tmp_path, f"{text.replace('X', x)}def loss(w, x, y): return torch.sum(w * x * y)\n")
    for seed in (0, 1):
        found = session.check(path, seed=seed).backends[0].gradients
        assert found is not None
        assert set(found) == {"x", "y"}
        assert found["y"] == [3.0, 8.0]


@pytest.mark.parametrize(("factor", "verdict"), [("2", "agrees"), ("3", "differs")])
def test_a_rule_over_a_tree_of_parameters_is_judged(
    session: api.Session, tmp_path: Path, factor: str, verdict: str
) -> None:
    path = written(tmp_path, TREE.replace("FACTOR", factor))
    report = session.check(path, k=2, backends=["original", "jax"])
    assert verdicts(report) == {"original": verdict, "jax": "agrees"}
    own = report.backends[0]
    assert set(own.errors) == {"params[dense][kernel]", "params[dense][bias]", "params[out]", "x"}
    if own.first_wrong:
        assert (own.first_wrong.kind, own.first_wrong.name) == ("adjoint", "h")
        assert own.first_wrong.source is not None
        assert own.first_wrong.source.text.startswith('h = ops.watch("h", jnp.tanh')


def test_a_wrong_backward_pass_in_a_module_is_named_by_its_path(session: api.Session, tmp_path: Path) -> None:
    path = written(tmp_path, NETWORK.replace("torch.tanh(", "Halved.apply(").replace("class Network", HALVED))
    (own,) = session.check(path, k=2, backends=["original"]).backends
    assert own.first_wrong is not None
    assert (own.verdict, own.first_wrong.kind, own.first_wrong.name) == ("differs", "adjoint", "net.hidden")


HALVED = """class Halved(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(y := torch.tanh(x))
        return y

    @staticmethod
    def backward(context, g):
        return g * (1 - context.saved_tensors[0] ** 2) / 2


class Network"""


def test_second_derivatives_and_every_step_are_judged(session: api.Session, network: str, tmp_path: Path) -> None:
    report = session.check(network, k=2, order=2, backends=["original", "torch"])
    assert verdicts(report) == {"original": "agrees", "torch": "agrees"}
    report = session.check(network, k=2, watch="all", backends=["original", "torch"])
    assert verdicts(report) == {"original": "agrees", "torch": "agrees"}


def test_a_function_that_cannot_name_a_parameter_gets_the_remedy(session: api.Session, tmp_path: Path) -> None:
    path = tmp_path / "network.py"
    path.write_text(f"{NETWORK}\n\nimplementations = {{'fused': ('torch', loss)}}\n")
    (backend,) = session.check(path, k=2, backends=["fused"]).backends
    assert "write names = {'net.frozen': 'w', ...} for names that parameters can have" in backend.reason


def test_gradients_by_hand_stand_beside_the_loss(session: api.Session, tmp_path: Path) -> None:
    path = written(tmp_path, BY_HAND)
    report = session.check(path)
    assert verdicts(report) == {"original": "agrees", "mine": "differs", "kernel": "agrees", "torch": "agrees"}
    wrong = report.backends[1].first_wrong
    assert wrong is not None
    assert wrong.source is not None
    assert (wrong.source.line, wrong.source.text) == (20, "dx = 2 * y")


SIZED_BY_DTYPE = """
import torch

engine = "torch"


def inputs(k):
    return {"x": (4, k), "norm": Norm(k)}


class Norm(torch.nn.Module):
    def __init__(self, k):
        super().__init__()
        self.register_buffer("shift", torch.rand(k))

    def forward(self, x):
        wide = (x + self.shift).to(torch.promote_types(x.dtype, torch.float32))
        return (wide / (wide.norm(dim=-1, keepdim=True) + torch.finfo(x.dtype).eps ** 0.5)).to(x.dtype)


def loss(x, norm):
    return torch.sum(norm(x)[:, 0])
"""


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_loss_that_depends_on_the_dtype_is_recorded_in_it(session: api.Session, tmp_path: Path, dtype: str) -> None:
    report = session.check(written(tmp_path, SIZED_BY_DTYPE), k=2, dtype=dtype, backends=["original", "torch"])
    assert verdicts(report) == {"original": "agrees", "torch": "agrees"}


def test_a_buffer_has_one_value_in_every_process(session: api.Session, tmp_path: Path) -> None:
    """Random numbers without a seed differ between the process that records the loss, and the one that runs it."""
    text = SIZED_BY_DTYPE.replace("torch.rand(k)", "torch.tensor(__import__('random').choices(range(9), k=k)) / 9")
    session.check(written(tmp_path, text), k=5, backends=["original"]).assert_agrees()


def test_inputs_have_the_same_bits_as_in_a_file_in_numpy(session: api.Session, tmp_path: Path) -> None:
    text = "def inputs(k): return {'x': (k,), 't': (k,)}\ndef sample(rng, k): return {'t': SAMPLED}\n"
    drawn = "rng.uniform(1.0, 2.0, size=k)"
    in_numpy = written(tmp_path, text.replace("SAMPLED", drawn) + "def loss(x, t): return (x * t).sum()\n", "plain.py")
    own = f"import torch\nengine = 'torch'\n{text.replace('SAMPLED', f'torch.from_numpy({drawn})')}"
    in_torch = written(tmp_path, f"{own}def loss(x, t): return torch.sum(x * t)\n")
    reports = [session.check(path, k=4, seed=5, backends=["torch"]) for path in (in_numpy, in_torch)]
    assert reports[0].case.inputs_sha256 == reports[1].case.inputs_sha256
    assert verdicts(reports[1]) == {"torch": "agrees"}


CONSTANTS = """
import random
import numpy as np
import torch

engine = "torch"
table = torch.tensor([0.1, 0.2, 0.3]) * torch.rand(3) * random.random() * float(np.random.rand())


def inputs():
    return {"x": (3,)}


def loss(x):
    return torch.sum(x * table)
"""


def test_constants_of_a_file_have_one_value_in_every_process(session: api.Session, tmp_path: Path) -> None:
    """Whatever a worker has computed before: PyTorch's default dtype, and numbers that it drew."""
    other = written(tmp_path, BY_HAND, "other.py")
    for seed in (0, 1):
        session.check(other, seed=seed, dtype="float32", backends=["original"]).assert_agrees()
    session.check(written(tmp_path, CONSTANTS), backends=["original"]).assert_agrees()


def test_a_changed_file_is_loaded_again(session: api.Session, tmp_path: Path) -> None:
    path = written(tmp_path, BY_HAND)
    session.check(path, backends=["original"]).assert_agrees()
    written(tmp_path, BY_HAND.replace("(5,)", "(7,)"))
    (own,) = session.check(path, backends=["original"]).backends
    assert own.gradients is not None
    assert len(own.gradients["x"]) == 7


def test_answers_from_elsewhere_are_judged(tmp_path: Path) -> None:
    x = np.array([0.5, 1.0, 0.0, -1.0, 2.0])
    answers = {"mine": {"loss": np.sum(np.exp(2 * x)), "gradients": {"x": 2 * np.exp(2 * x)}}}
    api.verify(written(tmp_path, BY_HAND), inputs={"x": x}, answers=answers).assert_agrees()


def test_the_loss_runs_in_a_release_and_in_an_interpreter_of_its_engine(tmp_path: Path) -> None:
    torch = engines.find("torch")
    assert torch is not None
    place = environments.find(Spec("torch"), torch)
    assert isinstance(place, Environment)
    backends = [f"original=={torch.release}", f"original@{place.python}"]
    report = api.check(written(tmp_path, BY_HAND), backends=backends)
    assert verdicts(report) == dict.fromkeys(backends, "agrees")


def test_the_graph_has_the_lines_of_the_file(gradcheck: Command, tmp_path: Path) -> None:
    path = written(tmp_path, BY_HAND)
    done = gradcheck("problems", "show", path, "--graph")
    nodes = json.loads(done.stdout)["nodes"]
    assert [(node["word"], node.get("line")) for node in nodes][:2] == [("input", None), ("exp", 12)]


def test_a_file_is_shown_with_its_engine(gradcheck: Command, tmp_path: Path) -> None:
    shown = gradcheck("problems", "show", written(tmp_path, TREE), "--k", "2").stdout
    assert "k = 2      params[dense][bias] 3\n           params[dense][kernel] 2 × 3\n" in shown
    assert "           positive 4  (boolean, no gradient)\n" in shown
    assert "engine     jax\ngradients  original\nbackends   original\n" in shown


def test_an_engine_that_is_not_installed_is_no_answer(gradcheck: Command, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    done = gradcheck("run", written(tmp_path, BY_HAND), "--no-build", XDG_CACHE_HOME=cache)
    assert done.returncode == 3
    assert "model.py: it is written in torch, which is unavailable: torch==2.13.0 is not installed" in done.stderr


def test_an_interpreter_without_the_engine_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"its engine does not start in torch@.*: No module named 'torch'"):
        api.check(written(tmp_path, BY_HAND), backends=[f"original@{sys.executable}"])


def test_the_page_has_an_example_that_runs(session: api.Session, tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "problems.md").read_text()
    example = page.partition("## Files in PyTorch or JAX")[2].partition("```python\n")[2].partition("```")[0]
    report = session.check(written(tmp_path, example), k=4, backends=["original"])
    assert verdicts(report) == {"original": "agrees"}
    assert set(report.backends[0].errors) == {"x", "net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"}


START = 'import torch\nengine = "torch"\ndef inputs(k): return {"x": (3, k)}\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"{START}def loss(x):\n    return torch.fft.rfft(x).abs().sum()",
            "model.py:5: aten._fft_r2c.default: .* a loss in words, with this one",
        ),
        (f"{START}def loss(x):\n    return (x @ x).sum()", "torch.export cannot record it: .*model.py:5: RuntimeError"),
        (f"{START}def loss(y): return y", "model.py:4: loss: takes \\(y\\): expected \\(x\\), the inputs"),
        (f"{START}def loss(x): return 3.0", "model.py:4: loss: returned 3.0: expected an array"),
        (
            f"{START}w = torch.ones(3, requires_grad=True)\ndef loss(x): return x @ w",
            "uses w, which requires a gradient",
        ),
        (
            f"{START}def loss(ops, x): return ops.tanh(x)",
            "ops.tanh: a loss in an engine's own code has",
        ),
        (
            f"{START}import nowhere_to_find\ndef loss(x): return x",
            "No module named 'nowhere_to_find': expected a module",
        ),
        (f"{START}names = {{'y': 'z'}}\ndef loss(x): return x", "names has 'y': expected some of x"),
        (
            f"{START}def sample(rng, k): return {{'z': 1.0}}\ndef loss(x): return x",
            "'z'\\] is not an input: expected some of x",
        ),
        (
            f"{START}def sample(rng, k): return torch.no\ndef loss(x): return x",
            "model.py:4: AttributeError: module 'torch'",
        ),
        (
            f"{START}implementations = {{'original': ('torch', 1)}}\ndef loss(x): return x",
            "implementations names 'original'",
        ),
        (
            f"{START}implementations = {{'fused': lambda x: x}}\ndef loss(x): return x",
            r"implementations is \{'fused': <function .*\}: expected a mapping of names to functions, such as",
        ),
        (f"{START}gradients = 3\ndef loss(x): return x", "gradients is 3: expected a mapping of names to functions"),
        (START.replace("(3, k)", "3.0") + "def loss(x): return x", "inputs\\(1\\)\\['x'\\] is 3.0: expected a shape"),
        (
            START.replace('"torch"', '"mxnet"') + "def loss(x): return x",
            "model.py:2: engine = 'mxnet': expected 'torch'",
        ),
        (START, "model.py: no function 'loss': expected"),
    ],
)
def test_a_wrong_file_is_explained(session: api.Session, tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        session.check(written(tmp_path, f"{text}\n"), k=2)
