"""Explains one published number: what it means, which run published it, and how to compute it without Tidemark.

The statement that computes it is written for this number alone, independently of the statements that publish all of
them at once: two ways to one number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg.rows import dict_row

from pipeline.clock import day_start
from pipeline.database import connect
from pipeline.lake.files import write_no_events
from pipeline.lake.table import Lake, LakeError, LakeSnapshot
from pipeline.provenance.duckdb_line import filled, reproducing_line
from pipeline.provenance.record import RunRecord, read_record
from pipeline.rollups.jobs import VALID_AGE, VALID_AHEAD
from pipeline.rollups.metric_definitions import METRICS, Metric
from pipeline.rollups.recorded_values import table_from_text
from pipeline.rollups.runs import Run, find_run
from pipeline.settings import Settings
from pipeline.statements import statement

OVERALL = "overall"
FUNNEL_STEPS = "funnel_steps"
ASSIGNMENTS = pa.schema(
    [pa.field("anonymous_user_id", pa.string()), pa.field("assigned_at", pa.timestamp("us", tz="UTC"))]
)


class UnknownMetricError(Exception):
    """No metric has this name, or what it needs to be told was not given."""


class NotPublishedError(Exception):
    """Nothing is published for this metric, day and dimension."""


@dataclass(frozen=True)
class Question:
    """Which number: a metric on a UTC day, of a tenant, and of what its table has beside.

    `dimension` is the event name of event_volume_by_name, or a funnel row's dimension_key. A metric of an experiment
    needs experiment and variant; a funnel's step and retention may have them. `days_after` is the period of retention.
    """

    metric: str
    day: date
    tenant: str = "default"
    dimension: str | None = None
    experiment: str | None = None
    variant: str | None = None
    funnel: str = "core_journey"
    step: str | None = None
    days_after: int | None = None


@dataclass(frozen=True)
class Explanation:
    """A published value and where it comes from; times are aware.

    `sql` is the statement with its parameters by name, `query` the same with their values in place, `reproduce` a line
    for a shell that prints the value with DuckDB alone. `notes` say what a reader should know.
    """

    metric: str
    day: date
    tenant: str
    value: float | None
    unit: str
    definition: str
    dimensions: Any
    run: Mapping[str, Any]
    lake_version: int | None
    files: int
    sql: str
    query: str
    reproduce: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Published:
    """A published row: its value, and all of its columns."""

    value: float | None
    row: Mapping[str, Any]


def explain(settings: Settings, database_url: str, question: Question) -> Explanation:
    """Trace one published number; computes nothing, and writes only what its line needs to read, below `explain`.

    Raises UnknownMetricError, NotPublishedError, NotRecordedError.
    """
    metric = _metric(question)
    with connect(database_url, application="tidemark-explain", autocommit=True) as connection:
        published = _published(connection, metric, question)
        run = find_run(connection, published.row["run_id"])
        if run is None:
            raise NotPublishedError(f"run {published.row['run_id']} is gone")
        record = read_record(connection, run.run_id)
        folder = settings.explanations / str(run.run_id)
        notes: list[str] = []
        snapshot = _snapshot(settings, run, notes)
        parameters = _parameters(question, published.row, record, run)
        follow_up = timedelta(days=question.days_after or 0, seconds=published.row.get("window_seconds", 0))
        paths = _paths(snapshot, metric, question.day, run, follow_up=max(metric.follow_up, follow_up))
        if "$paths" in statement(f"explain/{metric.name}"):
            parameters["paths"] = paths or [_no_events(folder)]
        if metric.assigned:
            until = _assigned_until(record, run, notes)
            parameters["assignments"] = [_write_assignments(connection, folder, parameters, until)]
    text = statement(f"explain/{metric.name}")
    query = filled(text, parameters)
    return Explanation(
        metric=metric.name,
        day=question.day,
        tenant=question.tenant,
        value=published.value,
        unit=metric.unit,
        definition=metric.definition,
        dimensions=published.row.get("dimensions"),
        run={
            "run_id": run.run_id,
            "job_name": run.job_name,
            "as_of": run.as_of,
            "finished_at": run.finished_at,
            "newest_received_at": record.newest_received_at,
            "code_version": record.code_version,
            "code_commit": record.code_commit,
            "engines": dict(record.engines),
        },
        lake_version=run.lake_version,
        files=len(paths),
        sql=text,
        query=query,
        reproduce=reproducing_line(query, folder / f"{metric.name}.sql"),
        notes=tuple(notes),
    )


def _metric(question: Question) -> Metric:
    metric = METRICS.get(question.metric)
    if metric is None:
        raise UnknownMetricError(f"no metric is called {question.metric!r}; there are {', '.join(sorted(METRICS))}")
    if metric.name == "event_volume_by_name" and question.dimension is None:
        raise UnknownMetricError("event_volume_by_name needs the name of an event: --dimension NAME")
    if metric.table == "experiment_metric_rollups" and None in (question.experiment, question.variant):
        raise UnknownMetricError(f"{metric.name} is a metric of a variant: give --experiment and --variant")
    if metric.table in {"funnel_rollups", "funnel_cohort_rollups"} and question.step is None:
        raise UnknownMetricError(f"{metric.name} is a metric of a funnel's step: give --step")
    if metric.table == "retention_rollups" and question.days_after is None:
        raise UnknownMetricError(f"{metric.name} is a metric of retention: give --days-after")
    if (question.experiment is None) != (question.variant is None):
        raise UnknownMetricError("--experiment and --variant belong together")
    return metric


def _published(connection: psycopg.Connection, metric: Metric, question: Question) -> _Published:
    name, key = {
        "daily_metric_rollups": ("explain/published_daily", question.dimension or OVERALL),
        "experiment_metric_rollups": ("explain/published_experiment", ""),
        "funnel_rollups": ("explain/published_funnel", _dimension_key(question)),
        "funnel_cohort_rollups": ("explain/published_funnel_cohort", _dimension_key(question)),
        "retention_rollups": ("explain/published_retention", _dimension_key(question)),
    }[metric.table]
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            statement(name),
            {
                "tenant_id": question.tenant,
                "day": question.day,
                "metric_name": metric.name,
                "dimension_key": key,
                "experiment_id": question.experiment,
                "variant_id": question.variant,
                "funnel_name": question.funnel,
                "step_name": question.step,
                "days_after": question.days_after,
            },
        ).fetchone()
    if row is None:
        place = [question.funnel, question.step] if question.step else []
        place += [part for part in (question.experiment, question.variant, key) if part]
        what = "/".join(str(part) for part in place)
        raise NotPublishedError(
            f"nothing is published for {metric.name} ({what}) on {question.day} of tenant {question.tenant}"
        )
    return _Published(row[metric.column], row)


def _dimension_key(question: Question) -> str:
    if question.experiment is not None:
        return f"{question.experiment}:{question.variant}"
    return question.dimension or OVERALL


def _snapshot(settings: Settings, run: Run, notes: list[str]) -> LakeSnapshot | None:
    """Return the version that the run read, or the newest one when that is no longer kept."""
    lake = Lake(settings.lake)
    if run.lake_version is None:
        return None
    try:
        snapshot = lake.snapshot(run.lake_version)
        if snapshot is not None and all(Path(file.path).exists() for file in snapshot.files):
            return snapshot
    except LakeError:
        pass
    newest = lake.snapshot()
    notes.append(
        f"version {run.lake_version} of the lake is no longer kept: version {newest and newest.version} is read, with"
        " the events that came later"
    )
    return newest


def _paths(snapshot: LakeSnapshot | None, metric: Metric, day: date, run: Run, *, follow_up: timedelta) -> list[str]:
    if snapshot is None:
        return []
    first = (run.as_of - VALID_AGE).date() if metric.history else day
    return snapshot.paths(first, (day_start(day + timedelta(days=1)) + follow_up - timedelta.resolution).date())


def _parameters(question: Question, row: Mapping[str, Any], record: RunRecord, run: Run) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "tenant_id": question.tenant,
        "day_start": day_start(question.day),
        "day_end": day_start(question.day + timedelta(days=1)),
        "oldest": run.as_of - VALID_AGE,
        "newest": run.as_of + VALID_AHEAD,
        "event_name": question.dimension,
        "days_after": question.days_after,
        "experiment_id": row.get("experiment_id", question.experiment),
        "variant_id": row.get("variant_id", question.variant),
        "step_number": row.get("step_number"),
        "window_seconds": row.get("window_seconds"),
    }
    if question.step is not None:
        steps = _steps(record, question.funnel)
        parameters |= {"event_names": steps[question.step], "steps": list(steps.values())}
    return parameters


def _steps(record: RunRecord, funnel: str) -> dict[str, list[str]]:
    """Return the events of a funnel's steps as the run knew them, step by step."""
    contents = next(given.contents for given in record.inputs if given.name == FUNNEL_STEPS)
    if contents is None:
        raise NotPublishedError(f"the funnels that run {record.run_id} counted were too many to be recorded")
    with duckdb.connect(":memory:") as engine:
        engine.register(FUNNEL_STEPS, table_from_text(contents))
        rows = engine.execute(statement("explain/funnel_events"), {"funnel_name": funnel}).fetchall()
    return dict(rows)


def _assigned_until(record: RunRecord, run: Run, notes: list[str]) -> datetime:
    newest = next((given.newest for given in record.inputs if given.newest is not None), None)
    notes.append(
        "assignments are read from Postgres as they are now, without those made after the run; one that was imported or"
        " removed since shows as a difference"
    )
    return newest or run.started_at


def _write_assignments(
    connection: psycopg.Connection, folder: Path, variant: Mapping[str, Any], until: datetime
) -> str:
    """Write the variant's assignments to a file, none when there is no variant, and return its path."""
    names = ("tenant_id", "experiment_id", "variant_id")
    wanted = {name: variant[name] for name in names}
    rows = connection.execute(statement("explain/assignments_of_variant"), {**wanted, "until": until}).fetchall()
    columns = list(zip(*rows, strict=True)) or [(), ()]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ASSIGNMENTS, strict=True)]
    name = hashlib.sha256(json.dumps(list(wanted.values())).encode()).hexdigest()
    path = folder / f"assignments-{name[:16]}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays, ASSIGNMENTS), path)
    return str(path)


def _no_events(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return write_no_events(folder)
