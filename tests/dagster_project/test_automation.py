"""What starts by itself: the refresh, the night's range, and stale days that no refresh covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dagster_project.automation import late_days, nightly, refresh_due, stretch_of
from dagster_project.resources import Deployment
from pipeline.export.run import export
from pipeline.refresh import stale_days
from pipeline.refresh.run import refresh
from tests.dagster_project.conftest import Installation
from tests.makers import NOW, event_row, event_rows

LAST = NOW.date()
FIRST = LAST - timedelta(days=5)
OLDEST = LAST - timedelta(days=179)


@pytest.fixture
def no_refreshes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_REFRESH_MINUTES", "0")


def tick(
    installation: Installation, sensor: dg.SensorDefinition = late_days, cursor: str | None = None, as_of: str = ""
) -> dg.SensorResult | dg.SkipReason:
    home, url = installation.deployment.home, installation.deployment.database_url
    deployment = Deployment(database_url=url, home=home, as_of=as_of or installation.deployment.as_of)
    context = dg.build_sensor_context(
        instance=installation.instance, cursor=cursor, resources={"deployment": deployment}
    )
    result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def asked_for(result: dg.SensorResult | dg.SkipReason) -> tuple[str, str]:
    assert isinstance(result, dg.SensorResult)
    assert result.run_requests is not None
    (request,) = result.run_requests
    assert request.asset_selection is None
    return (
        request.tags["dagster/asset_partition_range_start"],
        request.tags["dagster/asset_partition_range_end"],
    )


def reason(result: dg.SensorResult | dg.SkipReason) -> str:
    skipped = result if isinstance(result, dg.SkipReason) else result.skip_reason
    assert skipped is not None
    return str(skipped.skip_message)


def busy(installation: Installation, name: str) -> None:
    job = dg.GraphDefinition(name=name).to_job()
    installation.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)


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


def test_a_refresh_is_asked_for_once_in_every_five_minutes(installation: Installation) -> None:
    first = tick(installation, refresh_due, as_of="2026-02-19T10:02:00+00:00")
    assert isinstance(first, dg.SensorResult) and first.run_requests is not None
    (request,) = first.run_requests
    assert request.run_key == "refresh-2026-02-19T10:00:00+00:00" and first.cursor == "2026-02-19T10:00:00+00:00"
    again = tick(installation, refresh_due, first.cursor, as_of="2026-02-19T10:04:59+00:00")
    assert "already" in reason(again)
    later = tick(installation, refresh_due, first.cursor, as_of="2026-02-19T10:05:00+00:00")
    assert isinstance(later, dg.SensorResult) and later.cursor == "2026-02-19T10:05:00+00:00"
    assert later.run_requests and later.run_requests[0].run_key != request.run_key


def test_two_refreshes_never_run_at_once_but_another_run_is_no_reason_to_skip_one(installation: Installation) -> None:
    busy(installation, "recompute")
    assert isinstance(tick(installation, refresh_due), dg.SensorResult)
    busy(installation, "refresh")
    skipped = tick(installation, refresh_due)
    assert isinstance(skipped, dg.SkipReason) and "under way" in reason(skipped)


@pytest.mark.usefixtures("no_refreshes")
def test_refreshes_can_be_switched_off(installation: Installation) -> None:
    assert "is 0" in reason(tick(installation, refresh_due))


@pytest.mark.parametrize(
    ("minutes", "began"), [(1, "10:47"), (5, "10:45"), (7, "10:44"), (60, "10:00"), (90, "10:30"), (1440, "00:00")]
)
def test_stretches_are_counted_from_midnight(minutes: int, began: str) -> None:
    moment = datetime(2026, 2, 19, 10, 47, 59, 999_999, tzinfo=UTC)
    assert f"{stretch_of(moment, minutes):%H:%M}" == began


def test_while_refreshes_run_by_themselves_no_day_is_computed_twice(installation: Installation) -> None:
    installation.receive(event_rows(20, days=1))
    assert installation.materialize(FIRST, LAST, "events").success
    assert "next refresh" in reason(tick(installation))


@pytest.mark.usefixtures("no_refreshes")
class TestWithoutRefreshes:
    """Late events are turned into range runs."""

    def settle(self, installation: Installation) -> None:
        """Publish every day that can be computed."""
        refresh(installation.deployment.settings(), installation.deployment.database_url, NOW)
        assert "up to date" in reason(tick(installation))

    def test_nothing_is_asked_for_before_the_first_export(self, installation: Installation) -> None:
        assert "Nothing was exported" in reason(tick(installation))

    def test_a_late_event_asks_for_one_run_from_the_first_stale_day_to_the_last(
        self, installation: Installation
    ) -> None:
        installation.receive(event_rows(200, days=5))
        self.settle(installation)
        late = NOW - timedelta(days=30)
        installation.receive([event_row(9, occurred_at=late, received_at=NOW, anonymous_user_id="somebody_new")])
        assert installation.materialize(LAST, LAST).success
        result = tick(installation)
        first, last = asked_for(result)
        assert first == late.date().isoformat()
        assert last < LAST.isoformat(), "today has been published with it"
        assert isinstance(result, dg.SensorResult)
        assert "asked for already" in reason(tick(installation, cursor=result.cursor))
        assert installation.materialize(
            datetime.fromisoformat(first).date(), datetime.fromisoformat(last).date()
        ).success
        assert "up to date" in reason(tick(installation, cursor=result.cursor))

    def test_an_export_by_somebody_else_is_taken_in_by_a_run_of_today(self, installation: Installation) -> None:
        installation.receive(event_rows(200, days=5))
        self.settle(installation)
        late = LAST - timedelta(days=40)
        installation.receive([event_row(9, occurred_at=NOW - timedelta(days=40), received_at=NOW)])
        export(installation.deployment.database_url, installation.deployment.lake())
        result = tick(installation)
        assert asked_for(result) == (LAST.isoformat(), LAST.isoformat())
        assert installation.materialize(LAST, LAST).success
        assert asked_for(tick(installation))[0] == late.isoformat()

    def test_days_before_the_first_event_are_not_asked_for(self, installation: Installation) -> None:
        installation.receive(event_rows(50, days=2))
        self.settle(installation)
        stale_days.mark(installation.connection, "daily", [LAST - timedelta(days=3)])
        assert "up to date" in reason(tick(installation))

    def test_a_run_that_fails_is_asked_for_once(self, installation: Installation) -> None:
        installation.receive(event_rows(50, days=8))
        self.settle(installation)
        stale_days.mark(installation.connection, "daily", [FIRST, LAST])
        result = tick(installation)
        assert asked_for(result) == (FIRST.isoformat(), LAST.isoformat())
        assert isinstance(result, dg.SensorResult)
        assert isinstance(tick(installation, cursor=result.cursor), dg.SkipReason)
        stale_days.mark(installation.connection, "funnel", [FIRST - timedelta(days=1)])
        assert asked_for(tick(installation, cursor=result.cursor))[0] == (FIRST - timedelta(days=1)).isoformat()

    def test_days_too_old_to_count_are_never_asked_for(self, installation: Installation) -> None:
        moments = [NOW - timedelta(days=179), NOW - timedelta(days=400)]
        installation.receive([event_row(number, occurred_at=moment) for number, moment in enumerate(moments)])
        self.settle(installation)
        stale_days.mark(installation.connection, "daily", [OLDEST - timedelta(days=1)])
        assert "up to date" in reason(tick(installation))
        stale_days.mark(installation.connection, "daily", [OLDEST])
        assert asked_for(tick(installation)) == (OLDEST.isoformat(), OLDEST.isoformat())

    def test_while_a_run_is_under_way_the_sensor_waits(self, installation: Installation) -> None:
        installation.receive(event_rows(20, days=1))
        export(installation.deployment.database_url, installation.deployment.lake())
        busy(installation, "busy")
        assert isinstance(tick(installation), dg.SkipReason)
