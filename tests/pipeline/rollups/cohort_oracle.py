"""Ordered funnels and retention once more, in plain Python, written from the definitions alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.pipeline.rollups.oracle import Event, History, Journey

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
RETENTION_DAYS = (1, 3, 7, 14, 30)
Rows = dict[tuple[Any, ...], Any]


@dataclass(frozen=True)
class OrderedFunnel:
    """`steps`: name -> event names, in order."""

    name: str
    window: timedelta
    steps: Mapping[str, set[str]]


def funnel_cohort_rows(tenant: str, day: date, events: Iterable[Event], funnels: Sequence[OrderedFunnel]) -> Rows:
    """One tenant's rows of a cohort day; `events` are the tenant's valid events."""
    by_user: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.user:
            by_user[event.user].append(event)
    rows: Rows = {}
    for funnel in funnels:
        first_step = next(iter(funnel.steps.values()))
        chains: dict[tuple[str, str] | None, list[list[datetime]]] = {None: []}
        for own in by_user.values():
            entries = [e for e in own if e.name in first_step and e.occurred_at.astimezone(UTC).date() == day]
            pairs = {pair for entry in entries for pair in entry.experiment_map.items()}
            for dimension in (None, *pairs):
                counting = [e for e in entries if dimension is None or dimension in e.experiment_map.items()]
                if counting:
                    chains.setdefault(dimension, []).append(best_chain(counting, own, funnel))
        for pair, found in chains.items():
            for number, step in enumerate(funnel.steps, 1):
                gaps = [chain[number - 1] - chain[number - 2] for chain in found if len(chain) >= number > 1]
                experiment_id, variant_id = pair or (None, None)
                key = "overall" if pair is None else f"{experiment_id}:{variant_id}"
                rows[tenant, day, funnel.name, step, key] = (
                    number, experiment_id, variant_id, sum(1 for chain in found if len(chain) >= number),
                    median_seconds(gaps), funnel.window.total_seconds(), midnight(day) + DAY + funnel.window,
                )  # fmt: skip
    return rows


def best_chain(entries: Iterable[Event], own: Sequence[Event], funnel: OrderedFunnel) -> list[datetime]:
    """The chain that gets furthest; of several, the one that begins last."""
    return max(
        (chain_from(entry.occurred_at, own, funnel) for entry in entries), key=lambda chain: (len(chain), chain[0])
    )


def chain_from(entered: datetime, own: Sequence[Event], funnel: OrderedFunnel) -> list[datetime]:
    """Step by step the first event of the next step, at the same time or later, within the window of the entry."""
    chain = [entered]
    for names in list(funnel.steps.values())[1:]:
        following = [e.occurred_at for e in own if e.name in names and chain[-1] <= e.occurred_at]
        if not following or min(following) > entered + funnel.window:
            break
        chain.append(min(following))
    return chain


def retention_rows(tenant: str, day: date, history: History, journeys: Mapping[str, Journey]) -> Rows:
    """One tenant's rows of a cohort day."""
    cohorts: dict[tuple[str, str] | None, set[str]] = {None: set(journeys)}
    for (owner, experiment_id), (status, variants) in history.experiments.items():
        for variant in variants if owner == tenant and status == "RUNNING" else ():
            cohorts[experiment_id, variant] = {
                a.user for a in history.assignments
                if (a.tenant_id, a.experiment_id, a.variant_id) == (tenant, experiment_id, variant)
            }  # fmt: skip
    rows: Rows = {}
    for pair, members in cohorts.items():
        experiment_id, variant_id = pair or (None, None)
        key = "overall" if pair is None else f"{experiment_id}:{variant_id}"
        cohort = [journeys[user] for user in members if user in journeys and journeys[user].cohort_day == day]
        for days_after in RETENTION_DAYS:
            wanted = day + days_after * DAY
            retained = sum(
                1 for journey in cohort if any(e.occurred_at.astimezone(UTC).date() == wanted for e in journey.events)
            )
            rows[tenant, day, days_after, key] = (
                experiment_id, variant_id, len(cohort), retained, midnight(wanted) + DAY,
            )  # fmt: skip
    return rows


def median_seconds(gaps: Sequence[timedelta]) -> float | None:
    """The middle, or what lies halfway between the two in the middle; None without any."""
    ordered = sorted(gap // MICROSECOND for gap in gaps)
    if not ordered:
        return None
    below, above = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float(Fraction(below + above, 2) / 1_000_000)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
