"""The report at the end of a demo: read back from what was stored, exported and published, not from what was sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cli.demo.plan import Plan
from cli.demo.truth import LOGGING_EFFECT
from pipeline.database import connect
from pipeline.lake.table import Lake
from pipeline.settings import Settings
from pipeline.statements import statement

# Diaries of a day's new users are complete when their 24 hours are over and most phones have delivered.
DAYS_TO_MATURE = 2


@dataclass(frozen=True)
class EventCounts:
    """Events in Postgres, each once, however often it was sent.

    Late ones are counted in the imported history. `sent_live` are those since the cut: the API received them when the
    demo ran, in one go, so that their lag is that of the demo and not of phones.
    """

    stored: int
    users: int
    later_than_an_hour: int
    later_than_a_day: int
    sent_live: int
    duplicates_avoided: int
    rejected: int


@dataclass(frozen=True)
class LakeCounts:
    """The newest version of the lake."""

    rows: int
    days: int
    version: int


@dataclass(frozen=True)
class VariantReport:
    """One variant: its users, and the share of new users who logged within 24 hours in the cohorts that are complete.

    `effect` is that share minus the control's (null for the control, and without a cohort); `true_effect` is what the
    simulation put in.
    """

    experiment_id: str
    variant_id: str
    variant_name: str
    is_control: bool
    users_assigned: int
    cohort_size: int
    logging_rate_24h: float | None
    effect: float | None
    true_effect: float


@dataclass(frozen=True)
class Report:
    """What a demo left behind. `day_before` holds the overall daily metrics of the day before the last."""

    users: int
    first_day: date
    last_day: date
    seed: int
    events: EventCounts
    lake: LakeCounts
    published_rows: Mapping[str, int]
    day_before: Mapping[str, float]
    variants: tuple[VariantReport, ...]


def read_report(settings: Settings, database_url: str, plan: Plan) -> Report:
    """Read the report of a finished demo."""
    days = {"first": plan.first_day, "last": plan.last_day}
    snapshot = Lake(settings.lake).snapshot()
    with connect(database_url, application="tidemark-demo") as connection:
        [counts] = _rows(connection, "demo/events_received", {"cut": plan.cut})
        published = _rows(connection, "demo/published_rows", days)
        day_before = _rows(connection, "demo/day_metrics", {"day": plan.last_day - timedelta(days=1)})
        mature = plan.last_day - timedelta(days=DAYS_TO_MATURE)
        variants = _rows(
            connection, "demo/variants", {"first": plan.first_day, "last": mature, "newest": plan.last_day}
        )
    return Report(
        users=plan.users,
        first_day=plan.first_day,
        last_day=plan.last_day,
        seed=plan.seed,
        events=EventCounts(**counts),
        lake=LakeCounts(
            rows=sum(file.rows for file in snapshot.files) if snapshot else 0,
            days=len(snapshot.days()) if snapshot else 0,
            version=snapshot.version if snapshot else -1,
        ),
        published_rows={row["table_name"]: row["published"] for row in published},
        day_before={row["metric_name"]: row["value"] for row in day_before},
        variants=tuple(_variants(variants)),
    )


def lines(report: Report) -> Iterator[str]:
    """Yield the report as lines for people."""
    events = report.events
    yield f"{events.users:,} people, {events.stored:,} events from {report.first_day} to {report.last_day} (UTC)"
    yield (
        f"  {events.later_than_an_hour:,} came more than an hour late, {events.later_than_a_day:,} more than a day;"
        f" {events.duplicates_avoided:,} were sent again and stored once"
    )
    yield (
        f"  {events.sent_live:,} went through the API, all at the time of the demo: the lag of {report.last_day} is"
        " that of the demo, not of phones"
    )
    yield (
        f"Lake: {report.lake.rows:,} rows in {report.lake.days} days (version {report.lake.version});"
        f" published: {sum(report.published_rows.values()):,} rows"
    )
    metrics = report.day_before
    yield (
        f"On {report.last_day - timedelta(days=1)}: {metrics.get('dau', 0):,.0f} active,"
        f" {metrics.get('new_users', 0):,.0f} new, {metrics.get('logging_rate_24h', 0):.0%} of them logged within"
        f" 24 hours; half of the events came within {metrics.get('ingestion_lag_p50', 0):.0f} s"
    )
    yield f"{'Logged within 24 h':<30}{'variant':<26}{'users':>7}{'rate':>8}{'effect':>9}{'truth':>8}"
    for variant in report.variants:
        rate = "-" if variant.logging_rate_24h is None else f"{variant.logging_rate_24h:.1%}"
        effect = "-" if variant.effect is None else f"{100 * variant.effect:+.1f}"
        truth = "control" if variant.is_control else f"{100 * variant.true_effect:+.1f}"
        name = f"{variant.variant_id} {variant.variant_name}"
        yield (f"  {variant.experiment_id:<28}{name:<26}{variant.users_assigned:>7,}{rate:>8}{effect:>9}{truth:>8}")


def _variants(rows: Sequence[Mapping[str, Any]]) -> Iterator[VariantReport]:
    rates = {
        (row["experiment_id"], row["variant_id"]): row["converted_users"] / row["cohort_size"]
        for row in rows
        if row["cohort_size"]
    }
    controls = {
        row["experiment_id"]: rates.get((row["experiment_id"], row["variant_id"])) for row in rows if row["is_control"]
    }
    for row in rows:
        pair = (row["experiment_id"], row["variant_id"])
        rate, control = rates.get(pair), controls.get(row["experiment_id"])
        yield VariantReport(
            experiment_id=row["experiment_id"],
            variant_id=row["variant_id"],
            variant_name=row["variant_name"],
            is_control=row["is_control"],
            users_assigned=row["users_assigned"] or 0,
            cohort_size=row["cohort_size"],
            logging_rate_24h=rate,
            effect=None if row["is_control"] or rate is None or control is None else rate - control,
            true_effect=LOGGING_EFFECT.get(pair, 0.0),
        )


def _rows(connection: psycopg.Connection, name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    return connection.cursor(row_factory=dict_row).execute(statement(name), parameters).fetchall()
