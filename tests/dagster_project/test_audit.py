"""The checks stop what is wrong: a lost row, a doubled row, a rollup that breaks a rule."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dagster_project.definitions import ASSETS, CHECKS
from dagster_project.same_run import AUDIT
from pipeline.lake.schema import PARTITION_COLUMN
from tests.dagster_project.conftest import Installation
from tests.makers import NOW, event_row, event_rows

LAST = NOW.date()
FIRST = LAST - timedelta(days=4)
SPOILT = LAST - timedelta(days=2)


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}": evaluation
        for evaluation in result.get_asset_check_evaluations()
    }


def assert_nothing_follows(installation: Installation, result: dg.ExecuteInProcessResult) -> None:
    assert not result.success
    done = {event.asset_key for event in result.get_asset_materialization_events()}
    assert done == {dg.AssetKey("events")}
    assert installation.published("SELECT count(*) FROM daily_metric_rollups") == [(0,)]
    assert installation.published("SELECT count(*) FROM funnel_rollups") == [(0,)]


def test_a_row_that_never_reached_the_lake_is_found_and_stops_everything(installation: Installation) -> None:
    installation.receive(event_rows(300, days=5))
    assert installation.materialize(FIRST, LAST, "events").success
    lost = event_row(7, occurred_at=NOW - timedelta(days=2) + timedelta(hours=3))
    installation.receive([lost])
    # As if an export had skipped it: its transaction lies below the watermark that the lake remembers.
    with installation.connection.transaction():
        installation.connection.execute("ALTER TABLE event_logs DISABLE TRIGGER event_logs_append_only")
        installation.connection.execute("UPDATE event_logs SET ingest_xid = '3' WHERE event_id = %s", [lost.event_id])
        installation.connection.execute("ALTER TABLE event_logs ENABLE TRIGGER event_logs_append_only")
    result = installation.materialize(FIRST, LAST)
    check = evaluations(result)["events:lake_matches_postgres"]
    assert not check.passed
    assert SPOILT.isoformat() in str(check.metadata["days"].value)
    assert FIRST.isoformat() not in str(check.metadata["days"].value)
    assert_nothing_follows(installation, result)


def test_a_row_that_is_in_the_lake_twice_is_found_and_stops_everything(installation: Installation) -> None:
    installation.receive(event_rows(300, days=5))
    assert installation.materialize(FIRST, LAST, "events").success
    double_a_row(installation)
    result = installation.materialize(FIRST, LAST)
    check = evaluations(result)["events:lake_matches_postgres"]
    assert not check.passed
    assert SPOILT.isoformat() in str(check.metadata["days"].value)
    assert FIRST.isoformat() not in str(check.metadata["days"].value)
    assert_nothing_follows(installation, result)


def test_a_rollup_of_a_lake_that_its_run_did_not_audit_is_audited_itself(installation: Installation) -> None:
    installation.receive(event_rows(300, days=5))
    assert installation.materialize(FIRST, LAST).success
    before = installation.published("SELECT DISTINCT run_id FROM daily_metric_rollups")
    double_a_row(installation)
    result = installation.materialize(FIRST, LAST, "daily_rollup", "daily_metric_rollups")
    assert not result.success
    findings = evaluations(result)["daily_rollup:keeps_its_rules"].metadata["findings"].value
    assert SPOILT.isoformat() in str(findings)
    assert installation.published("SELECT DISTINCT run_id FROM daily_metric_rollups") == before


def test_a_table_without_yesterday_warns_and_stops_nothing(installation: Installation) -> None:
    old = LAST - timedelta(days=10)
    result = installation.materialize(old, old)
    assert result.success
    check = evaluations(result)["funnel_rollups:is_fresh"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.metadata["newest_day"].value == old.isoformat()
    yesterday = LAST - timedelta(days=1)
    assert evaluations(installation.materialize(yesterday, yesterday))["funnel_rollups:is_fresh"].passed


def double_a_row(installation: Installation) -> None:
    """Append an event of SPOILT to the lake a second time."""
    lake = installation.deployment.lake()
    snapshot, table = lake.snapshot(), lake.table()
    assert snapshot is not None
    assert table is not None
    twice = duckdb.sql(
        f"SELECT *, DATE '{SPOILT}' AS {PARTITION_COLUMN} FROM read_parquet($files, hive_partitioning = false) LIMIT 1",
        params={"files": snapshot.paths(SPOILT, SPOILT)},
    ).to_arrow_table()
    write_deltalake(table, twice.cast(pa.schema(table.schema().to_arrow())), mode="append")


def test_a_run_audits_its_own_days_alone_and_the_check_by_itself_the_whole_lake(installation: Installation) -> None:
    installation.receive(event_rows(300, days=5))
    assert installation.materialize(FIRST, LAST, "events").success
    double_a_row(installation)
    other = LAST - timedelta(days=1)
    check = evaluations(installation.materialize(other, LAST, "events"))["events:lake_matches_postgres"]
    assert check.passed
    assert check.metadata["audited"].value == f"{other} to {LAST}"

    alone = dg.materialize(
        [*ASSETS, *CHECKS],
        selection=dg.AssetSelection.checks(AUDIT),
        instance=installation.instance,
        resources={"deployment": installation.deployment},
        raise_on_error=False,
    )
    check = evaluations(alone)["events:lake_matches_postgres"]
    assert not check.passed
    assert check.metadata["audited"].value == "the whole lake"
    assert SPOILT.isoformat() in str(check.metadata["days"].value)


@pytest.mark.parametrize("first", [FIRST, LAST], ids=["a range", "one day"])
def test_healthy_days_pass_and_every_check_s_latest_result_is_that_of_the_run(
    installation: Installation, first: date
) -> None:
    installation.receive(event_rows(300, days=5))
    result = installation.materialize(first, LAST)
    assert all(check.passed for check in evaluations(result).values())
    keys = [spec.key for check in CHECKS for spec in check.check_specs]
    latest = installation.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert {(latest[key].run_id, latest[key].status.value, latest[key].partition) for key in keys} == {
        (result.run_id, "SUCCEEDED", None)
    }
