"""pytest's fixture takes arrays of JAX."""

from __future__ import annotations

from pathlib import Path

from tests.frameworks import JAX

TESTS = """
import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
x = jnp.linspace(-1, 1, 6)

@jax.custom_vjp
def cube(x):
    return x ** 3

cube.defvjp(lambda x: (x ** 3, x), lambda x, g: (2 * x ** 2 * g,))

def test_right(gradcheck):
    gradcheck(lambda x: jnp.tanh(x), (x,))

def test_wrong(gradcheck):
    gradcheck(cube, (x,))
"""


def test_the_fixture_takes_arrays(tmp_path: Path) -> None:
    path = tmp_path / "test_kernels.py"
    path.write_text(TESTS)
    printed = JAX.run("plugin", str(path))
    assert "1 failed, 1 passed" in printed
    assert "dL/dx is proved wrong in 6 of 6 entries" in printed
