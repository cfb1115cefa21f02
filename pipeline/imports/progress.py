"""How far a file was imported, kept in Postgres and moved in the transaction that stores each batch.

A file is known by the SHA-256 of its bytes: renaming it changes nothing, changing it makes it a new file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg.rows import class_row

from pipeline.ingestion.event_store import StoreResult
from pipeline.statements import statement


class ImportRunningError(Exception):
    """Another process is importing the same file."""


@dataclass(frozen=True)
class Position:
    """Rows of the file dealt with so far and what became of them: position = stored + duplicate + rejected.

    `rejects_bytes` is the size of the rejects file that belongs to this position; `started_at` stands in for missing
    times of receipt, so that an import continued on another day gives the same rows.
    """

    position: int
    stored: int
    duplicate: int
    conflict: int
    rejected: int
    rejects_bytes: int
    started_at: datetime
    finished: bool

    def after(self, result: StoreResult, rejected: int, rejects_bytes: int) -> Position:
        """Return the position after one more batch."""
        return replace(
            self,
            position=self.position + result.stored + result.duplicate + rejected,
            stored=self.stored + result.stored,
            duplicate=self.duplicate + result.duplicate,
            conflict=self.conflict + result.conflict,
            rejected=self.rejected + rejected,
            rejects_bytes=rejects_bytes,
        )


@dataclass(frozen=True)
class ImportRecord:
    """The record of one file's import into one table."""

    connection: psycopg.Connection
    kind: str
    file_sha256: str

    def open(self, now: datetime, *, restart: bool) -> Position:
        """Return where to begin; with `restart`, the beginning, whatever was done before."""
        with self.connection.transaction():
            if restart:
                self.connection.execute(statement("import/forget_import"), self._key())
            self.connection.execute(statement("import/open_import"), {**self._key(), "started_at": now})
            with self.connection.cursor(row_factory=class_row(Position)) as cursor:
                position = cursor.execute(statement("import/read_import"), self._key()).fetchone()
        if position is None:
            raise ImportRunningError("another process restarted the import of this file")
        return position

    def advance(self, before: Position, after: Position) -> None:
        """Move on, in the caller's transaction. Raises ImportRunningError when somebody else has moved."""
        moved = self.connection.execute(
            statement("import/advance_import"),
            {
                **self._key(),
                "expected": before.position,
                "position": after.position,
                "stored": after.stored,
                "duplicate": after.duplicate,
                "conflict": after.conflict,
                "rejected": after.rejected,
                "rejects_bytes": after.rejects_bytes,
            },
        )
        if moved.rowcount != 1:
            raise ImportRunningError("another process is importing this file; let it finish")

    def finish(self, now: datetime) -> None:
        """Mark the file as complete."""
        self.connection.execute(statement("import/finish_import"), {**self._key(), "finished_at": now})

    def _key(self) -> dict[str, str]:
        return {"kind": self.kind, "file_sha256": self.file_sha256}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
