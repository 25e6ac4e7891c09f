"""Cases that failed in earlier searches, in hypothesis' database in the user's cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from gradcheck.errors import RequestError
from gradcheck.problems import Problem, cases
from gradcheck.problems.cases import Case
from gradcheck.runs import drafts
from gradcheck.runs.records import as_arrays, record_text
from gradcheck.system import caches

FOLDER = "hunt"


class KeptCases:
    """The kept cases of a problem's file.

    Args:
        problem: the problem.
        dtype: in which the cases are to be evaluated.
        order: of the cases.
        backends: the specs of those that are searched.
    """

    def __init__(self, problem: Problem, dtype: str, order: int, backends: Sequence[str]) -> None:
        from hypothesis.database import DirectoryBasedExampleDatabase

        folder = caches.folder(FOLDER)
        caches.make(folder)
        self._database = DirectoryBasedExampleDatabase(folder / "cases")
        self._problem, self._dtype, self._order = problem, dtype, order
        searched = (str(problem.path.resolve()), dtype, str(order), *backends)
        self._key = hashlib.sha256("\n".join(searched).encode()).digest()

    def __iter__(self) -> Iterator[tuple[bytes, Case]]:
        """The content of each kept case that fits the problem, the shortest first."""
        for content in sorted(self._database.fetch(self._key), key=lambda each: (len(each), each)):
            try:
                arrays = as_arrays(msgspec.json.decode(content), "hunt")
                k = cases.size_of(self._problem, arrays, "hunt")
                yield content, drafts.given(self._problem, k, self._dtype, arrays, self._order)
            except (RequestError, msgspec.DecodeError):  # the file has changed
                self.drop(content)

    def keep(self, case: Case) -> None:
        """Keep a case that fails."""
        self._database.save(self._key, record_text("", case, ()).encode())

    def drop(self, content: bytes) -> None:
        """Forget a case that no longer fails."""
        self._database.delete(self._key, content)
