"""Assignments for an increment: how many were made per day, and those of some users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
import pyarrow as pa

from pipeline.database import connect
from pipeline.statements import statement

VARIANT = [
    pa.field("tenant_id", pa.string()),
    pa.field("experiment_id", pa.string()),
    pa.field("variant_id", pa.string()),
]
VARIANTS = pa.schema(VARIANT)
COUNTS = pa.schema([*VARIANT, pa.field("day", pa.date32()), pa.field("users", pa.int64())])
ASSIGNMENTS = pa.schema([VARIANT[0], pa.field("anonymous_user_id", pa.string()), *VARIANT[1:]])


@dataclass(frozen=True)
class CountedAssignments:
    """The running variants, and assignments to them per UTC day of assigned_at."""

    variants: pa.Table
    counts: pa.Table

    @property
    def users(self) -> int:
        """The number of assignments counted."""
        return sum(self.counts.column("users").to_pylist())


def read_counted_assignments(database_url: str) -> CountedAssignments:
    """Read, at one moment, the running variants and how often they were assigned."""
    with connect(database_url, application="tidemark-rollup") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return CountedAssignments(
            _table(connection, "rollups/read_running_variants", VARIANTS),
            _table(connection, "rollups/read_assigned_counts", COUNTS),
        )


def read_wanted_assignments(database_url: str, users: Sequence[tuple[str, str]]) -> pa.Table:
    """Return the assignments of `users`, (tenant_id, anonymous_user_id), to the running variants."""
    with connect(database_url, application="tidemark-rollup") as connection:
        connection.execute(statement("rollups/create_wanted_users"))
        with connection.cursor().copy(statement("rollups/copy_wanted_users")) as copy:
            for user in users:
                copy.write_row(user)
        return _table(connection, "rollups/read_wanted_assignments", ASSIGNMENTS)


def _table(connection: psycopg.Connection, name: str, schema: pa.Schema) -> pa.Table:
    rows = connection.execute(statement(name)).fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)
