"""Numbered, forward-only schema migrations with checksums.

Each file of `sql/migrations` runs once, in order, in its own transaction, under an advisory lock: two processes that
start at once are safe. A file that was edited after it was applied is refused rather than ignored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.statements import SQL

FILE_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


class MigrationError(Exception):
    """The migrations of this code and those of the database do not fit together."""


@dataclass(frozen=True)
class Migration:
    """One migration file."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_migrations(folder: Path = SQL / "migrations") -> list[Migration]:
    """Return the migrations of a folder in order; numbers must run 1, 2, 3, ... without a gap."""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        match = FILE_NAME.match(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: a migration is named like 0001_what_it_adds.sql")
        migrations.append(Migration(int(match[1]), path.stem, path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise MigrationError(f"{migration.name}.sql: expected number {expected:04d}")
    return migrations


def migrate(database_url: str, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Bring the database up to date and return the names of the migrations applied now.

    Idempotent. Raises MigrationError when an applied migration was edited or is unknown to this code.
    """
    wanted = read_migrations() if migrations is None else migrations
    with (
        connect(database_url, application="tidemark-migrate", autocommit=True) as connection,
        advisory_lock(connection, AdvisoryLock.MIGRATIONS),
    ):
        applied = _applied(connection)
        _compare(wanted, applied)
        return [_apply(connection, migration) for migration in wanted if migration.number not in applied]


def _applied(connection: psycopg.Connection) -> dict[int, tuple[str, str]]:
    connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            number integer PRIMARY KEY,
            name text NOT NULL,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    rows = connection.execute("SELECT number, name, checksum FROM schema_migrations").fetchall()
    return {number: (name, checksum) for number, name, checksum in rows}


def _compare(wanted: Sequence[Migration], applied: dict[int, tuple[str, str]]) -> None:
    known = {migration.number: migration for migration in wanted}
    for number, (name, checksum) in sorted(applied.items()):
        migration = known.get(number)
        if migration is None:
            raise MigrationError(f"the database has migration {name}, which this version of Tidemark does not know")
        if migration.checksum != checksum:
            raise MigrationError(
                f"migration {name} was edited after it was applied; restore the file and add a new migration instead"
            )


def _apply(connection: psycopg.Connection, migration: Migration) -> str:
    with connection.transaction():
        connection.execute(migration.text.encode())
        connection.execute(
            "INSERT INTO schema_migrations (number, name, checksum) VALUES (%s, %s, %s)",
            [migration.number, migration.name, migration.checksum],
        )
    return migration.name
