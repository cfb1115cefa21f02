"""Funnels of a window from daily rows: sums over days, drop-off, and the time between steps.

Pure functions over the rows of `api.metrics.queries.read_ordered_funnels` and `read_funnels`. An ordered funnel is
summed over the cohort days that are complete; while none is, over all of them, which `is_complete` then denies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
Group = tuple[str, str] | None  # (experiment_id, variant_id), or everyone


@dataclass(frozen=True)
class StepFigure:
    """One step of one group of people: how many reached it, and of those who were a step before.

    `lost` is None at the first step and where steps have no order. `seconds` is the time since the step before.
    """

    step: str
    users: int
    of_first: float | None
    lost: int | None
    lost_share: float | None
    seconds: float | None
    events: int | None = None


@dataclass(frozen=True)
class FunnelFigures:
    """A funnel of everyone (`variant_id` None) or of a variant: its steps, and the days they are summed over."""

    variant_id: str | None
    steps: Sequence[StepFigure]
    days: Sequence[str]
    days_left_out: int
    is_complete: bool


def by_group(rows: Iterable[Row], funnel: str) -> Mapping[Group, Sequence[Row]]:
    """Return the rows of a funnel by whom they are of: everyone, or a variant."""
    groups: dict[Group, list[Row]] = {}
    for row in rows:
        if row["funnel_name"] == funnel:
            groups.setdefault(_group(row), []).append(row)
    return groups


def ordered_figures(own: Sequence[Row], variant: Group) -> FunnelFigures:
    """Return an ordered funnel of one group from its rows."""
    whole = [row for row in own if row["complete"]]
    counted = whole or own
    steps: dict[str, list[Row]] = {}
    for row in sorted(counted, key=lambda row: row["step_number"]):
        steps.setdefault(row["step_name"], []).append(row)
    users = [sum(row["users_count"] for row in found) for found in steps.values()]
    figures = []
    for number, (name, found) in enumerate(steps.items()):
        before = users[number - 1] if number else None
        lost = None if before is None else before - users[number]
        figures.append(
            StepFigure(
                name,
                users[number],
                _share(users[number], users[0]),
                lost,
                None if lost is None else _share(lost, before),
                _weighted_median([(row["median_seconds"], row["users_count"]) for row in found]) if number else None,
            )
        )
    days = sorted({row["day"] for row in counted})
    left_out = len({row["day"] for row in own}) - len(days)
    return FunnelFigures(variant and variant[1], figures, days, left_out, bool(whole))


def unordered_figures(own: Sequence[Row], variant: Group, steps: Sequence[str]) -> FunnelFigures:
    """Return the counts per day of one group's rows, summed over the days; `steps` is their order."""
    users: dict[str, int] = {}
    events: dict[str, int] = {}
    for row in own:
        users[row["step_name"]] = users.get(row["step_name"], 0) + row["users_count"]
        events[row["step_name"]] = events.get(row["step_name"], 0) + row["events_count"]
    order = [name for name in steps if name in users] + sorted(name for name in users if name not in steps)
    first = users[order[0]] if order else 0
    figures = [
        StepFigure(name, users[name], _share(users[name], first), None, None, None, events[name]) for name in order
    ]
    return FunnelFigures(variant and variant[1], figures, sorted({row["day"] for row in own}), 0, True)


def _group(row: Row) -> Group:
    return None if row["experiment_id"] is None else (row["experiment_id"], row["variant_id"])


def _share(part: float, whole: float | None) -> float | None:
    return part / whole if whole else None


def _weighted_median(values: Sequence[tuple[float | None, int]]) -> float | None:
    """Return the smallest value that at least half of the weight does not exceed; None without weight."""
    known = sorted((value, weight) for value, weight in values if value is not None and weight > 0)
    half = sum(weight for _, weight in known) / 2
    passed = 0.0
    for value, weight in known:
        passed += weight
        if passed >= half:
            return value
    return None
