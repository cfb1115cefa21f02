"""An installation in which one person has left traces everywhere, among others who stay.

As a program, its erasure again and again, forked from one process: reading all modules takes longer than erasing.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from pipeline.erasure.person import Person
from pipeline.erasure.run import Erasure, erase
from pipeline.ingestion.conservation import conservation
from pipeline.ingestion.dead_letters import DeadLetter
from pipeline.ingestion.event_store import EventRow, Lot, store, write
from pipeline.lake.table import Lake
from pipeline.refresh.run import refresh
from pipeline.rollups.jobs import JOBS, job_named
from pipeline.settings import Settings
from tests.makers import NOW, add_experiment, assign, event_row, event_rows
from tests.pipeline.ingestion.retail_world import visit_event

PERSON = Person("default", 'person-"3f9b"/ünïcode-é')
USER = PERSON.user_id
ESCAPED_WHOLLY = "".join(f"\\u{ord(character):04x}" for character in USER)
TABLES = tuple(job_named(name).table for name in JOBS)


@dataclass(frozen=True)
class World:
    """The installation and what tests ask of it."""

    settings: Settings
    database_url: str
    connection: psycopg.Connection

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    def erase(self, person: Person = PERSON, **options: Any) -> Erasure:
        return erase_now(self.settings, self.database_url, person, **options)

    def erase_only(self, person: Person = PERSON, **options: Any) -> Erasure:
        """Erase without computing any day again, where a test is about something else."""
        return self.erase(person, recompute=lambda settings, database_url, as_of: None, **options)

    def refresh(self, *, full: bool = False) -> None:
        refresh(self.settings, self.database_url, NOW, full=full)

    def problems(self) -> list[str]:
        return conservation(self.settings, self.database_url, self.lake.snapshot()).problems

    def published(self, table: str) -> tuple[str, ...]:
        query = f"SELECT (to_jsonb(t) - 'run_id')::text FROM {table} AS t ORDER BY 1"
        return tuple(text for (text,) in self.rows(query))

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()


def erase_now(settings: Settings, database_url: str, person: Person = PERSON, **options: Any) -> Erasure:
    """Erase without spools, on a server that is shared."""
    usual = {"clock": lambda: NOW, "drain": lambda before: None, "whole_server": False}
    return erase(settings, database_url, person, **{**usual, **options})


def of_person(number: int, **fields: Any) -> EventRow:
    """One event of the person."""
    return event_row(number + 10_000, anonymous_user_id=USER, **fields)


def letter(envelope: str, event: str) -> DeadLetter:
    """One refused event."""
    return DeadLetter("default", NOW, "mobile", 0, "no", envelope.encode(), event.encode())


def inhabited(settings: Settings, database_url: str, connection: psycopg.Connection) -> World:
    """Fill a database and a lake: 57 events of the person, 54 of them in the lake, in two versions."""
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    add_experiment(connection, "exp", {"a": 1, "b": 1})
    assign(connection, [USER, "user_1"], "exp", "a", NOW - timedelta(days=3))
    world = World(settings, database_url, connection)
    store(connection, event_rows(200, days=4))
    store(connection, [of_person(n, occurred_at=NOW - timedelta(days=n % 4, hours=1)) for n in range(40)])
    store(connection, [visit_event(n + 500, user_id=USER, path=f"/{n % 3}") for n in range(9)])
    store(connection, [visit_event(n + 600, user_id=f"u{n}", path=f"/{n % 2}/{USER}") for n in range(4)])
    world.refresh()
    store(connection, [of_person(100 + n, occurred_at=NOW - timedelta(days=1)) for n in range(5)])
    world.refresh()
    store(connection, [of_person(200 + n, occurred_at=NOW - timedelta(days=2)) for n in range(3)])
    store(connection, [event_row(900, properties=json.dumps({"friend": {USER: [USER]}}), session_id=USER)])
    letters = [
        letter(json.dumps({"anonymous_user_id": USER}), "{}"),
        letter("{}", f'{{"user_id": "{ESCAPED_WHOLLY}"}}'),
        letter('{"anonymous_user_id": "user_1"}', '{"event_name": 1}'),
    ]
    with connection.transaction():
        write(connection, [Lot([])], letters)
    return world


def tell(text: str) -> None:
    """Write a line to stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def erase_on_request(database_url: str, home: Path) -> None:
    """For each line on stdin, erase in a forked process; on stdout: `child PID`, its steps, `ended CODE`."""
    tell("ready")
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            tell(f"child {os.getpid()}")
            erase_now(Settings(home=home), database_url, say=tell)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        tell(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    erase_on_request(sys.argv[1], Path(sys.argv[2]))
