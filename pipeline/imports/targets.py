"""What can be imported: events and assignments, each with its columns, its rules and the way a batch is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import psycopg

from pipeline.imports.rows import (
    ASSIGNMENT_COLUMNS,
    ASSIGNMENT_REQUIRED,
    DEFAULT_TENANT,
    EVENT_COLUMNS,
    EVENT_JSON_COLUMNS,
    EVENT_REQUIRED,
    AssignmentRow,
    to_assignment,
    to_event,
)
from pipeline.ingestion.event_store import EventRow, LedgerKey, StoreResult, store
from pipeline.statements import statement

Row = TypeVar("Row")


@dataclass(frozen=True)
class Target(Generic[Row]):
    """A table that files are imported into.

    `convert` makes a row of a record's columns or raises RowError; `store` writes a batch in one transaction, with
    the tenants of the rows that were rejected.
    """

    kind: str
    columns: frozenset[str]
    json_columns: frozenset[str]
    required: Sequence[str]
    convert: Callable[[Mapping[str, Any], frozenset[str], datetime], Row]
    store: Callable[[psycopg.Connection, Sequence[Row], Counter[str], datetime], StoreResult]


def _store_events(
    connection: psycopg.Connection, rows: Sequence[EventRow], rejected: Counter[str], now: datetime
) -> StoreResult:
    day = now.astimezone(UTC).date()
    return store(connection, rows, {LedgerKey(tenant_id, day): count for tenant_id, count in rejected.items()})


def _store_assignments(
    connection: psycopg.Connection, rows: Sequence[AssignmentRow], _: Counter[str], __: datetime
) -> StoreResult:
    if not rows:
        return StoreResult(0, 0, 0)
    with connection.transaction():
        connection.execute(statement("import/create_incoming_assignments"))
        with connection.cursor().copy(statement("import/copy_incoming_assignments")) as copy:
            for position, row in enumerate(rows):
                copy.write_row((position, *row))
        stored = _number(connection, "import/store_assignments")
        conflict = _number(connection, "import/count_assignment_conflicts")
    return StoreResult(stored, len(rows) - stored, conflict)


def _number(connection: psycopg.Connection, name: str) -> int:
    row = connection.execute(statement(name)).fetchone()
    return 0 if row is None else int(row[0])


def rejected_tenant(values: Mapping[str, Any], tenants: frozenset[str]) -> str:
    """Return the tenant in whose ledger a rejected row counts: its own when that exists, else the default one."""
    tenant_id = values.get("tenant_id")
    return tenant_id if isinstance(tenant_id, str) and tenant_id in tenants else DEFAULT_TENANT


EVENTS = Target("events", EVENT_COLUMNS, EVENT_JSON_COLUMNS, EVENT_REQUIRED, to_event, _store_events)
ASSIGNMENTS = Target(
    "assignments", ASSIGNMENT_COLUMNS, frozenset(), ASSIGNMENT_REQUIRED, to_assignment, _store_assignments
)
TARGETS: Mapping[str, Target[Any]] = {target.kind: target for target in (EVENTS, ASSIGNMENTS)}
