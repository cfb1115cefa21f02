"""Erases a person: from Postgres, from every version of the lake, from what is derived, and from the bytes left behind.

Each step can be repeated, and each is recorded once it is done: an erasure that was killed is continued by asking for
the same person again. It ends with a search of everything for the person, and with a certificate of what was found.
Events that arrive after it are new events; events that were erased do not come in again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from pipeline.clock import Clock, iso_millis
from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.erasure.database import HOLDERS, events_in_lake, other_tenants, removed, search, settle
from pipeline.erasure.files import clean_files, search_bytes, search_parquet
from pipeline.erasure.lake import LakeErasure
from pipeline.erasure.lake_files import TableFiles
from pipeline.erasure.person import Person, PersonError
from pipeline.erasure.record import Record, Records
from pipeline.erasure.scrub import scrub
from pipeline.lake.table import Lake
from pipeline.refresh import stale_days
from pipeline.refresh.run import refresh
from pipeline.rollups.jobs import JOBS, job_named
from pipeline.settings import Settings
from pipeline.statements import statement

# What arrived while a round was at work is removed by the next one; a client that sends on and on is not waited for.
ROUNDS = 3
ALWAYS_OUT_OF_REACH = (
    "backups, dumps and replicas of the database",
    "copies of the lake, and results that were taken out of it",
    "files outside TIDEMARK_HOME, such as imported files and their rejected rows",
)

Say = Callable[[str], None]
# Brings into Postgres what was received before a moment and waits on this machine, and cleans up behind it.
Drain = Callable[[datetime], None]
# Computes the days again that are marked as stale, as of a moment.
Recompute = Callable[[Settings, str, datetime], object]


class NotErasedError(Exception):
    """Something of the person is still there; the message says where."""


@dataclass(frozen=True)
class Erasure:
    """What an erasure did: its certificate, where it is kept, and the salt of its digest, which nobody keeps."""

    certificate: Mapping[str, Any]
    kept_at: Path
    salt: str


@dataclass(frozen=True)
class _Work:
    settings: Settings
    database_url: str
    person: Person
    clock: Clock
    say: Say

    @property
    def tables(self) -> tuple[TableFiles, TableFiles]:
        """The events, and the users state."""
        root = self.settings.lake
        return (
            TableFiles(root / "events", "erasure/events_in_files"),
            TableFiles(root / "users", "erasure/users_in_files"),
        )


def find(settings: Settings, database_url: str, person: Person) -> dict[str, int]:
    """Count what there is of a person, by place, and change nothing; no entry where nothing is.

    Of what waits in spools only the bytes of a distinct id are found.
    """
    work = _Work(settings, database_url, person, lambda: datetime.max, lambda text: None)
    with connect(database_url, application="tidemark-erase", autocommit=True) as connection, _engine(work) as engine:
        return _found(work, connection, engine)


def erase(
    settings: Settings,
    database_url: str,
    person: Person,
    *,
    clock: Clock,
    drain: Drain,
    whole_server: bool,
    say: Say = lambda text: None,
    recompute: Recompute = refresh,
) -> Erasure:
    """Erase a person, or continue an erasure that was interrupted, and return the certificate.

    `whole_server` says that the database server serves this installation alone (the embedded one does): its
    write-ahead log is then cleaned too. Runs beside everything else; other work on the lake and rollups wait meanwhile.
    Raises NotErasedError when something is still there at the end, and what the steps raise: run it again then.
    """
    if "://" in str(settings.lake):
        raise PersonError("the lake is not on this machine's disk; erasing there is not supported")
    work = _Work(settings, database_url, person, clock, say)
    records = Records(settings)
    with (
        connect(database_url, application="tidemark-erase-lock", autocommit=True) as lock,
        advisory_lock(lock, AdvisoryLock.ERASURE),
        connect(database_url, application="tidemark-erase", autocommit=True) as connection,
        _engine(work) as engine,
    ):
        if (person.tenant_id,) not in connection.execute(statement("import/read_tenants")).fetchall():
            raise PersonError(f"there is no tenant {person.tenant_id}")
        record, resumed = records.begin(person, clock())
        if resumed:
            say(f"continuing the erasure asked for at {iso_millis(record.requested_at)}")
        key = {"erasure_id": record.erasure_id, "tenant_id": person.tenant_id, "requested_at": record.requested_at}
        connection.execute(statement("erasure/open_erasure"), key)
        out_of_reach: list[str] = []
        found: dict[str, int] = {}
        for _ in range(ROUNDS):
            say("waiting for what was received before to reach the database")
            drain(clock())
            with _alone(lock):
                _settle(work, connection, engine, records, record)
            say("computing the days again that it was part of")
            recompute(settings, database_url, clock())
            say("writing over what the database keeps of deleted rows")
            with advisory_lock(lock, AdvisoryLock.EXPORT):  # an export reads for long, and a table is needed alone
                out_of_reach = scrub(connection, HOLDERS, whole_server=whole_server, say=say)
            record.add(clean_files(settings, person))
            records.write(record)
            say("looking for the person everywhere")
            found = _found(work, connection, engine)
            if not found:
                break
        if found:
            places = ", ".join(f"{count} in {place}" for place, count in found.items())
            raise NotErasedError(
                f"something of the person is still there, or arrived meanwhile: {places}; run it again"
            )
        others = other_tenants(connection, person)
        record.add(removed(connection, record.erasure_id))
        certificate = _certificate(record, clock(), [*ALWAYS_OUT_OF_REACH, *out_of_reach], person, others)
        connection.execute(
            statement("erasure/finish_erasure"), {"erasure_id": record.erasure_id, "finished_at": clock()}
        )
        kept_at = records.finish(record, certificate)
    return Erasure(certificate, kept_at, record.salt)


def _settle(
    work: _Work,
    connection: psycopg.Connection,
    engine: duckdb.DuckDBPyConnection,
    records: Records,
    record: Record,
) -> None:
    """Remove the person from Postgres and from the lake, while nobody else changes either's tables of results."""
    work.say("removing the person from the database")
    snapshot = Lake(work.settings.lake).snapshot()
    in_lake = events_in_lake(engine, [] if snapshot is None else snapshot.paths(), work.person)
    days = {row[2].date() for row in in_lake}
    record.days = sorted({*record.days, *(day.isoformat() for day in days)})
    records.write(record)
    settled = settle(connection, work.person, record.erasure_id, in_lake)
    record.days = sorted({*record.days, *(day.isoformat() for day in settled)})
    records.write(record)
    work.say("removing the person from the lake")
    for files in work.tables:
        LakeErasure(files, connection, engine, work.person, records, record).run()
    with connection.transaction():  # again: a run between a kill and this moment may have cleared them
        stale_days.mark_all(connection, [date.fromisoformat(day) for day in record.days])


