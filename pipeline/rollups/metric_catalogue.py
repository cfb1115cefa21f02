"""Every number Tidemark publishes, in words for people: what `GET /v1/metrics/catalogue` and the dashboard show.

What a metric means and its unit are those of `metric_definitions`; here are its name for people, what to beware of, and
the figures that a page or the summary endpoint derives from published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pipeline.rollups.metric_definitions import METRICS


@dataclass(frozen=True)
class CatalogueEntry:
    """A metric. `table` is where it is published, None for a figure that is derived when it is shown."""

    name: str
    label: str
    unit: str
    definition: str
    caveats: tuple[str, ...]
    table: str | None


_DAYS = "Days are UTC; the current day is not over and its number still grows."
_VALID = "Events more than 180 days older or 5 minutes newer than the run do not count."
_LATE = "Events that phones deliver late change past days; the day is then computed again."
_ANONYMOUS = "An event without a user counts as an event and as no user."
_NEW_AGAIN = "Who was silent for 180 days is new again."
_MATURE = "The last two days are not complete: their users' 24 hours have not all passed."
_HOLDERS = "Counts who holds the variant when the rollup runs, whenever it was assigned."
_BOOKED = "Booked in the transaction that stores or refuses; `./tidemark check` compares it with what is there."
_CARRIED = "Of a variant: what the events themselves carried, as it was when they were stored."

_WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "dau": ("Daily active users", (_DAYS, _ANONYMOUS, _LATE)),
    "new_users": ("New users", (_NEW_AGAIN, _DAYS)),
    "sessions_submitted": ("Sessions submitted", (_DAYS, _LATE)),
    "logging_rate_24h": ("24 h logging rate", (_MATURE, _NEW_AGAIN)),
    "ingestion_lag_p50": (
        "Ingestion lag, median",
        ("Rests on the clocks of phones: a clock that is ahead counts as no lag.", _DAYS),
    ),
    "ingestion_lag_p95": (
        "Ingestion lag, 95th percentile",
        ("Rests on the clocks of phones.", "Grows when events of a past day arrive, however late they are."),
    ),
    "event_volume_by_name": ("Events by name", (_DAYS, _VALID)),
    "users_assigned": ("Users assigned", ("A running total: it never restarts with a day.",)),
    "users_active_d1": ("Users active within a day", (_HOLDERS, _MATURE)),
    "sessions_submitted_d7": (
        "Sessions within 7 days",
        (_HOLDERS, "The last eight days are not complete.", "A sum, not a mean: compare it with the cohort's size."),
    ),
    "logging_rate_24h_by_variant": ("24 h logging rate of a variant", (_HOLDERS, _MATURE)),
    "users_count": ("Users at a step, by day", (_DAYS, "In no order: a step can have more users than the one before.")),
    "events_count": ("Events at a step, by day", (_DAYS, _CARRIED)),
    "ordered_users_count": (
        "Users who reached a step in order",
        (
            "Who entered on several days counts on each of them.",
            _CARRIED,
            "Grows until the day's window has passed.",
        ),
    ),
    "median_seconds": ("Median time between steps", ("Of those who arrived; says nothing of those who did not.",)),
    "cohort_size": ("Cohort", (_NEW_AGAIN, _HOLDERS)),
    "retained_users": ("Users who came back", (_HOLDERS, "Any event counts as coming back.")),
    "retention_rate": (
        "Retention",
        ("Calendar days, not spans of 24 hours.", "Shown hatched until the later day is over and computed."),
    ),
}

_DERIVED = (
    CatalogueEntry(
        "dau_mean",
        "Daily active users, mean",
        "users",
        "the mean of `dau` over the complete days of the window; a day without a published number is left out",
        ("A mean of days, not the distinct users of the window.",),
        None,
    ),
    CatalogueEntry(
        "new_users_total",
        "New users of the window",
        "users",
        "the sum of `new_users` over the complete days of the window",
        (_NEW_AGAIN,),
        None,
    ),
    CatalogueEntry(
        "sessions_submitted_total",
        "Sessions of the window",
        "events",
        "the sum of `sessions_submitted` over the days of the window",
        ("The summary endpoint includes today; the overview shows complete days, and today beside them.",),
        None,
    ),
    CatalogueEntry(
        "logging_rate_24h_pooled",
        "24 h logging rate of the window",
        "share",
        "new users of the window's mature days who submitted a session within 24 hours, divided by all new users of"
        " these days; each day is weighted by its users",
        ("Today and yesterday are left out: their users' 24 hours have not all passed.",),
        None,
    ),
    CatalogueEntry(
        "ingestion_lag_p50_median",
        "Ingestion lag of the window",
        "seconds",
        "the median of the daily medians `ingestion_lag_p50` over the complete days of the window that had events",
        ("A median of medians: each day counts alike, however many events it had.",),
        None,
    ),
    CatalogueEntry(
        "ingestion_lag_p95_median",
        "Ingestion lag of the window, 95th percentile",
        "seconds",
        "the median of the daily `ingestion_lag_p95` over the complete days of the window that had events",
        ("A median of percentiles: each day counts alike, however many events it had.",),
        None,
    ),
    CatalogueEntry(
        "events_total",
        "Events of the window by name",
        "events",
        "the sum of `event_volume_by_name` over the days of the window, today included",
        (_VALID,),
        None,
    ),
    CatalogueEntry(
        "funnel_users_total",
        "Entries of the window that reached a step",
        "users",
        "the sum of `ordered_users_count` over the cohort days of the window",
        ("Who entered on several days counts once for each of them.",),
        None,
    ),
    CatalogueEntry(
        "step_users_total",
        "Users at a step, over the days",
        "users",
        "the sum of `users_count` over the days of the window",
        ("Who comes on several days counts once for each of them: user-days, not distinct users.",),
        None,
    ),
    CatalogueEntry(
        "step_median_seconds",
        "Time between steps, over the days",
        "seconds",
        "the median of the daily medians `median_seconds`, each weighted by the users who arrived that day",
        ("An approximation of the median over all who arrived.",),
        None,
    ),
    CatalogueEntry(
        "retention_pooled",
        "Retention of the window",
        "share",
        "`retained_users` divided by `cohort_size`, both summed over the cohort days whose later day is complete",
        ("Each period rests on other cohorts: recent ones are in the short periods alone.",),
        None,
    ),
    CatalogueEntry(
        "variant_users_total",
        "Users assigned to a variant so far",
        "users",
        "assignments to the variant, whenever they were made, as the last refresh counted them",
        ("Who asks for an assignment counts, seen or not.", "Kept while an experiment is paused or ended."),
        None,
    ),
    CatalogueEntry(
        "logging_rate_24h_by_variant_pooled",
        "24 h logging rate of a variant, over the window",
        "share",
        "users of the variant, new on one of the window's mature days, who submitted a session within 24 hours, divided"
        " by all its users who were new on these days",
        (_HOLDERS, "Today and yesterday are left out.", "A plain share: a difference between variants can be chance."),
        None,
    ),
    CatalogueEntry(
        "campaign_events_total",
        "Campaign events of an experiment",
        "events",
        "campaign events that name the experiment, by the UTC day they happened, counted as they are stored",
        ("Also of experiments that are not registered here.",),
        None,
    ),
    CatalogueEntry(
        "events_stored",
        "Events stored",
        "events",
        "events received that day that were new and are kept",
        ("What is received is stored, a duplicate or rejected, and nothing else.", _BOOKED),
        None,
    ),
    CatalogueEntry(
        "events_duplicate",
        "Duplicate events",
        "events",
        "events received that day whose id was stored already; a retry of a client is one, and is harmless",
        (_BOOKED,),
        None,
    ),
    CatalogueEntry(
        "events_rejected",
        "Rejected events",
        "events",
        "events received that day that break a rule: kept as dead letters, replayed, dropped beyond the cap, or not"
        " kept by an import",
        ("Requests that are refused as a whole, such as one without a valid key, are not events.", _BOOKED),
        None,
    ),
    CatalogueEntry(
        "dead_letters",
        "Dead letters",
        "events",
        "events that were refused and are kept with the reason, until a replay stores them",
        ("All that are kept now, of whatever day.", "Beyond a tenant's cap the oldest go, and are counted as dropped."),
        None,
    ),
    CatalogueEntry(
        "arrivals",
        "Arrivals",
        "events",
        "events of the lake by the UTC day they happened and the UTC day they were received, counted by each refresh",
        ("A day before its event's is a phone whose clock is ahead.", "Without what the lake does not have yet."),
        None,
    ),
    CatalogueEntry(
        "lake_events",
        "Events in the lake",
        "events",
        "events of the lake by the UTC day they happened, counted by each refresh",
        ("Without what the lake does not have yet.", "Events that were erased are gone; pruned ones are here."),
        None,
    ),
)


@cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """Return every metric: published ones in the order of their definitions, then derived ones."""
    published = tuple(CatalogueEntry(metric.name, *_label(metric.name), metric.table) for metric in METRICS.values())
    return (*published, *_DERIVED)


def entry(name: str) -> CatalogueEntry:
    """Return one entry. Raises KeyError for a name that is not in the catalogue."""
    return _by_name()[name]


def _label(name: str) -> tuple[str, str, str, tuple[str, ...]]:
    metric = METRICS[name]
    label, caveats = _WORDS[name]
    return label, metric.unit, metric.definition, caveats


@cache
def _by_name() -> dict[str, CatalogueEntry]:
    return {found.name: found for found in catalogue()}
