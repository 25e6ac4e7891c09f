"""Files of settings are data: whatever is in one, it is read, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck import settings
from gradcheck.errors import RequestError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k = " + "[" * 100_000, "expected TOML"),
        ("k = " + "1" * 10_000, "expected TOML"),
        ("k = 100000000000000000000", "k = 100000000000000000000: expected a whole number from 1 to 2"),
        ("#" * 1_100_000, "more than 1048576 bytes: expected TOML"),
        ("k = '\udcff'", "expected TOML"),
        ('problem = "a\\u0000b"', "expected a problem's name"),
        ('backend = ["torch@/a\\u0000b"]', "expected a list of backends"),
        ("timeout = nan", "expected a number of seconds above 0, at most 1000000"),
        ("timeout = inf", "expected a number of seconds above 0, at most 1000000"),
        ("timeout = 1e300", "expected a number of seconds above 0, at most 1000000"),
        ("timeout = -1", "expected a number of seconds above 0, at most 1000000"),
    ],
)
def test_odd_files(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RequestError, match=expected) as caught:
        settings.load({}, str(path), {}, tmp_path)
    assert "\n" not in str(caught.value).replace("\\n", "")


def test_an_endless_device(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="more than 1048576 bytes"):
        settings.load({}, "/dev/zero", {}, tmp_path)
