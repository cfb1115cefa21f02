"""The person in Postgres: counted, and taken out of every table in one transaction.

What counts events without holding them (statistics of retail sites, counts of campaigns, the books of removed events)
is set right in the same transaction, exactly once, however often an erasure is interrupted. Bytes that Postgres keeps
of deleted rows are the business of `pipeline.erasure.scrub`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from typing import Any
from uuid import UUID

import duckdb
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from pipeline.erasure.campaigns import remove_from_campaigns
from pipeline.erasure.person import REPLACEMENT, Person
from pipeline.ingestion.dead_letters import add_to_totals, book
from pipeline.refresh import stale_days
from pipeline.statements import statement

# Tables that held something of the person until a moment ago, and what their deleted rows leave on the disk.
HOLDERS = (
    "event_logs",
    "assignments",
    "assignment_changes",
    "dead_letters",
    "retail_site_users",
    "retail_path_views",
    "campaign_user_days",
    "campaign_counts",
)
READ_ROWS = 500


def events_in_lake(engine: duckdb.DuckDBPyConnection, paths: Sequence[str], person: Person) -> list[tuple[Any, ...]]:
    """Return the person's events in these files, each once, as `settle` wants them."""
    if not paths:
        return []
    return engine.execute(
        statement("erasure/person_in_lake"),
        {"paths": list(paths), "tenant_id": person.tenant_id, "user_id": person.user_id},
    ).fetchall()


def settle(
    connection: psycopg.Connection, person: Person, erasure_id: UUID, in_lake: Sequence[tuple[Any, ...]]
) -> tuple[date, ...]:
    """Remove the person from all tables, in one transaction, mark the days that change as stale, and return them.

    `in_lake` are its events of the lake: the counts that they are part of are set right at the first call for an
    erasure. Their ids are noted, so that none comes in again. Raises psycopg.Error; nothing has changed then.
    """
    key = {"tenant_id": person.tenant_id, "user_id": person.user_id}
    tenant = {"tenant_id": person.tenant_id}
    counts: dict[str, int] = {}
    letters = _letters(connection, person)
    with connection.transaction():
        connection.execute(statement("erasure/create_erased_events"))
        if connection.execute(statement("erasure/settle_erasure"), {"erasure_id": erasure_id}).fetchone():
            with connection.cursor().copy(statement("erasure/copy_erased_events")) as copy:
                for row in in_lake:
                    copy.write_row(row)
        counts["event_logs"] = connection.execute(statement("erasure/remove_events"), key).rowcount
        counts["mentions in event_logs"] = _redact(connection, person)
        counts["retail_site_users"] = connection.execute(statement("erasure/remove_site_users"), key).rowcount
        connection.execute(statement("erasure/remove_path_views"), tenant)
        if person.distinct:
            connection.execute(statement("erasure/redact_paths"), {**key, "replacement": REPLACEMENT})
        counts["retail_path_views"] = connection.execute(statement("erasure/remove_empty_paths"), tenant).rowcount
        connection.execute(statement("erasure/remove_empty_sites"), tenant)
        counts["campaign_user_days"] = remove_from_campaigns(connection, person)
        connection.execute(statement("erasure/book_erased"), tenant)
        connection.execute(statement("erasure/remember_ids"), tenant)
        counts["assignments"] = connection.execute(statement("erasure/remove_assignments"), key).rowcount
        days = tuple(day for (day,) in connection.execute(statement("erasure/erased_days")))
        stale_days.mark_all(connection, days)
        counts["dead_letters"] = _remove_letters(connection, person, letters)
        connection.execute(statement("erasure/count_removed"), {"erasure_id": erasure_id, "removed": Jsonb(counts)})
    return days


def removed(connection: psycopg.Connection, erasure_id: UUID) -> dict[str, int]:
    """Return how many rows an erasure has removed so far, by table."""
    row = connection.execute(statement("erasure/read_removed"), {"erasure_id": erasure_id}).fetchone()
    return {} if row is None else row[0]


def search(connection: psycopg.Connection, person: Person) -> dict[str, int]:
    """Count what Postgres holds of the person, by table; tables without anything are left out."""
    key = {"tenant_id": person.tenant_id, "user_id": person.user_id}
    found = dict(connection.execute(statement("erasure/person_in_postgres"), key).fetchall())
    found["dead_letters"] = len(_letters(connection, person))
    row = connection.execute(statement("erasure/count_mentions"), {**key, "needle": person.needle}).fetchone()
    found["mentions in event_logs"] = 0 if row is None else row[0]
    if person.distinct and not other_tenants(connection, person):
        for (name,) in connection.execute(statement("erasure/tables")).fetchall():
            query = sql.SQL(statement("erasure/mentions_in_table")).format(table=sql.Identifier(name))
            row = connection.execute(query, {"needle": person.needle}).fetchone()
            found[name] = max(found.get(name, 0), 0 if row is None else row[0])
    return {name: count for name, count in found.items() if count}


def other_tenants(connection: psycopg.Connection, person: Person) -> int:
    """Return in how many other tenants somebody has the same id."""
    key = {"tenant_id": person.tenant_id, "user_id": person.user_id}
    row = connection.execute(statement("erasure/other_tenants"), key).fetchone()
    return 0 if row is None else int(row[0])


def _redact(connection: psycopg.Connection, person: Person) -> int:
    """Take the id out of events of others; only when there are any, since it keeps writers out for a moment."""
    wanted = {"tenant_id": person.tenant_id, "user_id": person.user_id, "needle": person.needle}
    row = connection.execute(statement("erasure/count_mentions"), wanted).fetchone()
    if row is None or not row[0]:
        return 0
    connection.execute(statement("export/allow_restamp"))
    count = connection.execute(
        statement("erasure/redact_events"), {**wanted, "replacement": person.replacement}
    ).rowcount
    connection.execute(statement("export/forbid_restamp"))
    return count


def _letters(connection: psycopg.Connection, person: Person) -> list[int]:
    """Return the ids of the tenant's dead letters that name the person."""
    found = []
    with (
        connection.transaction(),
        closing(connection.cursor("letters_of_a_tenant")) as cursor,
    ):
        cursor.itersize = READ_ROWS
        for letter_id, _, reason, envelope, event in cursor.execute(
            statement("erasure/read_letters"), {"tenant_id": person.tenant_id}
        ):
            told = any(spelling.decode() in reason for spelling in person.spellings) and person.distinct
            if told or person.named_in(envelope) or person.named_in(event):
                found.append(letter_id)
    return found


def _remove_letters(connection: psycopg.Connection, person: Person, ids: Sequence[int]) -> int:
    rows = connection.execute(statement("erasure/remove_letters"), {"ids": list(ids)}).fetchall()
    if not rows:
        return 0
    total: int = sum(letters for _, letters, _ in rows)
    add_to_totals(connection, person.tenant_id, -total, -sum(size for _, _, size in rows))
    book(connection, dropped=Counter({(person.tenant_id, day): letters for day, letters, _ in rows}))
    return total
