"""The page: complete, offline, readable without a script, escaped, and usable in a real browser at any width."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import struct
import subprocess
import zlib
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from gradcheck import check, sweep
from gradcheck.reports import View, html
from gradcheck.reports._pictures import colour, heat_map
from gradcheck.reports._png import encoded
from gradcheck.reports._stages import diagrams
from gradcheck.results import Report
from tests.conftest import FAKES, Command
from tests.reports.examples import example

VOID = {"meta", "br", "image", "path", "rect", "circle", "link", "img"}
HOSTILE = '"><script>alert(1)</script>\x1b{{ 7 * 7 }}'


def page(report: Report) -> str:
    stream = io.StringIO()
    html.write(report, stream, View())
    return stream.getvalue()


class Reader(HTMLParser):
    """Every tag with its attributes; whether each that opens closes in order; the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", ["agree", "differ", "steps"])
def test_a_page_is_complete_and_loads_nothing(name: str) -> None:
    source = page(example(name))
    reader = Reader(source)
    assert reader.open == []
    names = [tag for tag, _ in reader.tags]
    assert "script" not in names
    assert names.count("h1") == 1
    assert ("html", {"lang": "en"}) in reader.tags
    addresses = [value for _, attributes in reader.tags for key, value in attributes.items() if key in ("src", "href")]
    assert all((each or "").startswith("data:image/png;base64,") for each in addresses)
    assert not re.search(r"url\(|@import|http", source)
    assert all({"role", "aria-label"} <= attributes.keys() for tag, attributes in reader.tags if tag == "svg")
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    titles = re.findall(r"<h2[^>]*>([^<]*)", source)
    for title in ("Verdicts", "Run again", "Errors of each gradient", "Power", "Environment"):
        assert title in titles
    assert "Largest absolute differences between backends" in titles
    assert example(name).case.replay in reader.text


def test_names_from_elsewhere_are_text() -> None:
    report = example("differ")
    backends = [
        msgspec.structs.replace(each, spec=HOSTILE, reason=HOSTILE, notes=(HOSTILE,)) for each in report.backends
    ]
    case = msgspec.structs.replace(report.case, problem=HOSTILE, replay=HOSTILE)
    source = page(msgspec.structs.replace(report, backends=tuple(backends), case=case))
    assert "<script" not in source
    assert "\x1b" not in source
    assert "{{ 7 * 7 }}" in Reader(source).text


def test_the_diagram_shows_what_is_wrong_first_and_what_follows() -> None:
    (diagram,) = diagrams(example("steps"))
    states = {box.name: box.state for row in diagram.rows for box in row.boxes}
    assert {name for name, state in states.items() if state == "wrong"} == {"dL/dz"}
    assert {name for name, state in states.items() if state == "also"} == {"dL/dA", "dL/dB", "dL/dC"}
    assert {name for name, state in states.items() if state == "follows"} == {"dL/dy", "dL/du", "dL/dv"}
    assert "dL/dx" not in states, "no gradient of x is requested"
    assert diagram.description == (
        "Stages of the loss in manual: dL/dA wrong by itself, dL/dB wrong by itself, dL/dC wrong by itself, "
        "dL/dz first wrong"
    )
    (row,) = (row for row in diagram.rows if any(box.state == "wrong" for box in row.boxes))
    assert row.source
    assert row.source.line == 19


def test_a_wrong_value_makes_everything_after_it_follow() -> None:
    report = example("steps")
    first, *others = report.backends
    step = msgspec.structs.replace(first.first_wrong, kind="value", name="u")
    wrong = msgspec.structs.replace(first, first_wrong=step, wrong_steps=(step,))
    (diagram,) = diagrams(msgspec.structs.replace(report, backends=(wrong, *others)))
    states = {box.name: box.state for row in diagram.rows for box in row.boxes}
    assert {name for name, state in states.items() if state == "right"} == {"A", "B", "C", "x", "y", "v"}


def test_a_png_has_its_pixels() -> None:
    pixels = [[(1, 2, 3), (4, 5, 6)], [(7, 8, 9), (10, 11, 12)]]
    content = encoded(pixels)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (2, 2)
    (length,) = struct.unpack(">I", content[33:37])
    assert zlib.decompress(content[41 : 41 + length]) == bytes([0, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12])


