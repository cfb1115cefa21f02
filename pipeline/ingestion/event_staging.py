"""Sends a group of events to Postgres and stores it, in one exchange with the server.

Creating the staging table, COPY into it and the statement that stores what it holds are one message: a group waits for
the server once instead of five times, which is what a group of few events spends its time on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

import psycopg
from psycopg import errors, generators, pq
from psycopg.abc import PQGen

from pipeline.statements import statement

CHUNK_BYTES = 256 * 2**10


class EventRow(NamedTuple):
    """One event, ready to store; its fields are columns of `event_logs`.

    Times are aware datetimes. `event_id` is a lower-case UUID. `properties` and `context` are texts of JSON objects.
    With `assignments` None, the event is stamped with what its user is assigned to when it is stored; an import gives
    `assignments` (a JSON list), `experiment_map` (a JSON object) and `assignment_version` itself.
    """

    event_id: str
    tenant_id: str
    anonymous_user_id: str
    session_id: str | None
    install_id: str | None
    platform: str | None
    app_version: str | None
    event_name: str
    occurred_at: datetime
    received_at: datetime
    sent_at: datetime | None
    properties: str = "{}"
    context: str = "{}"
    assignment_version: int | None = None
    assignments: str | None = None
    experiment_map: str | None = None
    schema_version: int = 1


@dataclass(frozen=True)
class Lot:
    """Events that came together, and what is to be known of their receipt.

    `as_received`: they waited (in a spool), and are stamped with the assignments made by their `received_at`, in the
    experiments of `running` (None: in those that run now).
    """

    rows: Sequence[EventRow]
    as_received: bool = False
    running: tuple[str, ...] | None = None


class Booking(NamedTuple):
    """What was booked for one tenant's UTC day of receipt, by the transaction `xid`.

    `witness` is the id of an event that this transaction has stored for the tenant; None when all were there already.
    """

    tenant_id: str
    day: date
    received: int
    stored: int
    xid: int
    witness: str | None


def prepare_to_begin(connection: psycopg.Connection) -> None:
    """Make a connection, which must be in autocommit mode, ready for `stage_and_store` with `begin`.

    psycopg prepares nothing on it any more: after a rollback it deallocates its own statements, and ours with them.
    """
    connection.prepare_threshold = None
    connection.execute(statement("ingest/create_incoming_events"))
    connection.execute("\n".join((statement("ingest/prepare_store_events"), statement("ingest/store_events"))))


def stage_and_store(
    connection: psycopg.Connection, lots: Sequence[Lot], *, begin: bool = False, booked: bool = False
) -> list[Booking]:
    """Store the events of some lots that are new, book all of them in the ledger, and return what was booked.

    Within the caller's transaction; or, with `begin`, in one begun here, which the caller ends, on a connection that
    is prepared for it. The events stay in the staging table until the transaction's end. `booked`: only those that
    turn out to be missing are booked. Raises psycopg.Error.
    """
    create, copy = statement("ingest/create_incoming_events"), statement("ingest/copy_incoming_events")
    if begin:
        query = ("BEGIN", create, copy, statement("ingest/run_store_events"))
    else:
        query = (create, statement("ingest/empty_incoming_events"), copy, statement("ingest/store_events"))
    data = "".join(_copy_lines(lots, booked)).encode()
    result = connection.wait(_exchange(connection.pgconn, ";".join(query).encode(), data))
    rows = ([result.get_value(row, column) or b"" for column in range(6)] for row in range(result.ntuples))
    return [
        Booking(
            tenant_id.decode(), date.fromisoformat(day.decode()), int(received), int(stored), int(xid),
            witness.decode() or None,
        )
        for tenant_id, day, received, stored, xid, witness in rows
    ]  # fmt: skip


def _exchange(connection: pq.abc.PGconn, query: bytes, data: bytes) -> PQGen[pq.abc.PGresult]:
    """Send a query that holds one COPY FROM STDIN, with its data, and return its last result."""
    connection.send_query(query)
    yield from generators.send(connection)
    _check((yield from generators.fetch_many(connection)))
    for start in range(0, len(data), CHUNK_BYTES):
        yield from generators.copy_to(connection, data[start : start + CHUNK_BYTES], flush=False)
    while connection.put_copy_end(None) == 0:
        yield generators.WAIT_W
    yield from generators.send(connection)
    return _check((yield from generators.fetch_many(connection)))


def _check(results: Sequence[pq.abc.PGresult]) -> pq.abc.PGresult:
    """Return the last of some results; raise the error that one of them is."""
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)
    return results[-1]


def _copy_lines(lots: Sequence[Lot], booked: bool) -> Iterator[str]:
    """Yield the rows in COPY's text format; what the events of one request share is written out once.

    Faster than psycopg's own writer by the factor that decides how many events a process can take.
    """
    position = source = 0
    for lot in lots:
        shared: tuple[object, ...] = ()
        for row in lot.rows:
            (
                event_id, tenant_id, user, session, install, platform, version, name, occurred_at, received_at, sent_at,
                properties, context, *given,
            ) = row  # fmt: skip
            of_row = (tenant_id, user, session, install, platform, version, received_at, sent_at, given)
            if of_row != shared:
                shared = of_row
                source += 1
                end = _shared_columns(lot, row, booked)
            yield (
                f"{position}\t{source}\t{event_id}\t{_escaped(name)}\t{occurred_at.isoformat()}"
                f"\t{_escaped(properties)}\t{_escaped(context)}\t{end}"
            )
            position += 1


def _shared_columns(lot: Lot, row: EventRow, booked: bool) -> str:
    running = None if lot.running is None else "{" + ",".join(map(_array_element, lot.running)) + "}"
    columns = (
        row.tenant_id,
        row.anonymous_user_id,
        row.session_id,
        row.install_id,
        row.platform,
        row.app_version,
        row.received_at.isoformat(),
        None if row.sent_at is None else row.sent_at.isoformat(),
        None if row.assignment_version is None else str(row.assignment_version),
        row.assignments,
        row.experiment_map,
        str(row.schema_version),
        row.received_at.isoformat() if lot.as_received else "infinity",
        running,
        "t" if booked else "f",
    )
    return "\t".join(r"\N" if column is None else _escaped(column) for column in columns) + "\n"


def _array_element(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _escaped(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "\n" in text or "\t" in text or "\r" in text:
        text = text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return text
