"""pytest's fixture takes tensors."""

from __future__ import annotations

from pathlib import Path

from tests.frameworks import TORCH

TESTS = """
import torch

x = torch.linspace(-1, 1, 6, dtype=torch.float64, requires_grad=True)

class Cube(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x ** 3

    @staticmethod
    def backward(context, g):
        return 2 * context.saved_tensors[0] ** 2 * g

def test_right(gradcheck):
    (report,) = gradcheck(lambda x: x ** 3, (x,))
    assert report.exit_code == 0

def test_wrong(gradcheck):
    gradcheck(Cube.apply, (x,), reference=lambda x: x ** 3, seeds=[1, 2])

def test_wrong_in_dtypes(gradcheck):
    assert len(gradcheck(lambda x: x ** 3, (x,), dtypes=["float64", "bfloat16"])) == 2
    gradcheck(Cube.apply, (x,), reference=lambda x: x ** 3, dtypes=["float64", "float32"], seeds=[1])

def test_tensors_are_verified():
    from gradcheck import verify

    for dtype in (torch.float32, torch.bfloat16):
        given = x.detach().to(dtype).requires_grad_()
        loss = (given ** 2).sum()
        loss.backward()
        answers = {"mine": (loss, {"x": given.grad})}
        verify(lambda ops, x: ops.sum(x ** 2), inputs={"x": given}, answers=answers).assert_agrees()

def test_a_mapping_of_tensors(gradcheck):
    gradcheck(lambda x: torch.tanh(x), {"x": x})
"""


def test_the_fixture_takes_tensors(tmp_path: Path) -> None:
    path = tmp_path / "test_kernels.py"
    path.write_text(TESTS)
    printed = TORCH.run("plugin", str(path))
    assert "2 failed, 3 passed" in printed
    assert "2 of 2 seeds and dtypes do not agree: 1 in float64, 1 in float32" in printed
    assert "Cube: differs (proved): dL/dx is proved wrong in 6 of 6 entries" in printed