def test_colours_change_at_the_bound() -> None:
    red, _, blue = colour(0.99)
    assert blue > red
    red, _, blue = colour(1.01)
    assert red > blue
    assert colour(float("nan")) == (20, 20, 20)
    assert colour(float("inf")) == colour(1e9)


def test_the_ring_is_at_the_worst_entry() -> None:
    error = example("differ").backends[2].errors["b"]
    assert error.worst_index == (0, 0)
    map = heat_map("dL/db", error)
    assert map.worst == (map.width / 4, map.height / 4)
    assert base64.b64decode(map.image.partition(",")[2])[:4] == b"\x89PNG"


def test_a_large_page_stays_small(gradcheck: Command, tmp_path: Path) -> None:
    for k in (3, 64):
        gradcheck("run", "--k", k, "-b", "numpy", "-b", "manual", "--report", f"page{k}.html")
    small, large = (len((tmp_path / f"page{k}.html").read_bytes()) for k in (3, 64))
    assert large < small + 20_000 < 60_000, "heat maps are reduced"


def test_many_cases_have_a_row_each_and_the_worst_case() -> None:
    stream = io.StringIO()
    html.write_summary(sweep(FAKES / "faulty.py", k=[1, 2], backends=["right", "wrong_sign"]), stream)
    reader = Reader(stream.getvalue())
    assert reader.open == []
    assert "2 differs" in reader.text
    assert "The worst case" in reader.text
    assert "pattern: it is −1 × the truth" in reader.text


def test_a_grid_of_several_problems_leads_to_each_row() -> None:
    stream = io.StringIO()
    problems = [FAKES / "faulty.py", FAKES / "huber.py"]
    html.write_summary(sweep(problems, k=[1, 2], backends=["torch"]), stream)
    reader = Reader(stream.getvalue())
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert links == ["#row-1", "#row-2"]
    assert {f"#{attributes['id']}" for tag, attributes in reader.tags if tag == "tr" and "id" in attributes} == set(
        links
    )


def test_conditions_and_their_branches_are_shown() -> None:
    source = page(check(FAKES / "huber.py", k=3))
    assert "Coverage of branches" in source


WIDTHS = (360, 1280)
PROBE = """
<script>
addEventListener("load", async () => {
  const found = await axe.run();
  parent.postMessage({
    width: innerWidth, scrolled: document.documentElement.scrollWidth,
    violations: found.violations.map(each => each.id + ": " + each.nodes.map(node => node.html).slice(0, 3)),
    passes: found.passes.length,
  }, "*");
});
</script>
"""
HARNESS = """<!DOCTYPE html><pre id="found"></pre>FRAMES
<script>
const found = [];
addEventListener("message", event => {
  found.push(event.data);
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>
"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> str:
    """The source of axe-core, from npm."""
    if not request.config.getoption("--thorough"):
        pytest.skip("with --thorough")
    if not (shutil.which("chromium") and shutil.which("npm")):
        pytest.skip("needs chromium and npm")
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(["npm", "install", "--silent", "axe-core@4"], cwd=folder, check=True, timeout=300)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["agree", "differ", "steps"])
def test_in_chromium_no_width_scrolls_sideways_and_axe_finds_nothing(
    name: str, scheme: str, axe: str, tmp_path: Path
) -> None:
    source = page(example(name)).replace("</body>", f"<script>{axe}</script>{PROBE}</body>")
    (tmp_path / "page.html").write_text(source)
    frames = "".join(f'<iframe title="page" src="page.html" width="{width}" height="900"></iframe>' for width in WIDTHS)
    (tmp_path / "harness.html").write_text(HARNESS.replace("FRAMES", frames))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom"]
    flags.append(f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}")
    flags.append(f"--user-data-dir={tmp_path}/user")
    command = ["chromium", *flags, (tmp_path / "harness.html").as_uri()]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    text = re.search(r'<pre id="found">(.*?)</pre>', printed, re.DOTALL)
    assert text
    found = json.loads(unescape(text[1]))
    assert sorted(each["width"] for each in found) == list(WIDTHS)
    for each in found:
        assert each["scrolled"] <= each["width"]
        assert each["violations"] == []
        assert each["passes"] > 10
