"""A database and a lake in a folder, filled with a history of the oracle's kind, and what is published from them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from pipeline.export.run import export
from pipeline.ingestion.event_store import EventRow, store
from pipeline.lake.table import Lake
from pipeline.rollups.jobs import JOBS, Window
from pipeline.rollups.publish import PublishedRollup
from pipeline.rollups.run import roll_up
from pipeline.settings import Settings
from tests.pipeline.rollups.oracle import Event, Expected, History, Rows

PUBLISHED = {
    "daily": "SELECT tenant_id, day, metric_name, dimension_key, value, dimensions FROM daily_metric_rollups",
    "experiment": "SELECT tenant_id, day, experiment_id, variant_id, metric_name, value, dimensions"
    " FROM experiment_metric_rollups",
    "funnel": "SELECT tenant_id, day, funnel_name, step_name, dimension_key, experiment_id, variant_id, users_count,"
    " events_count FROM funnel_rollups",
    "funnel_cohort": "SELECT tenant_id, day, funnel_name, step_name, dimension_key, step_number, experiment_id,"
    " variant_id, users_count, median_seconds, window_seconds, complete_at FROM funnel_cohort_rollups",
    "retention": "SELECT tenant_id, day, days_after, dimension_key, experiment_id, variant_id, cohort_size,"
    " retained_users, complete_at FROM retention_rollups",
}
KEY_COLUMNS = {"daily": 4, "experiment": 5, "funnel": 5, "funnel_cohort": 5, "retention": 4}


@dataclass(frozen=True)
class World:
    """One Tidemark installation of a test."""

    database_url: str
    connection: psycopg.Connection
    home: Path

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    def clear(self) -> None:
        self.connection.execute(
            "TRUNCATE daily_metric_rollups, experiment_metric_rollups, funnel_rollups, funnel_cohort_rollups,"
            " retention_rollups, rollup_runs, event_logs, assignments, experiment_variants, experiments,"
            " ingestion_ledger, stale_days, refresh_inputs, assignment_changes, assigned_counts CASCADE"
        )
        self.connection.execute("DELETE FROM tenants WHERE tenant_id <> 'default'")

    def load(self, history: History) -> None:
        """Store a history as the API and an import would."""
        for tenant in history.tenants:
            self.connection.execute(
                "INSERT INTO tenants (tenant_id, name) VALUES (%s, 'test') ON CONFLICT DO NOTHING", [tenant]
            )
        for (tenant, experiment_id), (status, variants) in history.experiments.items():
            self.connection.execute(
                "INSERT INTO experiments (tenant_id, experiment_id, status) VALUES (%s, %s, %s)",
                [tenant, experiment_id, status],
            )
            for variant in variants:
                self.connection.execute(
                    "INSERT INTO experiment_variants (tenant_id, experiment_id, variant_id, variant_name, weight)"
                    " VALUES (%s, %s, %s, '', 1)",
                    [tenant, experiment_id, variant],
                )
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO assignments (tenant_id, anonymous_user_id, experiment_id, variant_id, assigned_at)"
                " VALUES (%s, %s, %s, %s, %s)",
                [(a.tenant_id, a.user, a.experiment_id, a.variant_id, a.assigned_at) for a in history.assignments],
            )
        self.add_events(*history.events)

    def add_events(self, *events: Event) -> None:
        store(self.connection, [stored_row(event) for event in events])

    def export(self) -> None:
        export(self.database_url, self.lake)

    def roll_up(
        self, window: Window, as_of: datetime, jobs: tuple[str, ...] = JOBS, **options: Any
    ) -> list[PublishedRollup]:
        return roll_up(self.settings, self.database_url, jobs, window, as_of, **options)

    def published(self, job: str) -> Rows:
        """The table of a job as {key: rest}, in the oracle's shape."""
        rows = self.connection.execute(PUBLISHED[job].encode()).fetchall()
        keys = KEY_COLUMNS[job]
        return {row[:keys]: row[keys:] for row in rows}

    def runs(self) -> list[tuple[Any, ...]]:
        """(job_name, status, rows_written, error_text) of every run, oldest first."""
        return self.connection.execute(
            "SELECT job_name, status, rows_written, error_text FROM rollup_runs ORDER BY started_at"
        ).fetchall()

    def assert_published(self, wanted: Expected) -> None:
        for job in JOBS:
            rows = getattr(wanted, job)
            published = self.published(job)
            assert published.keys() == rows.keys(), job
            for key, row in rows.items():
                assert same(published[key], row), (key, published[key], row)

    def pause(self, experiment_id: str) -> None:
        self.connection.execute("UPDATE experiments SET status = 'PAUSED' WHERE experiment_id = %s", [experiment_id])


def stored_row(event: Event) -> EventRow:
    """An event as the import writes it: its assignments are given."""
    return EventRow(
        event_id=event.event_id,
        tenant_id=event.tenant_id,
        anonymous_user_id=event.user,
        session_id=None,
        install_id=None,
        platform=None,
        app_version=None,
        event_name=event.name,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        sent_at=None,
        assignments="[]",
        experiment_map=json.dumps(event.experiment_map),
    )


def same(published: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    """Equal, with doubles equal to within 1e-9 of their size."""
    return len(published) == len(wanted) and all(
        math.isclose(ours, theirs, rel_tol=1e-9)
        if isinstance(theirs, float) and isinstance(ours, float | int)
        else ours == theirs
        for ours, theirs in zip(published, wanted, strict=True)
    )
