"""A store of outcomes: a SQLite file. What was stored is not evaluated again, whatever ended the run.

Each batch of outcomes is one transaction, so that a run that ends at any moment loses only the last batch. Several
processes of one machine may share a store: each claims the cases that it is about to evaluate. The claims of a process
that has ended are void.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from gradcheck.errors import RequestError
from gradcheck.findings import Condition
from gradcheck.outcomes import BackendOutcome, CaseOutcome, unpack
from gradcheck.results import Report, RunVerdict
from gradcheck.system import files, processes
from gradcheck.system.interruptions import deferred

APPLICATION = 0x67726164
"""What marks a SQLite file as a store, "grad" in ASCII."""
VERSION = 1
"""The version of the schema."""
PATIENCE = 60.0
"""Seconds in which another process ends its transaction."""
SCHEMA = """
CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs(id INTEGER PRIMARY KEY, command TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL);
CREATE TABLE claims(key TEXT PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs(id));
CREATE TABLE cases(
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, run INTEGER NOT NULL REFERENCES runs(id), problem TEXT NOT NULL,
    k INTEGER, seed INTEGER, dtype TEXT NOT NULL, distribution TEXT NOT NULL, scale REAL NOT NULL,
    verdict TEXT NOT NULL, seconds REAL NOT NULL, replay TEXT NOT NULL, conditions TEXT NOT NULL, report BLOB
);
CREATE TABLE answers(
    "case" INTEGER NOT NULL REFERENCES cases(id), position INTEGER NOT NULL, backend TEXT NOT NULL, version TEXT,
    verdict TEXT NOT NULL, bound_ratio REAL, reason TEXT, seconds REAL, PRIMARY KEY("case", position)
) WITHOUT ROWID;
"""
COLUMNS = "id, key, problem, k, seed, dtype, distribution, scale, verdict, seconds, replay, conditions"
CONTENT = "the content of "
"""The beginning of the name of a setting that is a digest of a problem's file."""
AT_ONCE = 500
"""Keys in one query."""


class Store:
    """The outcomes of a store, and a run that adds to it.

    Args:
        path: the file, which is made if it does not exist.
        command: of the run, for people.
        settings: what an outcome depends on beside the values of its case, in words by name.

    Raises:
        RequestError: the file is no store, cannot be written, or has outcomes with other settings.
    """

    def __init__(self, path: Path, command: str, settings: Mapping[str, str]) -> None:
        self.path = path
        files.check_writable(path, "--store")
        self._connection = connected(path)
        with self._transaction():
            self._check(settings)
            started = processes.identity(os.getpid()) or ""
            added = "INSERT INTO runs(command, pid, started) VALUES (?, ?, ?)"
            self._run = self._connection.execute(added, (command, os.getpid(), started)).lastrowid

    def close(self) -> None:
        """Give up the claims of this run, and close the file."""
        with self._transaction():
            self._connection.execute("DELETE FROM claims WHERE run = ?", (self._run,))
        self._connection.close()

    def count(self) -> int:
        """The number of its cases."""
        return int(self._connection.execute("SELECT count(*) FROM cases").fetchone()[0])

    def _check(self, settings: Mapping[str, str]) -> None:
        """Keep the settings, or check them: outcomes with different ones are not comparable."""
        known = stored_settings(self._connection)
        other = [name for name, value in settings.items() if known.get(name, value) != value]
        if other:
            name = other[0]
            if name.startswith(CONTENT):
                changed = f"{name.removeprefix(CONTENT)} has changed since the outcomes in it were stored"
                raise RequestError(f"--store {self.path}: {changed}: expected the former file, or another store")
            more = f", and so are {', '.join(other[1:])}" if other[1:] else ""
            raise RequestError(
                f"--store {self.path}: {name} is {settings[name]!r} here, and {known[name]!r} in the store{more}: "
                "expected the same, or another store"
            )
        new = [(name, value) for name, value in settings.items() if name not in known]
        self._connection.executemany("INSERT INTO settings VALUES (?, ?)", new)

    def stored(self, keys: Sequence[str]) -> Iterator[CaseOutcome]:
        """The stored outcomes of some cases, without their reports."""
        for some in chunks(keys, AT_ONCE):
            yield from outcomes(self._connection, some)

    def claim(self, keys: Sequence[str]) -> set[str]:
        """Those of some cases that this run now has to evaluate: neither stored, nor claimed by a running process."""
        with self._transaction():
            self._drop_void_claims()
            taken = {
                key
                for table in ("cases", "claims")
                for some in chunks(keys, AT_ONCE)
                for (key,) in self._connection.execute(f"SELECT key FROM {table} WHERE key IN ({marks(some)})", some)
            }
            free = [key for key in keys if key not in taken]
            self._connection.executemany("INSERT INTO claims VALUES (?, ?)", [(key, self._run) for key in free])
        return set(free)

    def _drop_void_claims(self) -> None:
        claimants = "SELECT id, pid, started FROM runs WHERE id IN (SELECT DISTINCT run FROM claims) AND id <> ?"
        for run, pid, started in self._connection.execute(claimants, (self._run,)).fetchall():
            if processes.identity(pid) != started:
                self._connection.execute("DELETE FROM claims WHERE run = ?", (run,))

    def add(self, found: Iterable[CaseOutcome]) -> None:
        """Store some outcomes, all or none."""
        with self._transaction():
            for outcome in found:
                self._connection.execute("DELETE FROM claims WHERE key = ?", (outcome.key,))
                self._insert(outcome)

    def _insert(self, outcome: CaseOutcome) -> None:
        values = (
            outcome.key, self._run, outcome.problem, outcome.k, outcome.seed, outcome.dtype, outcome.distribution,
            outcome.scale, outcome.verdict, outcome.seconds, outcome.replay,
            msgspec.json.encode(outcome.conditions).decode(), outcome.report,
        )  # fmt: skip
        columns = COLUMNS.replace("id, key", "key, run", 1)
        inserted = self._connection.execute(
            f"INSERT OR IGNORE INTO cases({columns}, report) VALUES ({marks(values)})", values
        )
        if inserted.rowcount:
            rows = [
                (inserted.lastrowid, place, *msgspec.structs.astuple(each))
                for place, each in enumerate(outcome.backends)
            ]
            self._connection.executemany(f"INSERT INTO answers VALUES ({marks(rows[0])})", rows)

    def report(self, key: str) -> Report | None:
        """The report of a case, if it is stored with one."""
        return report(self._connection, key)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction, during which signals wait.

        Raises:
            RequestError: it cannot be written, for example to a full disk.
        """
        try:
            with deferred(), self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise RequestError(f"--store {self.path}: {error}: expected a file that can be written") from None


def connected(path: Path) -> sqlite3.Connection:
    """A connection to a store, which is made if it does not exist.

    Raises:
        RequestError: the file is no store, or one of another version.
    """
    try:
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a power cut loses no batch that was written
        with deferred(), connection:
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
    except (sqlite3.Error, ValueError) as error:
        raise RequestError(f"store {str(path)!r}: {error}: expected a store, or the path of a new one") from None
    check_version(connection, path)
    return connection


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Check that a file is a store of this version.

    Raises:
        RequestError: it is not.
    """
    (application,), (version,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
    )
    if application != APPLICATION:
        raise RequestError(f"store {str(path)!r}: another program's SQLite file: expected a store of gradcheck")
    if version != VERSION:
        expected = f"expected schema {VERSION}, or another file"
        raise RequestError(f"store {str(path)!r}: schema {version}, of another release of gradcheck: {expected}")


