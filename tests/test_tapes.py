"""Messages about a loss that cannot be recorded: file and line, what is wrong, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck import problems
from gradcheck.errors import ProblemError
from tests.recorded import record_tape

INTERNAL = ("Variable", "<locals>", "Recorder", "_lift", "__array")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("np.tanh(a)", "a NumPy function received a value of the problem: write ops.tanh"),
        ("np.multiply(2.0, a)", "a NumPy function received a value of the problem: write a * b"),
        ("np.arctan(a)", "a NumPy function received a value of the problem: write ops.atan(a)"),
        ("a()", "loss raised TypeError: a value of the problem is not callable"),
        ("range(a)", "a value of the problem cannot be interpreted as an integer"),
        ("a << 2", "unsupported operand type"),
        ("np.arange(a)", ""),
        ("f'{a:.3f}'", ""),
        ("setattr(a, 'shape', 3) or setattr(a, 'name', 3)", ""),
        ("[1, 2][a]", ""),
        ("1 / 0", "loss raised ZeroDivisionError: division by zero"),
    ],
)
def test_one_line_in_the_users_words_with_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "problem.py"
    path.write_text(
        f"import numpy as np\n\n\ndef inputs(k):\n    return {{'a': (k,)}}\n\n\ndef loss(ops, a):\n    return {line}\n"
    )
    with pytest.raises(ProblemError) as caught:
        record_tape(problems.load(str(path)), 3)
    refusal = str(caught.value)
    assert refusal.startswith(f"{path}:9: ")
    assert message in refusal
    assert "\n" not in refusal
    assert not [word for word in INTERNAL if word in refusal], refusal
