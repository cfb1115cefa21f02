"""The refresh as Dagster runs it: the days it publishes are reported as materializations of their assets."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import psycopg

from dagster_project.refreshing import refresh
from pipeline.database import AdvisoryLock
from pipeline.rollups.jobs import JOBS, job_named
from tests.dagster_project.conftest import Installation
from tests.makers import NOW, event_row, event_rows

LAST = NOW.date()
TABLES = [job_named(job).table for job in JOBS]


def run(installation: Installation) -> dict[str, dict[date, dict[str, object]]]:
    """Refresh once; what was reported, by asset and day."""
    result = refresh.execute_in_process(
        instance=installation.instance, resources={"deployment": installation.deployment}, raise_on_error=False
    )
    assert result.success
    reported: dict[str, dict[date, dict[str, object]]] = {}
    for event in result.all_events:
        if event.is_step_materialization:
            shown = event.step_materialization_data.materialization
            assert shown.partition is not None
            day = date.fromisoformat(shown.partition)
            values = {name: value.value for name, value in shown.metadata.items()}
            reported.setdefault(shown.asset_key.to_user_string(), {})[day] = values
    return reported


def test_the_first_refresh_reports_every_day_since_the_first_event(installation: Installation) -> None:
    rows = event_rows(300, days=6, end=NOW)
    installation.receive(rows)
    reported = run(installation)
    first = min(row.occurred_at for row in rows).astimezone(UTC).date()
    days = {first + timedelta(days=number) for number in range((LAST - first).days + 1)}
    assert reported.keys() == {"events", *TABLES}
    assert all(found.keys() == days for found in reported.values())
    per_day = {day: sum(row.occurred_at.astimezone(UTC).date() == day for row in rows) for day in days}
    assert {day: values["dagster/row_count"] for day, values in reported["events"].items()} == per_day
    assert {day: values["lake_rows"] for day, values in reported["funnel_rollups"].items()} == per_day
    (run_id,) = {tuple(values["run_ids"]) for values in reported["daily_metric_rollups"].values()}  # type: ignore[arg-type]
    assert installation.published("SELECT DISTINCT run_id::text FROM daily_metric_rollups") == [run_id]
    assert installation.instance.get_materialized_partitions(dg.AssetKey("events")) == {day.isoformat() for day in days}


def test_a_late_event_reports_its_days_alone_and_nothing_new_reports_nothing(installation: Installation) -> None:
    installation.receive(event_rows(300, days=30, users=5))
    run(installation)
    assert run(installation) == {}
    late = datetime(LAST.year, LAST.month, LAST.day, 9, tzinfo=UTC) - timedelta(days=10)
    installation.receive([event_row(9_999, occurred_at=late, received_at=NOW, anonymous_user_id="user_1")])
    reported = run(installation)
    assert reported["funnel_rollups"].keys() == {late.date()}, "an old user's event moves no cohort"
    assert late.date() in reported["daily_metric_rollups"]
    assert all(day >= late.date() - timedelta(days=40) for day in reported["events"])


def test_a_second_refresh_at_the_same_time_does_nothing(installation: Installation) -> None:
    installation.receive(event_rows(30, days=2))
    with psycopg.connect(installation.deployment.database_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [int(AdvisoryLock.REFRESH)])
        assert run(installation) == {}
        assert installation.published("SELECT count(*) FROM rollup_runs") == [(0,)]
    assert run(installation).keys() == {"events", *TABLES}


def test_a_refresh_that_fails_is_a_failed_run(installation: Installation) -> None:
    installation.receive(event_rows(30, days=2))
    installation.connection.execute("ALTER TABLE funnel_rollups ADD CONSTRAINT never CHECK (users_count < 0)")
    result = refresh.execute_in_process(
        instance=installation.instance, resources={"deployment": installation.deployment}, raise_on_error=False
    )
    assert not result.success
    installation.connection.execute("ALTER TABLE funnel_rollups DROP CONSTRAINT never")
    assert "funnel_rollups" in run(installation), "the days it left are stale still"
