"""What starts by itself: the night's range, and the days that changed after they were published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from dagster_project.automation import late_days, nightly
from dagster_project.partitions import FIRST_DAY
from pipeline.export import export
from tests.dagster_project.conftest import Installation
from tests.makers import NOW, event_row, event_rows

LAST = NOW.date()
FIRST = LAST - timedelta(days=5)


def tick(installation: Installation, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=installation.instance, cursor=cursor, resources={"deployment": installation.deployment}
    )
    result = late_days(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def settled(installation: Installation, cursor: str | None = None) -> str:
    """A tick that asks for nothing, and its cursor."""
    result = tick(installation, cursor)
    assert isinstance(result, dg.SensorResult)
    assert result.skip_reason is not None and "published" in str(result.skip_reason.skip_message)
    assert result.cursor is not None
    return result.cursor


def asked_for(result: dg.SensorResult | dg.SkipReason) -> tuple[str, str]:
    assert isinstance(result, dg.SensorResult)
    assert result.run_requests is not None
    (request,) = result.run_requests
    assert request.asset_selection is None
    return (
        request.tags["dagster/asset_partition_range_start"],
        request.tags["dagster/asset_partition_range_end"],
    )


def test_the_night_asks_for_fourteen_days_that_end_with_today() -> None:
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 2, 19, 2, 15, tzinfo=UTC))
    request = nightly(context)
    assert isinstance(request, dg.RunRequest)
    assert request.tags == {
        "dagster/asset_partition_range_start": "2026-02-06",
        "dagster/asset_partition_range_end": "2026-02-19",
    }
    assert nightly.cron_schedule == "15 2 * * *"
    assert nightly.execution_timezone == "UTC"


def test_nothing_is_asked_for_before_the_first_export(installation: Installation) -> None:
    assert isinstance(tick(installation), dg.SkipReason)


def test_published_days_are_left_alone(installation: Installation) -> None:
    installation.receive(event_rows(200, days=5))
    assert installation.materialize(FIRST, LAST).success
    cursor = settled(installation)
    assert settled(installation, cursor) == cursor


def test_a_late_event_asks_for_every_day_it_can_reach_once(installation: Installation) -> None:
    installation.receive(event_rows(200, days=5))
    assert installation.materialize(FIRST, LAST).success
    cursor = settled(installation)
    late = NOW - timedelta(days=30)
    installation.receive([event_row(9, occurred_at=late, received_at=NOW)])
    export(installation.deployment.database_url, installation.deployment.lake())
    result = tick(installation, cursor)
    assert asked_for(result) == ((late.date() - timedelta(days=7)).isoformat(), LAST.isoformat())
    assert isinstance(result, dg.SensorResult)
    settled_again = tick(installation, result.cursor)
    assert isinstance(settled_again, dg.SensorResult) and not settled_again.run_requests


def test_an_export_within_a_run_of_other_days_asks_for_the_days_it_touched(installation: Installation) -> None:
    installation.receive(event_rows(200, days=5))
    assert installation.materialize(LAST, LAST).success
    first = NOW.date() - timedelta(days=5)
    assert asked_for(tick(installation)) == ((first - timedelta(days=7)).isoformat(), LAST.isoformat())


def test_days_too_old_to_count_are_never_asked_for(installation: Installation) -> None:
    moments = [NOW - timedelta(days=400), datetime(FIRST_DAY.year - 1, 5, 5, tzinfo=UTC)]
    installation.receive([event_row(number, occurred_at=moment) for number, moment in enumerate(moments)])
    export(installation.deployment.database_url, installation.deployment.lake())
    settled(installation)


def test_a_range_never_begins_before_the_oldest_day_that_counts(installation: Installation) -> None:
    installation.receive([event_row(1, occurred_at=NOW - timedelta(days=178))])
    export(installation.deployment.database_url, installation.deployment.lake())
    assert asked_for(tick(installation)) == ((LAST - timedelta(days=179)).isoformat(), LAST.isoformat())


def test_while_a_run_is_under_way_the_sensor_waits(installation: Installation) -> None:
    installation.receive(event_rows(20, days=1))
    export(installation.deployment.database_url, installation.deployment.lake())
    job = dg.GraphDefinition(name="busy").to_job()
    installation.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert isinstance(tick(installation), dg.SkipReason)
