"""The nightly maintenance: Postgres is pruned, the lake compacted and vacuumed, and nothing else happens."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from dagster_project.maintenance import GROUP, MAINTENANCE, pruned_events
from pipeline.export.run import export
from tests.dagster_project.conftest import Installation
from tests.makers import NOW, event_row, event_rows

OLD = NOW - timedelta(days=40)


def maintain(installation: Installation) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        MAINTENANCE,
        instance=installation.instance,
        resources={"deployment": installation.deployment},
        raise_on_error=False,
    )


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, object]:
    (event,) = result.asset_materializations_for_node(name)
    return {key: value.value for key, value in event.metadata.items()}


def fill(installation: Installation) -> None:
    for seed in range(3):
        installation.receive(event_rows(20, seed=seed, days=2, end=OLD))
        installation.receive([event_row(seed)])
        export(installation.deployment.database_url, installation.deployment.lake())


def test_a_night_of_maintenance(installation: Installation) -> None:
    fill(installation)
    result = maintain(installation)
    assert result.success
    assert metadata(result, "compacted_lake")["files_after"] == metadata(result, "compacted_lake")["days"]
    assert metadata(result, "pruned_events")["events_pruned"] == 60
    assert metadata(result, "vacuumed_lake")["files_removed"] == 0, "all of it is young"
    assert metadata(result, "pruned_run_records")["runs_removed"] == 0
    assert installation.published("SELECT count(*) FROM event_logs") == [(3,)]
    assert maintain(installation).success


def test_an_empty_installation_is_maintained_too(installation: Installation) -> None:
    assert maintain(installation).success


def test_nothing_is_pruned_while_the_last_audit_has_failed(installation: Installation) -> None:
    fill(installation)
    installation.published(
        "INSERT INTO removed_events VALUES ('default', '2026-01-01', '2026-02-19', 'pruned', 1, 0, 0) RETURNING 1"
    )
    assert not installation.materialize(NOW.date(), NOW.date(), "events").success
    result = maintain(installation)
    assert not result.success
    assert installation.published("SELECT count(*) FROM event_logs") == [(63,)]
    assert result.asset_materializations_for_node("compacted_lake"), "the lake is compacted all the same"
    installation.connection.execute("DELETE FROM removed_events")
    assert installation.materialize(NOW.date(), NOW.date(), "events").success
    assert maintain(installation).success


def test_a_day_that_is_held_back_fails_the_asset(installation: Installation) -> None:
    fill(installation)
    day = installation.published("SELECT min(occurred_at)::date FROM event_logs")[0][0]
    installation.connection.execute(
        "INSERT INTO removed_events VALUES ('default', '2026-01-01', %s, 'pruned', 1, 0, 0)", [day]
    )
    assert not maintain(installation).success
    (left,) = installation.published(
        f"SELECT count(*), min(occurred_at)::date FROM event_logs WHERE received_at < '{NOW - timedelta(days=30)}'"
    )
    assert left[0] > 0
    assert left[1] == day


def test_the_assets_have_no_days() -> None:
    assert pruned_events.partitions_def is None
    assert {asset.group_names_by_key[asset.key] for asset in MAINTENANCE} == {GROUP}
