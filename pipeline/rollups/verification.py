"""Checks of a staged rollup before it is published: what must hold whatever the events were.

A finding names the rule that is broken and the first rows that break it. No findings: fit to be published.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from itertools import pairwise
from typing import Any

from pipeline.rollups.jobs import RETENTION_DAYS
from pipeline.rollups.staging import StagedRollup

Row = dict[str, Any]

SCALAR_METRICS = (
    "dau", "new_users", "sessions_submitted", "logging_rate_24h", "ingestion_lag_p50", "ingestion_lag_p95",
)  # fmt: skip
VARIANT_METRICS = ("users_assigned", "users_active_d1", "sessions_submitted_d7", "logging_rate_24h_by_variant")
OVERALL = "overall"
NUMBERS = ("value", "users_count", "events_count", "cohort_size", "retained_users")
SHOWN = 3


def findings(staged: StagedRollup) -> tuple[str, ...]:
    """Return what is wrong with a staged result, one sentence each; empty when it is fit to be published."""
    rows: list[Row] = staged.rows.to_pylist()
    rules: tuple[Callable[[StagedRollup, list[Row]], Iterator[str]], ...] = (
        _keys_are_unique,
        _rows_are_in_scope,
        {
            "daily": _daily,
            "daily_cohorts": _daily_cohorts,
            "experiment": _experiment,
            "funnel": _funnel,
            "funnel_cohort": _funnel_cohort,
            "retention": _retention,
        }[staged.job.name],
    )
    return tuple(finding for rule in rules for finding in rule(staged, rows))


def _keys_are_unique(staged: StagedRollup, rows: list[Row]) -> Iterator[str]:
    counts = Counter(tuple(row[column] for column in staged.job.key) for row in rows)
    yield from _report("more than one row for", (key for key, count in counts.items() if count > 1))


def _rows_are_in_scope(staged: StagedRollup, rows: list[Row]) -> Iterator[str]:
    tenants = set(staged.facts.tenants)
    days = set(staged.window.days())
    yield from _report(
        "a row outside the window or of an unknown tenant:",
        ((row["tenant_id"], row["day"]) for row in rows if row["tenant_id"] not in tenants or row["day"] not in days),
    )
    numbers = [column for column in NUMBERS if column in staged.job.columns]
    yield from _report(
        "a value that is missing, negative or not finite in",
        (
            tuple(row[column] for column in staged.job.key)
            for row in rows
            for number in numbers
            if row[number] is None or not math.isfinite(row[number]) or row[number] < 0
        ),
    )


def _daily(staged: StagedRollup, rows: list[Row]) -> Iterator[str]:
    expected = {
        (tenant, day, metric) for tenant in staged.facts.tenants for day in staged.window.days()
        for metric in SCALAR_METRICS
    }  # fmt: skip
    scalar = {
        (row["tenant_id"], row["day"], row["metric_name"]): row["value"] for row in rows
        if row["dimension_key"] == OVERALL and row["metric_name"] in SCALAR_METRICS
    }  # fmt: skip
    yield from _report("no row for", expected - scalar.keys())
    volume: Counter[tuple[str, date]] = Counter()
    sessions: Counter[tuple[str, date]] = Counter()
    for row in rows:
        if row["metric_name"] == "event_volume_by_name":
            volume[row["tenant_id"], row["day"]] += int(row["value"])
            if row["dimension_key"] == "session_submitted":
                sessions[row["tenant_id"], row["day"]] += int(row["value"])
    counted, found = volume.total() + staged.ignored_count, staged.facts.lake_rows
    if counted != found:
        yield f"the lake has {found} events on these days, but {counted} were counted or ignored"
    days = [(tenant, day) for tenant in staged.facts.tenants for day in staged.window.days()]
    rules: tuple[tuple[str, Callable[[tuple[str, date]], bool]], ...] = (
        ("more users than events on", lambda key: scalar.get((*key, "dau"), 0) <= volume[key]),
        ("more new users than users on",
         lambda key: scalar.get((*key, "new_users"), 0) <= scalar.get((*key, "dau"), 0)),
        ("sessions_submitted differs from its event volume on",
         lambda key: scalar.get((*key, "sessions_submitted"), 0) == sessions[key]),
        ("a share above 1 on", lambda key: scalar.get((*key, "logging_rate_24h"), 0) <= 1),
        ("a median lag above the 95th percentile on",
         lambda key: scalar.get((*key, "ingestion_lag_p50"), 0) <= scalar.get((*key, "ingestion_lag_p95"), 0)),
    )  # fmt: skip
    for text, holds in rules:
        yield from _report(text, (key for key in days if not holds(key)))


def _daily_cohorts(staged: StagedRollup, rows: list[Row]) -> Iterator[str]:
    expected = {
        (tenant, day, metric, OVERALL)
        for tenant in staged.facts.tenants for day in staged.window.days() for metric in staged.job.metrics
    }  # fmt: skip
    values = {tuple(row[column] for column in staged.job.key): row for row in rows}
    yield from _report("no row for", expected - values.keys())
    yield from _report("a row nobody asked for:", values.keys() - expected)
    rates = {key: row for key, row in values.items() if key in expected and key[2] == "logging_rate_24h"}
    yield from _report("a share above 1 on", (key for key, row in rates.items() if row["value"] > 1))
    yield from _report(
        "a share of other users than the new ones on",
        (
            key for key, row in rates.items()
            if (size := values.get((*key[:2], "new_users", OVERALL))) is not None
            and json.loads(row["dimensions"])["cohort_size"] != size["value"]
        ),
    )  # fmt: skip


def _experiment(staged: StagedRollup, rows: list[Row]) -> Iterator[str]:
    tenants = set(staged.facts.tenants)
    expected = {
        (tenant, day, experiment, variant, metric)
        for tenant, experiment, variant in staged.facts.variants if tenant in tenants
        for day in staged.window.days() for metric in VARIANT_METRICS
    }  # fmt: skip
    values = {tuple(row[column] for column in staged.job.key): row for row in rows}
    yield from _report("no row for", expected - values.keys())
    yield from _report("a row nobody asked for:", values.keys() - expected)
    yield from _report(
        "a share above 1 for",
        (key for key, row in values.items() if key[-1] == "logging_rate_24h_by_variant" and row["value"] > 1),
    )
    yield from _report(
        "more active users than the cohort has for",
        (
            key for key, row in values.items()
            if key[-1] == "users_active_d1" and row["value"] > json.loads(row["dimensions"])["cohort_size"]
        ),
    )  # fmt: skip
    yield from _report("fewer users assigned than the day before for", _shrinking(staged, values))


def _shrinking(staged: StagedRollup, values: dict[tuple[Any, ...], Row]) -> Iterator[tuple[Any, ...]]:
    for tenant, experiment, variant in staged.facts.variants:
        before = 0.0
        for day in staged.window.days():
            key = (tenant, day, experiment, variant, "users_assigned")
            value = values[key]["value"] if key in values else before
            if value < before:
                yield key
            before = value


def _funnel(staged: StagedRollup, rows: list[Row]) -> Iterator[str]:
    expected = _funnel_cells(staged)
    overall = {_funnel_cell(row): row for row in rows if row["dimension_key"] == OVERALL}
    yield from _report("no overall row for", expected - overall.keys())
    yield from _report(
        "more users than events in",
        (tuple(row[column] for column in staged.job.key) for row in rows if row["users_count"] > row["events_count"]),
    )
    yield from _report(
        "a variant with more than the overall row has in",
        (
            tuple(row[column] for column in staged.job.key) for row in rows
            if (whole := overall.get(_funnel_cell(row))) is not None
            and (row["users_count"] > whole["users_count"] or row["events_count"] > whole["events_count"])
        ),
    )  # fmt: skip


def _funnel_cohort(staged: StagedRollup, rows: list[Row]) -> Iterator[str]:
    overall = {_funnel_cell(row): row for row in rows if row["dimension_key"] == OVERALL}
    yield from _report("no overall row for", _funnel_cells(staged) - overall.keys())
    journeys: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        journeys[row["tenant_id"], row["day"], row["funnel_name"], row["dimension_key"]].append(row)
    steps = Counter(funnel for funnel, _ in staged.facts.funnel_steps)
    ordered = {key: sorted(own, key=lambda row: int(row["step_number"])) for key, own in journeys.items()}
    yield from _report(
        "not every step of",
        (
            key for key, own in ordered.items()
            if [row["step_number"] for row in own] != list(range(1, steps[key[2]] + 1))
        ),
    )  # fmt: skip
    yield from _report(
        "more users than at the step before in",
        (
            (*key, later["step_name"]) for key, own in ordered.items() for earlier, later in pairwise(own)
            if later["users_count"] > earlier["users_count"]
        ),
    )  # fmt: skip
    yield from _report(
        "a variant with more than the overall row has in",
        (
            tuple(row[column] for column in staged.job.key) for row in rows
            if (whole := overall.get(_funnel_cell(row))) is not None and row["users_count"] > whole["users_count"]
        ),
    )  # fmt: skip
    yield from _report(
        "a median time that is missing, too many or not within the window in",
        (
            tuple(row[column] for column in staged.job.key) for row in rows
            if (row["median_seconds"] is None) != (row["step_number"] == 1 or row["users_count"] == 0)
            or not 0 <= (row["median_seconds"] or 0) <= row["window_seconds"]
        ),
    )  # fmt: skip


def _retention(staged: StagedRollup, rows: list[Row]) -> Iterator[str]:
    tenants = set(staged.facts.tenants)
    dimensions = {(tenant, OVERALL) for tenant in tenants} | {
        (tenant, f"{experiment}:{variant}")
        for tenant, experiment, variant in staged.facts.variants
        if tenant in tenants
    }
    expected = {
        (tenant, day, days_after, dimension)
        for tenant, dimension in dimensions for day in staged.window.days() for days_after in RETENTION_DAYS
    }  # fmt: skip
    values = {tuple(row[column] for column in staged.job.key): row for row in rows}
    yield from _report("no row for", expected - values.keys())
    yield from _report("a row nobody asked for:", values.keys() - expected)
    yield from _report(
        "more users retained than the cohort has for",
        (key for key, row in values.items() if row["retained_users"] > row["cohort_size"]),
    )
    sizes: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for (tenant, day, _, dimension), row in values.items():
        sizes[tenant, day, dimension].add(row["cohort_size"])
    yield from _report("cohorts of different sizes for", (key for key, found in sizes.items() if len(found) > 1))


def _funnel_cells(staged: StagedRollup) -> set[tuple[Any, ...]]:
    return {
        (tenant, day, *step)
        for tenant in staged.facts.tenants for day in staged.window.days() for step in staged.facts.funnel_steps
    }  # fmt: skip


def _funnel_cell(row: Row) -> tuple[Any, ...]:
    return row["tenant_id"], row["day"], row["funnel_name"], row["step_name"]


def _report(text: str, keys: Iterator[tuple[Any, ...]] | set[tuple[Any, ...]]) -> Iterator[str]:
    """Yield one sentence when there are any keys, naming the first few."""
    broken = sorted(keys)
    if broken:
        named = "; ".join("/".join(str(part) for part in key) for key in broken[:SHOWN])
        yield f"{text} {named}" + (f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else "")
