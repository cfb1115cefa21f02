"""The person in the campaign counts: taken out of them within the transaction that removes its events.

Events and conversions go by the erased events, in Postgres or in the lake; users by the days that the counts know of
the person, also where the events were pruned long ago. What others did stays counted as it is.
"""

from __future__ import annotations

import psycopg

from pipeline.erasure.person import REPLACEMENT, Person
from pipeline.statements import statement

_PREPARE = (
    "campaign/create_new_events",
    "campaign/create_changes",
    "campaign/plan_without_jit",
    "campaign/empty_changes",
)
_ADD_USERS = ("campaign/change_users", "campaign/add_changes", "campaign/empty_changes")


def remove_from_campaigns(connection: psycopg.Connection, person: Person) -> int:
    """Take the person out of the campaign counts; returns how many scopes (experiments, variants) knew its days.

    Belongs into the transaction that holds `erased_events`, after its locks on statistics of retail sites and before
    those on dead letters, as in `event_store.write`. Raises psycopg.Error.
    """
    key = {"tenant_id": person.tenant_id, "user_id": person.user_id}
    tenant = {"tenant_id": person.tenant_id}
    for name in _PREPARE:
        connection.execute(statement(name))
    connection.execute(statement("erasure/lock_campaigns"), tenant)
    connection.execute(statement("erasure/change_campaign_events"), tenant)
    scopes = connection.execute(statement("erasure/remove_campaign_days"), key).rowcount
    connection.execute(statement("campaign/add_changes"))
    connection.execute(statement("campaign/empty_changes"))
    if connection.execute(statement("erasure/stage_campaign_events"), key).rowcount:
        _add_users(connection)
    if person.distinct:
        names = {**key, "replacement": REPLACEMENT}
        moved = connection.execute(statement("erasure/rename_campaign_counts"), names).rowcount
        if moved:
            connection.execute(statement("erasure/rename_campaign_days"), names)
            _add_users(connection)
    connection.execute(statement("erasure/remove_empty_campaigns"), tenant)
    return scopes


def _add_users(connection: psycopg.Connection) -> None:
    for name in _ADD_USERS:
        connection.execute(statement(name))
