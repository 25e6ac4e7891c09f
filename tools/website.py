"""Build the documentation as a site: `python -m tools.website` writes it to build/site; `zensical.toml` has its pages.

Pages link to files of the repository by relative paths, so that their links hold where the repository is read. The site
has its pages in one folder: this copies them there, with links between their new places. A link to what the site does
not have is an error, and so are the warnings of zensical, and a page that loads something from elsewhere.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tools.notebook import executed, markdown

ROOT = Path(__file__).parents[1]
PAGES, SITE = ROOT / "build" / "pages", ROOT / "build" / "site"
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CITATION.cff": "CITATION.cff",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "examples/README.md": "examples/index.md",
}
"""Files outside of docs/: their place in the repository -> that in the site."""
LINK = re.compile(r"\]\((?!https?:)([^()#\s]+)(#[^()\s]*)?\)")
LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(?:https?:)?//[^\"]*|<link\b[^>]*\bhref=\"(?:https?:)?//[^\"]*"
)


class BrokenLinkError(ValueError):
    """A page links to what the site does not have."""


def places(root: Path = ROOT) -> dict[str, str]:
    """The files of the site: their place in the repository -> that in the site."""
    docs = root / "docs"
    paths = [path.relative_to(docs) for path in sorted(docs.rglob("*.*")) if ".ipynb_checkpoints" not in path.parts]
    return {f"docs/{path.as_posix()}": path.as_posix().replace(".ipynb", ".md") for path in paths} | OUTSIDE


def rewritten(text: str, source: str, known: dict[str, str]) -> str:
    """A page of the repository, with the links that hold in the site.

    Args:
        text: the page, in Markdown.
        source: its place in the repository.
        known: `places()`.

    Raises:
        BrokenLinkError: it links to what the site does not have.
    """
    here = posixpath.dirname(known[source])

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        if target not in known:
            raise BrokenLinkError(f"{source} links to {found[1]}: expected a file of the site: tools/website.py")
        return f"]({posixpath.relpath(known[target], here or '.')}{found[2] or ''})"

    return LINK.sub(link, text)


def text_of(path: Path) -> str:
    """A page in Markdown; a notebook is executed for it."""
    return markdown(executed(path)) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")


def copy_pages() -> None:
    """Put all files of the site into build/pages."""
    shutil.rmtree(PAGES, ignore_errors=True)
    known = places()
    for source, place in known.items():
        (PAGES / place).parent.mkdir(parents=True, exist_ok=True)
        if place.endswith(".md"):
            (PAGES / place).write_text(rewritten(text_of(ROOT / source), source, known), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / source, PAGES / place)


def loaded_from_elsewhere(page: str) -> list[str]:
    """The tags of an HTML page that load something from another host: without a network they are missing."""
    return LOADED.findall(page)


def main() -> int:
    """Build the site, and return the exit code."""
    copy_pages()
    shutil.rmtree(SITE, ignore_errors=True)
    command = [f"{sysconfig.get_path('scripts')}/zensical", "build", "--clean", "--strict"]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    pages = sorted(SITE.rglob("*.html"))
    for page in pages:
        for tag in loaded_from_elsewhere(page.read_text(encoding="utf-8")):
            print(f"{page.relative_to(SITE)} loads {tag}: expected a file of the site", file=sys.stderr)
            code = 1
    print(f"{len(pages)} pages in {SITE.relative_to(ROOT)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
