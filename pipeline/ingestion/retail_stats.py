"""Counts the visits of retail sites while they are stored: views, users and paths, per day and over all time.

A visit is a stored event whose context has the source `retail` and whose properties name `site_id` and `path`. It is
counted in the transaction that stores it, so that the counts equal the events at every moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import psycopg

from pipeline.ingestion.event_staging import EventRow
from pipeline.statements import statement

SOURCE = "retail"


def may_hold_visits(rows: Iterable[EventRow]) -> bool:
    """Whether any of the rows may be a visit: a quick look at their contexts, wrong only by saying yes too often."""
    return any(row.context != "{}" and (SOURCE in row.context or "\\u" in row.context) for row in rows)


def is_visit(context: str) -> bool:
    """Whether an event with this context, the text of a JSON object, came from a retail site."""
    return SOURCE in context and json.loads(context).get("source") == SOURCE


def count_visits(connection: psycopg.Connection) -> int:
    """Count what this transaction stored and has not counted yet; returns the number of visits.

    To be called after the events are inserted, as late as possible: it locks the sites' totals until the commit.
    Duplicates, which were not stored, do not count; calling it again in the same transaction counts nothing twice.
    Raises psycopg.Error.
    """
    connection.execute(statement("retail/create_new_visits"))
    visits = connection.execute(statement("retail/stage_new_visits")).rowcount
    if visits:
        added = connection.execute(statement("retail/add_users")).fetchall()
        connection.execute(statement("retail/add_path_views"))
        tenants, sites, days, users = ([row[column] for row in added] for column in range(4))
        connection.execute(
            statement("retail/add_site_totals"), {"tenants": tenants, "sites": sites, "days": days, "users": users}
        )
    return visits