def stored_settings(connection: sqlite3.Connection) -> dict[str, str]:
    """What the outcomes of a store depend on beside the values of their cases."""
    return dict(connection.execute("SELECT name, value FROM settings"))


def following(connection: sqlite3.Connection, last: int) -> list[tuple[int, str]]:
    """The numbers and keys of the next cases after a number, at most `AT_ONCE`."""
    query = "SELECT id, key FROM cases WHERE id > ? ORDER BY id LIMIT ?"
    return connection.execute(query, (last, AT_ONCE)).fetchall()


def outcomes(connection: sqlite3.Connection, keys: Sequence[str], with_reports: bool = False) -> Iterator[CaseOutcome]:
    """The outcomes of some cases, at most `AT_ONCE`, in the order in which they were stored."""
    columns = f"{COLUMNS}, {'report' if with_reports else 'NULL'}"
    query = f"SELECT {columns} FROM cases WHERE key IN ({marks(keys)}) ORDER BY id"
    rows = connection.execute(query, keys).fetchall()
    backends: dict[int, list[BackendOutcome]] = {number: [] for number, *_ in rows}
    of_cases = f'SELECT * FROM answers WHERE "case" IN ({marks(backends)}) ORDER BY "case", position'
    for number, _, *values in connection.execute(of_cases, [*backends]):
        names = BackendOutcome.__struct_fields__
        backends[number].append(msgspec.convert(dict(zip(names, values, strict=True)), BackendOutcome))
    for number, key, problem, k, seed, dtype, distribution, scale, verdict, seconds, replay, conditions, packed in rows:
        yield CaseOutcome(
            key=key,
            problem=problem,
            k=k,
            seed=seed,
            dtype=dtype,
            distribution=distribution,
            scale=scale,
            verdict=RunVerdict(verdict),
            backends=tuple(backends[number]),
            replay=replay,
            seconds=seconds,
            conditions=msgspec.json.decode(conditions, type=tuple[Condition, ...]),
            report=packed,
        )


def report(connection: sqlite3.Connection, key: str) -> Report | None:
    """The report of a case, if it is stored with one."""
    found = connection.execute("SELECT report FROM cases WHERE key = ?", (key,)).fetchone()
    return unpack(found[0]) if found and found[0] else None


def marks(values: Iterable[object]) -> str:
    """A question mark for each value of a query."""
    return ", ".join("?" for _ in values)


def chunks(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Some keys at a time."""
    return (keys[start : start + size] for start in range(0, len(keys), size))
