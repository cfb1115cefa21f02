"""Figures of one experiment: its split as planned and as it came, its metrics by variant, and a sentence about them.

Pure functions over rows of assigned_counts, of `api.metrics.queries.read_experiments`, and over versions of the
experiment. They compare and do not judge: whether a difference means anything is not said here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from api.dashboard import formats
from api.dashboard.charts.time_series import Series, TimeSeries, variant_colors
from api.dashboard.figures import IMMATURE_DAYS, UNFINISHED_DAYS, window_days
from api.metrics.window import MetricsWindow
from pipeline.experiments.definition import StoredExperiment
from pipeline.rollups.metric_catalogue import entry

# The rollup metrics of an experiment: name, kind of number, and how many days at the end are not complete.
METRICS = (
    ("users_assigned", "count", UNFINISHED_DAYS),
    ("users_active_d1", "count", IMMATURE_DAYS),
    ("sessions_submitted_d7", "count", 8),
    ("logging_rate_24h_by_variant", "share", IMMATURE_DAYS),
)
Counts = Mapping[tuple[str, date], int]


@dataclass(frozen=True)
class Group:
    """A variant as the page shows it everywhere: its key, its words, and the number of its color."""

    key: str
    name: str
    color: int
    is_control: bool


@dataclass(frozen=True)
class SplitRow:
    """One variant's share of the users: as its weight plans it, and as it came; None without any user."""

    group: Group
    weight: float
    users: int
    expected_share: float | None
    expected_users: float | None
    actual_share: float | None

    @property
    def difference(self) -> float | None:
        """How much larger its share is than planned."""
        if self.actual_share is None or self.expected_share is None:
            return None
        return self.actual_share - self.expected_share


@dataclass(frozen=True)
class Split:
    """The split of the users who came on the days from `first`; before that day other weights held.

    `others` came to variants that are no longer there, or with a weight of 0.
    """

    rows: Sequence[SplitRow]
    users: int
    first: date | None
    others: int

    @property
    def largest(self) -> SplitRow | None:
        """The variant whose share differs most from its plan."""
        known = [row for row in self.rows if row.difference is not None]
        return max(known, key=lambda row: abs(row.difference or 0.0), default=None)


def groups_of(experiment: StoredExperiment) -> list[Group]:
    """Return the variants, the control first, then in their order."""
    variants = experiment.definition.variants
    colors = variant_colors([(variant.key, variant.is_control) for variant in variants])
    return [
        Group(variant.key, variant.name, colors[variant.key], variant.is_control)
        for variant in sorted(variants, key=lambda variant: not variant.is_control)
    ]


def label(group: Group) -> str:
    """Return a variant's key and, where it differs, its name."""
    return group.key if group.name == group.key else f"{group.key} {group.name}"


def split(experiment: StoredExperiment, counts: Counts, versions: Sequence[Mapping[str, Any]]) -> Split:
    """Compare the users who came while the present weights held with what the weights plan.

    A version that began on a day counts from the next one: assigned counts know days alone.
    """
    first = None
    if experiment.version > 1:
        since: datetime = next(row["since"] for row in versions if row["version"] == experiment.version)
        first = since.astimezone(UTC).date() + timedelta(days=1)
    users: dict[str, int] = {}
    for (variant_id, day), count in counts.items():
        if first is None or day >= first:
            users[variant_id] = users.get(variant_id, 0) + count
    weights = {variant.key: variant.weight for variant in experiment.definition.variants}
    total_weight = sum(weights.values())
    planned = {key for key, weight in weights.items() if weight > 0}
    total = sum(count for key, count in users.items() if key in planned)
    rows = []
    for group in groups_of(experiment):
        weight = weights[group.key]
        if group.key not in planned:
            continue
        expected = weight / total_weight if total_weight else None
        rows.append(
            SplitRow(
                group,
                weight,
                users.get(group.key, 0),
                expected,
                expected * total if expected is not None else None,
                users.get(group.key, 0) / total if total else None,
            )
        )
    others = sum(count for key, count in users.items() if key not in planned)
    return Split(rows, total, first, others)


def assigned_per_day(groups: Sequence[Group], counts: Counts, window: MetricsWindow) -> TimeSeries:
    """Return how many users each variant got on each day of the window."""
    days = window_days(window)
    known = {day for _, day in counts}
    begin = min(known, default=window.last)
    return TimeSeries(
        "Users assigned each day",
        days,
        [
            Series(
                label(group),
                [float(counts.get((group.key, day), 0)) if day >= begin else None for day in days],
                group.color,
            )
            for group in groups
        ],
        partial=UNFINISHED_DAYS,
    )


