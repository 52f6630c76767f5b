"""The database file: objects as they are, and the last changes for watches that resume.

Write-ahead log with synchronous=NORMAL: a commit is one write to the page cache, so it survives the death of this
process, kill -9 included, and costs some 30 µs; only a power failure may lose the last moments, never consistency.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torpor.errors import SettingError

LAYOUT = 1
"""Raised when the tables change; a newer file than we know is refused, not guessed at."""

_TABLES = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (resource, namespace, name));
CREATE TABLE IF NOT EXISTS changes (
    version INTEGER PRIMARY KEY, resource TEXT NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL, before BLOB);
CREATE TABLE IF NOT EXISTS compacted (resource TEXT PRIMARY KEY, version INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One change as it is written: `type` is DELETED or not, `before` what selectors knew, as JSON."""

    version: int
    resource: str
    namespace: str
    name: str
    type: str
    body: bytes
    before: bytes | None


class Journal:
    """The SQLite file. Every method is one transaction; an error leaves the file as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            _make_private(path)
            self._db = _connect(path)
            self._db.executescript(_TABLES)
            (layout,) = self._db.execute("PRAGMA user_version").fetchone()
            if layout > LAYOUT:
                raise SettingError("--data-dir", str(path), "it was written by a newer Torpor: use that one")
            self._db.execute(f"PRAGMA user_version = {LAYOUT}")
        except (sqlite3.Error, OSError) as error:
            raise SettingError("--data-dir", str(path), f"a database of ours is needed: {error}") from error

    def close(self) -> None:
        """Fold the log into the file and close it."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def checkpoint(self) -> None:
        """Copy the log into the file, which waits for the disk: call it in a thread, it has its own connection."""
        db = _connect(self._path)
        try:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            db.close()

    def objects(self, resource: str) -> Iterator[bytes]:
        for (body,) in self._db.execute("SELECT body FROM objects WHERE resource = ?", (resource,)):
            yield body

    def changes(self, resource: str) -> Iterator[tuple[str, bytes, bytes | None]]:
        """Yield (type, object, traits before) from the oldest on."""
        query = "SELECT type, body, before FROM changes WHERE resource = ? ORDER BY version"
        yield from self._db.execute(query, (resource,))

    def compacted(self) -> dict[str, int]:
        """Return, by resource, the newest version whose change is no longer known."""
        return dict(self._db.execute("SELECT resource, version FROM compacted"))

    def version(self) -> int:
        """Return the newest version ever written."""
        query = "SELECT max(v) FROM (SELECT max(version) v FROM changes UNION SELECT max(version) v FROM compacted)"
        (version,) = self._db.execute(query).fetchone()
        return version or 0

    def write(self, row: Row, forget: list[int]) -> None:
        """Write one change, and forget the changes with these versions, all of the same resource."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            if row.type == "DELETED":
                query = "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?"
                db.execute(query, (row.resource, row.namespace, row.name))
            else:
                query = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)"
                db.execute(query, (row.resource, row.namespace, row.name, row.body))
            values = (row.version, row.resource, row.type, row.body, row.before)
            db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", values)
            if forget:
                db.executemany("DELETE FROM changes WHERE version = ?", [(version,) for version in forget])
                db.execute("INSERT OR REPLACE INTO compacted VALUES (?, ?)", (row.resource, forget[-1]))
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise


def _make_private(path: Path) -> None:
    """Let nobody else read the file, for Secrets are in it; SQLite gives the files beside it the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with contextlib.suppress(FileNotFoundError):
            each.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=10)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    # The copying of the log waits for the disk: `checkpoint` does it beside the event loop.
    db.execute("PRAGMA wal_autocheckpoint = 0")
    return db
