"""The most that this Postgres can do: the rows the API stored, written again without an API.

Same rows but for fresh ids, same table, same indexes, same server; texts are ready before the clock starts.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.ingest_system import System
from pipeline.database import connect

ROWS_PER_COMMIT = 5_000
SESSIONS = (1, 2)
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Way:
    """A way of writing: what a connection needs first, and how it writes a group of rows in a transaction."""

    name: str
    prepare: Callable[[psycopg.Connection], None]
    write: Callable[[psycopg.Connection, bytes], None]


@dataclass(frozen=True)
class Ceiling:
    """What one way of writing reached; the best of its rounds."""

    name: str
    rows: int
    seconds: float
    postgres_us_per_row: float
    others: float

    @property
    def rows_per_second(self) -> float:
        """Durable rows per second."""
        return self.rows / self.seconds


def sample(system: System) -> list[bytes]:
    """Return events as the API stored them, each the part of its COPY line that follows the id."""
    with connect(system.database_url) as connection, connection.cursor().copy(_statement("sample_events")) as copy:
        text = b"".join(bytes(piece) for piece in copy)
    return [line.partition(b"\t")[2] for line in text.splitlines(keepends=True)]


def measure_ceilings(system: System, lines: Sequence[bytes], commits: int, rounds: int) -> list[Ceiling]:
    """Write `commits` groups of rows in each way, `rounds` times; the table is empty afterwards."""
    groups = [_group(lines, number) for number in range(commits)]
    ceilings = [
        max((_round(system, way, groups, sessions) for _ in range(rounds)), key=lambda ceiling: ceiling.rows_per_second)
        for way in WAYS
        for sessions in SESSIONS
    ]
    system.empty_events()
    return ceilings


def _round(system: System, way: Way, groups: Sequence[bytes], sessions: int) -> Ceiling:
    name = f"{way.name}, {sessions} session{'s'[: sessions - 1]}"
    system.empty_events()
    connections = [connect(system.database_url, autocommit=True) for _ in range(sessions)]
    try:
        for connection in connections:
            way.prepare(connection)

        def run(session: int) -> None:
            for group in groups[session::sessions]:
                with connections[session].transaction():
                    way.write(connections[session], group)

        with system.usage() as usage, ThreadPoolExecutor(sessions) as pool:
            started = time.monotonic()
            list(pool.map(run, range(sessions)))
            seconds = time.monotonic() - started
    finally:
        for connection in connections:
            connection.close()
    rows = len(groups) * ROWS_PER_COMMIT
    stored = system.count("event_logs")
    if stored != rows:
        raise AssertionError(f"{name}: {rows} rows written, {stored} stored")
    return Ceiling(name, rows, seconds, usage.postgres_seconds / rows * 1e6, usage.others)


def _nothing(_: psycopg.Connection) -> None:
    pass


def _create_staging(connection: psycopg.Connection) -> None:
    connection.execute(_statement("create_staged_events"))


def _copy(connection: psycopg.Connection, group: bytes) -> None:
    with connection.cursor().copy(_statement("copy_events")) as copy:
        copy.write(group)


def _copy_and_insert(connection: psycopg.Connection, group: bytes) -> None:
    with connection.cursor().copy(_statement("copy_staged_events")) as copy:
        copy.write(group)
    connection.execute(_statement("insert_staged_events"))


WAYS = (
    Way("COPY", _nothing, _copy),
    Way("COPY to temporary table + INSERT", _create_staging, _copy_and_insert),
)


def _group(lines: Sequence[bytes], number: int) -> bytes:
    """Return the rows of one commit with new ids, in the order of the ids: that is the fastest."""
    first = number * ROWS_PER_COMMIT
    ids = sorted(str(uuid.uuid4()) for _ in range(ROWS_PER_COMMIT))
    return b"".join(
        event_id.encode() + b"\t" + lines[(first + position) % len(lines)] for position, event_id in enumerate(ids)
    )


def _statement(name: str) -> bytes:
    return (FOLDER / f"{name}.sql").read_bytes()
