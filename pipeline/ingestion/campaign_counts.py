"""Counts campaign events while they are stored: events, conversions and users, per experiment, variant and UTC day.

A campaign event is a stored event whose context has the source `campaign`; its properties may name `experimentId` and
`variant`. It is counted in the transaction that stores it, so that the counts equal the events at every moment. Users
are counted so that any range of days has its exact number of distinct ones: each day knows, for every number of days
before it, how many of its users were active on none of them (docs/adr/0020-campaign-counts.md).
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from pipeline.ingestion.event_staging import EventRow
from pipeline.statements import statement

SOURCE = "campaign"
# How many days a range with a first day may have: further back, a day does not know how far its users' last days lie.
# The statements in sql/campaign have this number, too.
MAX_RANGE_DAYS = 400
_STAGE = ("campaign/create_new_events", "campaign/create_changes", "campaign/stage_new_events")
_COUNT = (
    "campaign/plan_without_jit",
    "campaign/lock_tenants",
    "campaign/empty_changes",
    "campaign/change_events",
    "campaign/change_users",
    "campaign/add_changes",
)


def may_hold_campaign_events(rows: Iterable[EventRow]) -> bool:
    """Whether any of the rows may be a campaign event: a quick look, wrong only by saying yes too often."""
    return any(row.context != "{}" and (SOURCE in row.context or "\\u" in row.context) for row in rows)


def count_campaign_events(connection: psycopg.Connection) -> int:
    """Count what this transaction stored and has not counted yet; returns the number of campaign events.

    To be called after the events are inserted, as late as possible: it holds their tenants' counts until the commit,
    and whoever counts for one of them waits. Duplicates, which were not stored, do not count; calling it again in the
    same transaction counts nothing twice. The transaction must be READ COMMITTED. Raises psycopg.Error.
    """
    events = _run(connection, _STAGE)
    if events:
        _run(connection, _COUNT)
    return events


def _run(connection: psycopg.Connection, names: Iterable[str]) -> int:
    """Run statements in one exchange with the server, each on what is committed by then; returns the last one's rows.

    Never prepared: Postgres prepares single statements only.
    """
    cursor = connection.execute(";\n".join(statement(name) for name in names), prepare=False)
    while cursor.nextset():
        pass
    return cursor.rowcount