def _found(work: _Work, connection: psycopg.Connection, engine: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Search everything for the person; returns how much there is, by place."""
    found = search(connection, work.person)
    for files in work.tables:
        hits = files.search(engine, work.person)
        found[f"rows of {files.folder.name} in the lake"] = sum(hit.own + hit.mentions for hit in hits)
    if not other_tenants(connection, work.person):
        for path in search_bytes(work.settings, work.person) + search_parquet(work.settings, work.person):
            found[str(path)] = 1
    return {place: count for place, count in found.items() if count}


@contextmanager
def _alone(lock: psycopg.Connection) -> Iterator[None]:
    """Hold all that keeps refreshes, rollups, prunes, compactions and exports apart; in the order in which they do."""
    keys = [
        AdvisoryLock.REFRESH,
        *(job_named(name).lock for name in JOBS),
        AdvisoryLock.EXPORT,
        AdvisoryLock.PRUNE,
        AdvisoryLock.LAKE_REWRITE,
    ]
    with ExitStack() as stack:
        for key in keys:
            stack.enter_context(advisory_lock(lock, key))
        yield


@contextmanager
def _engine(work: _Work) -> Iterator[duckdb.DuckDBPyConnection]:
    with scratch_folder(work.settings) as scratch, duckdb_engine(work.settings, scratch) as engine:
        yield engine


def _certificate(
    record: Record, now: datetime, out_of_reach: list[str], person: Person, other_tenants: int
) -> dict[str, Any]:
    looked = ["every table of the database", "every file of every version of the lake", "the users state"]
    if person.distinct and not other_tenants:
        looked.append("the bytes of every file below TIDEMARK_HOME, in every spelling of the id")
    elif other_tenants:
        out_of_reach.append("another tenant has a user of the same id: another person, who stays")
    counts = {
        **record.removed,
        "rows of the lake": sum(file["rows"] for file in record.replaced if file["old"].startswith("events/")),
        "mentions in the lake": sum(file["redacted"] for file in record.replaced),
        "rows of the users state": sum(file["rows"] for file in record.replaced if file["old"].startswith("users/")),
        "rows of older versions": sum(file["rows"] for file in record.dropped),
    }
    return {
        "erasure_id": str(record.erasure_id),
        "tenant": record.tenant_id,
        "person_digest": record.digest,
        "requested_at": iso_millis(record.requested_at),
        "finished_at": iso_millis(now),
        "removed": {place: count for place, count in counts.items() if count},
        "days_computed_again": record.days,
        "first_versions_without": record.versions,
        "files_replaced": record.replaced,
        "files_removed_from_older_versions": record.dropped,
        "searched": looked,
        "found_at_the_end": 0,
        "out_of_reach": out_of_reach,
    }
