"""Fixtures: a cache of our own, wheels in the place of a registry, and a registry that never answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments.small import wheel


@pytest.fixture
def wheels(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels from which alone uv installs: small 2.0, small 1.0 and what that needs."""
    folder = tmp_path / "wheels"
    for name, releases in {"small": ("1.0", "2.0"), "beside": ("0.9", "1.0", "1.1rc1", "2.0")}.items():
        for release in releases:
            wheel(folder, name, release)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return folder


@pytest.fixture
def silent_index(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a registry that accepts every call and never answers, set as the only one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        calls: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    calls.append(server.accept()[0])
                except OSError:
                    return

        listening = threading.Thread(target=accept)
        listening.start()
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.getsockname()[1]}/index")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
            monkeypatch.delenv(name, raising=False)
        yield str(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        listening.join()
        for call in calls:
            call.close()
