"""A run, end to end: export, computation, checks and publication on a real Postgres and a real lake."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from pipeline.rollups.jobs import JOBS, job_named
from tests.dagster_project.conftest import Installation
from tests.makers import NOW, add_experiment, assign, event_row, event_rows

LAST = NOW.date()
FIRST = LAST - timedelta(days=4)
VOLUME = "SELECT day, sum(value)::int FROM daily_metric_rollups WHERE metric_name = 'event_volume_by_name' GROUP BY day"


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, dict[str, object]]:
    return {
        str(event.partition): {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset)
    }


def failed_steps(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.step_key or "" for event in result.all_events if event.is_step_failure}


def test_one_day_is_exported_computed_checked_and_published(installation: Installation) -> None:
    yesterday = LAST - timedelta(days=1)
    rows = event_rows(300, days=1)
    installation.receive(rows)
    result = installation.materialize(yesterday, yesterday)
    assert result.success
    assert installation.published(VOLUME) == [(yesterday, len(rows))]
    users = {row.anonymous_user_id for row in rows}
    dau = installation.published("SELECT day, value FROM daily_metric_rollups WHERE metric_name = 'dau'")
    assert dau == [(yesterday, float(len(users)))]
    assert len(list(result.get_asset_check_evaluations())) == 1 + 2 * len(JOBS)
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())


def test_a_range_is_one_run_with_metadata_for_each_day(installation: Installation) -> None:
    rows = event_rows(500, days=5, end=NOW + timedelta(minutes=4))
    installation.receive(rows)
    add_experiment(installation.connection, "exp_1", {"A": 0.5, "B": 0.5})
    assign(installation.connection, ["user_1", "user_2"], "exp_1", "A", NOW - timedelta(days=3))
    result = installation.materialize(FIRST, LAST)
    assert result.success
    assert installation.instance.get_runs_count() == 1

    per_day = Counter(row.occurred_at.astimezone(UTC).date().isoformat() for row in rows)
    days = {(FIRST + timedelta(days=number)).isoformat() for number in range(5)}
    exported = metadata(result, "events")
    assert exported.keys() == days
    assert {day: values["dagster/row_count"] for day, values in exported.items()} == {day: per_day[day] for day in days}
    assert {values["rows_exported"] for values in exported.values()} == {len(rows)}
    assert {values["lake_version"] for values in exported.values()} == {0}

    runs = dict(installation.published("SELECT run_id::text, rows_written FROM rollup_runs WHERE status = 'SUCCESS'"))
    assert len(runs) == len(JOBS)
    for name in (job_named(job).table for job in JOBS):
        published = metadata(result, name)
        assert published.keys() == days
        whole = published[FIRST.isoformat()]
        assert runs[whole["run_ids"][0]] == whole["rows_written"] > 0
        assert sum(int(str(values["dagster/row_count"])) for values in published.values()) == whole["rows_written"]
        assert {day: values["lake_rows"] for day, values in published.items()} == {day: per_day[day] for day in days}
        assert whole.keys() >= {"seconds", "ignored_count", "lake_version"}
    for name in (f"{job}_rollup" for job in JOBS):
        preview = str(metadata(result, name)[LAST.isoformat()]["preview"])
        assert 3 <= len(preview.splitlines()) <= 12
        assert LAST.isoformat() in preview


def test_the_same_range_again_leaves_the_same_rows(installation: Installation) -> None:
    rows = "SELECT day, metric_name, dimension_key, value, dimensions FROM daily_metric_rollups ORDER BY 1, 2, 3"
    installation.receive(event_rows(200, days=5))
    assert installation.materialize(FIRST, LAST).success
    before = installation.published(rows)
    assert installation.materialize(FIRST, LAST).success
    assert installation.published(rows) == before != []


def test_days_without_any_event_are_published_as_zeros(installation: Installation) -> None:
    assert installation.materialize(FIRST, LAST).success
    dau = installation.published("SELECT value FROM daily_metric_rollups WHERE metric_name = 'dau'")
    assert dau == [(0.0,)] * 5


def test_days_that_the_export_touched_unasked_are_reported_too(installation: Installation) -> None:
    late, ancient = date(2026, 1, 10), date(2023, 5, 5)
    moments = [datetime(day.year, day.month, day.day, 12, tzinfo=UTC) for day in (LAST, late, late, ancient)]
    installation.receive(
        [event_row(number, occurred_at=moment, received_at=NOW) for number, moment in enumerate(moments)]
    )
    result = installation.materialize(LAST, LAST, "events")
    assert result.success
    assert metadata(result, "events").keys() == {LAST.isoformat()}
    assert metadata(result, "events")[LAST.isoformat()]["days_touched_beyond"] == [
        ancient.isoformat(),
        late.isoformat(),
    ]
    assert metadata(result, "events")[LAST.isoformat()]["days_before_first_partition"] == 1

    records = installation.instance.fetch_materializations(dg.AssetKey("events"), limit=10).records
    unasked = {record.partition_key: record.asset_materialization for record in records if not record.run_id}
    assert unasked.keys() == {late.isoformat()}
    event = unasked[late.isoformat()]
    assert event is not None
    assert event.metadata["dagster/row_count"].value == 2
    assert event.metadata["rows_added"].value == 2


def test_a_publication_without_its_computation_says_what_to_do(installation: Installation) -> None:
    installation.receive(event_rows(50, days=1))
    assert installation.materialize(FIRST, LAST).success
    before = installation.published("SELECT run_id FROM daily_metric_rollups")
    result = installation.materialize(FIRST, LAST, "daily_metric_rollups")
    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "materialize daily_rollup together with" in str(failure.step_failure_data.user_failure_data)
    assert installation.published("SELECT run_id FROM daily_metric_rollups") == before


def test_days_that_can_no_longer_be_computed_fail_and_stay_as_they_were(installation: Installation) -> None:
    old = LAST - timedelta(days=200)
    result = installation.materialize(old, old)
    assert failed_steps(result) == {f"{job}_rollup" for job in JOBS}
    assert installation.published("SELECT count(*) FROM daily_metric_rollups") == [(0,)]
