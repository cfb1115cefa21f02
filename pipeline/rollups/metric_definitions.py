"""The metrics that `explain` knows: what each means, in what unit, and which events its value is made of.

The words are those of docs/guides/metrics.md and docs/guides/funnels.md; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Metric:
    """A published metric. `table` holds it, `sql/explain/<name>.sql` computes one value of it.

    `history`: it depends on who is new, so on all valid events before the day. `follow_up` is how long after its day
    events still count, as far as the published row does not say. `assigned`: it needs to know who holds a variant.
    `column` of the table holds it.
    """

    name: str
    table: str
    unit: str
    definition: str
    history: bool = False
    follow_up: timedelta = timedelta(0)
    assigned: bool = False
    column: str = "value"


_DAILY = "daily_metric_rollups"
_EXPERIMENT = "experiment_metric_rollups"
_FUNNEL = "funnel_rollups"
_COHORT = "funnel_cohort_rollups"
_RETENTION = "retention_rollups"
_LAG = (
    "percentile of `received_at - occurred_at` in seconds, negative lags as 0, interpolated linearly between the"
    " closest ranks; 0 without events"
)

METRICS = {
    metric.name: metric
    for metric in (
        Metric("dau", _DAILY, "users", "distinct users with an event that day"),
        Metric("new_users", _DAILY, "users", "users whose `first_seen` is that day", history=True),
        Metric("sessions_submitted", _DAILY, "events", "`session_submitted` events that day"),
        Metric(
            "logging_rate_24h",
            _DAILY,
            "share",
            "of that day's new users, the share with a `session_submitted` from `first_seen` to 24 hours later, both"
            " ends included; 0 without new users",
            history=True,
            follow_up=DAY,
        ),
        Metric("ingestion_lag_p50", _DAILY, "seconds", _LAG),
        Metric("ingestion_lag_p95", _DAILY, "seconds", _LAG),
        Metric(
            "event_volume_by_name",
            _DAILY,
            "events",
            "events that day by name; `dimension_key` is the name; no row for a name that does not occur",
        ),
        Metric(
            "users_assigned",
            _EXPERIMENT,
            "users",
            "assignments to the variant made before the end of the day, since the beginning",
            assigned=True,
        ),
        Metric(
            "users_active_d1",
            _EXPERIMENT,
            "users",
            "cohort users with any event after `first_seen`, up to and including 24 hours later",
            history=True,
            follow_up=DAY,
            assigned=True,
        ),
        Metric(
            "sessions_submitted_d7",
            _EXPERIMENT,
            "events",
            "`session_submitted` events of cohort users from `first_seen` to 7 days later, both ends included",
            history=True,
            follow_up=7 * DAY,
            assigned=True,
        ),
        Metric(
            "logging_rate_24h_by_variant",
            _EXPERIMENT,
            "share",
            "share of the cohort with a `session_submitted` from `first_seen` to 24 hours later; 0 for an empty cohort",
            history=True,
            follow_up=DAY,
            assigned=True,
        ),
        Metric(
            "users_count",
            _FUNNEL,
            "users",
            "distinct users with an event of one of the step's names, that day",
            column="users_count",
        ),
        Metric(
            "events_count",
            _FUNNEL,
            "events",
            "events with one of the step's names, that day",
            column="events_count",
        ),
        Metric(
            "ordered_users_count",
            _COHORT,
            "users",
            "the number of users whose chain reaches it",
            column="users_count",
        ),
        Metric(
            "median_seconds",
            _COHORT,
            "seconds",
            "the median time between the step and the one before, over the chains that reach it, interpolated linearly;"
            " null for step 1 and where nobody arrived",
            column="median_seconds",
        ),
        Metric(
            "cohort_size",
            _RETENTION,
            "users",
            "users whose `first_seen` is that day, as in `new_users`",
            history=True,
            assigned=True,
            column="cohort_size",
        ),
        Metric(
            "retained_users",
            _RETENTION,
            "users",
            "those of them with any valid event on the UTC day that is `days_after` days after `day`",
            history=True,
            assigned=True,
            column="retained_users",
        ),
        Metric(
            "retention_rate",
            _RETENTION,
            "share",
            "`retained_users / cohort_size`; 0 without new users",
            history=True,
            assigned=True,
            column="rate",
        ),
    )
}