def share_so_far(plan: Split, counts: Counts, window: MetricsWindow) -> TimeSeries:
    """Return each variant's share of all users so far, day by day, each with its planned share in its label."""
    days = window_days(window)
    keys = [row.group.key for row in plan.rows]
    before = dict.fromkeys(keys, 0)
    for (variant_id, day), count in counts.items():
        if variant_id in before and day < window.first and (plan.first is None or day >= plan.first):
            before[variant_id] += count
    shares: dict[str, list[float | None]] = {key: [] for key in keys}
    totals: list[float | None] = []
    for day in days:
        if plan.first is None or day >= plan.first:
            for key in keys:
                before[key] += counts.get((key, day), 0)
        total = sum(before.values())
        totals.append(float(total) if total else None)
        for key in keys:
            shares[key].append(before[key] / total if total else None)
    return TimeSeries(
        "Share of the users so far",
        days,
        [
            Series(
                f"{row.group.key} (planned {formats.share(row.expected_share)})",
                shares[row.group.key],
                row.group.color,
                totals,
            )
            for row in plan.rows
        ],
        kind="share",
    )


def metric_series(
    groups: Sequence[Group], series: Sequence[Mapping[str, Any]], window: MetricsWindow, name: str
) -> TimeSeries:
    """Return one published metric of every variant over the window; shares with the size of their cohorts."""
    kind, unfinished = next((kind, days) for metric, kind, days in METRICS if metric == name)
    days = window_days(window)
    values = {(row["variant_id"], date.fromisoformat(row["day"])): row for row in series if row["metric_name"] == name}

    def value(key: str, day: date) -> float | None:
        row = values.get((key, day))
        if row is None or (kind == "share" and not cohort_size(row)):
            return None  # nobody to have a share of
        return float(row["value"])

    return TimeSeries(
        entry(name).label,
        days,
        [
            Series(
                label(group),
                [value(group.key, day) for day in days],
                group.color,
                [_size(values.get((group.key, day))) for day in days] if name != "users_assigned" else None,
            )
            for group in groups
        ],
        kind=kind,
        partial=min(unfinished, window.days - 1),
    )


def cohort_size(row: Mapping[str, Any]) -> int:
    """Return the number of users a published metric of a variant is of."""
    return int((row["dimensions"] or {}).get("cohort_size") or 0)


def totals(counts: Counts) -> dict[str, int]:
    """Return how many users came to each variant on all days."""
    users: dict[str, int] = {}
    for (variant_id, _), count in counts.items():
        users[variant_id] = users.get(variant_id, 0) + count
    return users


def pooled_rates(series: Sequence[Mapping[str, Any]], last: date) -> dict[str, tuple[int, int]]:
    """Return each variant's cohort up to a day, and how many of it submitted a session within 24 hours."""
    rates: dict[str, tuple[int, int]] = {}
    for row in series:
        if row["metric_name"] == "logging_rate_24h_by_variant" and row["day"] <= str(last):
            size, converted = rates.get(row["variant_id"], (0, 0))
            cohort = cohort_size(row)
            rates[row["variant_id"]] = (size + cohort, converted + round(row["value"] * cohort))
    return rates


def headline(experiment: StoredExperiment, plan: Split, rates: Mapping[str, tuple[int, int]]) -> str:
    """Return what there is to say in a sentence or two: state, users, and the 24 hour rates beside each other."""
    status = experiment.definition.status
    since = experiment.started_at
    words = {
        "DRAFT": "A draft: nobody is assigned yet.",
        "RUNNING": "Running",
        "PAUSED": "Paused: nobody is in it until it runs again; assignments are kept.",
        "ENDED": "Ended: it assigns nobody any more.",
    }[status]
    if status == "RUNNING":
        words += f" since {formats.short_moment(since)} UTC." if since else "."
    if plan.users:
        words += f" {formats.count(plan.users)} users so far."
    told = []
    known = {key: (converted / size, size) for key, (size, converted) in rates.items() if size}
    rows = [row.group for row in plan.rows if row.group.key in known]
    for group in rows:
        rate, size = known[group.key]
        told.append(f"{group.key} {formats.share(rate, size)} of {formats.count(size)}")
    if told:
        words += f" 24 h logging: {', '.join(told)}."
    return words


def _size(row: Mapping[str, Any] | None) -> float | None:
    return None if row is None else float(cohort_size(row))
