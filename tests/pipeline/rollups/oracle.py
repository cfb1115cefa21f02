"""The metrics once more, in plain Python, event by event and without SQL: what the rollups have to equal.

Written from the definitions alone, for clarity and not for speed. Times are aware datetimes, days are UTC dates.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.pipeline.rollups.cohort_oracle import OrderedFunnel, funnel_cohort_rows, retention_rows

DAY = timedelta(days=1)
STEPS = {
    "active_open": {"app_opened", "tab_opened"},
    "workout_engaged": {"workouts_default_loaded", "workout_started"},
    "exercise_logged": {"exercise_logged"},
    "session_submitted": {"session_submitted"},
    "achievement_unlocked": {"achievement_unlocked"},
}
CORE_JOURNEY = OrderedFunnel("core_journey", DAY, STEPS)

Key = tuple[Any, ...]
Rows = dict[Key, Any]


@dataclass(frozen=True)
class Event:
    event_id: str
    tenant_id: str
    user: str
    name: str
    occurred_at: datetime
    received_at: datetime
    experiment_map: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Assignment:
    tenant_id: str
    user: str
    experiment_id: str
    variant_id: str
    assigned_at: datetime


@dataclass(frozen=True)
class History:
    """`experiments`: (tenant_id, experiment_id) -> (status, its variants)."""

    tenants: Sequence[str]
    events: Sequence[Event]
    experiments: Mapping[tuple[str, str], tuple[str, Sequence[str]]]
    assignments: Sequence[Assignment]


@dataclass(frozen=True)
class Expected:
    """The tables as {key: rest of the row}, and the events that do not count."""

    daily: Rows
    experiment: Rows
    funnel: Rows
    funnel_cohort: Rows
    retention: Rows
    ignored: int


def expected(history: History, first: date, last: date, as_of: datetime) -> Expected:
    first_by_id: dict[tuple[str, str], Event] = {}
    for event in history.events:
        first_by_id.setdefault((event.tenant_id, event.event_id), event)
    stored = list(first_by_id.values())
    valid = [event for event in stored if is_valid(event, as_of)]
    days = [first + number * DAY for number in range((last - first).days + 1)]
    daily: Rows = {}
    experiment: Rows = {}
    funnel: Rows = {}
    funnel_cohort: Rows = {}
    retention: Rows = {}
    for tenant in history.tenants:
        events = [event for event in valid if event.tenant_id == tenant]
        journeys = journeys_of(events)
        for day in days:
            daily |= daily_rows(tenant, day, events, journeys)
            experiment |= experiment_rows(tenant, day, history, journeys)
            funnel |= funnel_rows(tenant, day, events)
            funnel_cohort |= funnel_cohort_rows(tenant, day, events, [CORE_JOURNEY])
            retention |= retention_rows(tenant, day, history, journeys)
    ignored = sum(1 for event in stored if first <= day_of(event) <= last and not is_valid(event, as_of))
    return Expected(daily, experiment, funnel, funnel_cohort, retention, ignored)


def is_valid(event: Event, as_of: datetime) -> bool:
    return as_of - timedelta(days=180) <= event.occurred_at <= as_of + timedelta(minutes=5)


def day_of(event: Event) -> date:
    return event.occurred_at.astimezone(UTC).date()


@dataclass(frozen=True)
class Journey:
    """One user's valid events in order."""

    events: Sequence[Event]

    @property
    def first_seen(self) -> datetime:
        return self.events[0].occurred_at

    @property
    def cohort_day(self) -> date:
        return day_of(self.events[0])

    def sessions_within(self, span: timedelta) -> int:
        return sum(1 for e in self.events if e.name == "session_submitted" and e.occurred_at <= self.first_seen + span)

    @property
    def converted(self) -> bool:
        return self.sessions_within(DAY) > 0

    @property
    def active_on_first_day(self) -> bool:
        return any(self.first_seen < e.occurred_at <= self.first_seen + DAY for e in self.events)


def journeys_of(events: Iterable[Event]) -> dict[str, Journey]:
    by_user: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.user:
            by_user[event.user].append(event)
    return {user: Journey(sorted(own, key=lambda e: e.occurred_at)) for user, own in by_user.items()}


def daily_rows(tenant: str, day: date, events: Iterable[Event], journeys: Mapping[str, Journey]) -> Rows:
    today = [event for event in events if day_of(event) == day]
    cohort = [journey for journey in journeys.values() if journey.cohort_day == day]
    converted = sum(1 for journey in cohort if journey.converted)
    volume = Counter(event.name for event in today)
    lags = [max((event.received_at - event.occurred_at) // timedelta(microseconds=1), 0) for event in today]
    scalar = {
        "dau": (users_of(today), None),
        "new_users": (len(cohort), None),
        "sessions_submitted": (volume["session_submitted"], None),
        "logging_rate_24h": (share(converted, len(cohort)), {"cohort_size": len(cohort), "converted_users": converted}),
        "ingestion_lag_p50": (percentile(lags, Fraction(1, 2)), {"unit": "seconds"}),
        "ingestion_lag_p95": (percentile(lags, Fraction(95, 100)), {"unit": "seconds"}),
    }
    rows: Rows = {(tenant, day, metric, "overall"): row for metric, row in scalar.items()}
    for name, count in volume.items():
        if count:
            rows[tenant, day, "event_volume_by_name", name] = (count, {"event_name": name, "day": day.isoformat()})
    return rows


def experiment_rows(tenant: str, day: date, history: History, journeys: Mapping[str, Journey]) -> Rows:
    rows: Rows = {}
    for (owner, experiment_id), (status, variants) in history.experiments.items():
        if owner != tenant or status != "RUNNING":
            continue
        for variant in variants:
            held = [
                a for a in history.assignments
                if (a.tenant_id, a.experiment_id, a.variant_id) == (tenant, experiment_id, variant)
            ]  # fmt: skip
            cohort = [
                journeys[a.user] for a in held if a.user in journeys and journeys[a.user].cohort_day == day
            ]  # fmt: skip
            end = datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY
            converted = sum(1 for journey in cohort if journey.converted)
            size = {"day": day.isoformat(), "cohort_size": len(cohort)}
            metrics = {
                "users_assigned": (sum(1 for a in held if a.assigned_at < end), size),
                "users_active_d1": (sum(1 for journey in cohort if journey.active_on_first_day), size),
                "sessions_submitted_d7": (sum(journey.sessions_within(7 * DAY) for journey in cohort), size),
                "logging_rate_24h_by_variant": (
                    share(converted, len(cohort)), {**size, "converted_users": converted},
                ),
            }  # fmt: skip
            for metric, row in metrics.items():
                rows[tenant, day, experiment_id, variant, metric] = row
    return rows


def funnel_rows(tenant: str, day: date, events: Iterable[Event]) -> Rows:
    rows: Rows = {}
    today = [event for event in events if day_of(event) == day]
    for step, names in STEPS.items():
        reached = [event for event in today if event.name in names]
        rows[tenant, day, "core_journey", step, "overall"] = (None, None, users_of(reached), len(reached))
        by_variant: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in reached:
            for pair in event.experiment_map.items():
                by_variant[pair].append(event)
        for (experiment_id, variant), own in by_variant.items():
            rows[tenant, day, "core_journey", step, f"{experiment_id}:{variant}"] = (
                experiment_id, variant, users_of(own), len(own),
            )  # fmt: skip
    return rows


def users_of(events: Iterable[Event]) -> int:
    """Distinct users; an event may be of none, which an empty user says."""
    return len({event.user for event in events} - {""})


def share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def percentile(lags: Sequence[int], quantile: Fraction) -> float:
    """Linear interpolation between the closest ranks, of microseconds, in seconds; 0 without lags."""
    if not lags:
        return 0.0
    ordered = sorted(lags)
    position = quantile * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    exact = ordered[below] + (ordered[above] - ordered[below]) * (position - below)
    return float(exact / 1_000_000)
