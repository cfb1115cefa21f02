"""The code location: what it holds, in which order things run, and what starts by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import yaml

from cli.dagster_processes import DEFINITIONS, LOCATION, RANGE_JOB, range_tags
from dagster_project import partitions
from dagster_project.assets import COMPUTED, PUBLISHED
from dagster_project.definitions import ASSETS, CHECKS, defs
from dagster_project.partitions import DAYS
from pipeline.rollups.jobs import JOBS, job_named
from pipeline.settings import REPOSITORY
from tests.makers import NOW

GRAPH = {
    "events": set(),
    "daily_rollup": {"events"},
    "experiment_rollup": {"events"},
    "funnel_rollup": {"events"},
    "funnel_cohort_rollup": {"events"},
    "retention_rollup": {"events"},
    "daily_metric_rollups": {"daily_rollup"},
    "experiment_metric_rollups": {"experiment_rollup"},
    "funnel_rollups": {"funnel_rollup"},
    "funnel_cohort_rollups": {"funnel_cohort_rollup"},
    "retention_rollups": {"retention_rollup"},
    "compacted_lake": set(),
    "pruned_events": {"compacted_lake"},
    "vacuumed_lake": {"compacted_lake"},
    "pruned_run_records": {"vacuumed_lake"},
}
BLOCKING = {
    "events:lake_matches_postgres",
    "daily_rollup:keeps_its_rules",
    "experiment_rollup:keeps_its_rules",
    "funnel_rollup:keeps_its_rules",
    "funnel_cohort_rollup:keeps_its_rules",
    "retention_rollup:keeps_its_rules",
}
WARNING = {
    "daily_metric_rollups:is_fresh",
    "experiment_metric_rollups:is_fresh",
    "funnel_rollups:is_fresh",
    "funnel_cohort_rollups:is_fresh",
    "retention_rollups:is_fresh",
}


def check_name(key: dg.AssetCheckKey) -> str:
    return f"{key.asset_key.to_user_string()}:{key.name}"


def test_everything_loads() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_assets_and_what_each_waits_for() -> None:
    graph = defs.resolve_asset_graph()
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert found == GRAPH


def test_every_asset_shares_the_days_and_backfills_them_in_stretches() -> None:
    for asset in ASSETS:
        assert asset.partitions_def is DAYS
        assert asset.backfill_policy == dg.BackfillPolicy.multi_run(max_partitions_per_run=30)
        assert asset.group_names_by_key[asset.key] == "tidemark"


def test_every_job_has_its_computing_and_its_publishing_asset() -> None:
    assert [asset.key.to_user_string() for asset in COMPUTED] == [f"{job}_rollup" for job in JOBS]
    assert [asset.key.to_user_string() for asset in PUBLISHED] == [job_named(job).table for job in JOBS]


def test_only_the_export_retries() -> None:
    retrying = [asset.key.to_user_string() for asset in ASSETS if asset.op.retry_policy is not None]
    assert retrying == ["events"]


def test_the_checks_and_which_of_them_stop_what_follows() -> None:
    specs = [spec for check in CHECKS for spec in check.check_specs]
    assert {check_name(spec.key) for spec in specs if spec.blocking} == BLOCKING
    assert {check_name(spec.key) for spec in specs if not spec.blocking} == WARNING


def test_no_check_has_partitions_of_its_own_for_dagster_would_show_a_range_as_skipped() -> None:
    assert [spec.partitions_def for check in CHECKS for spec in check.check_specs] == [None] * (1 + 2 * len(JOBS))


def test_the_schedule_and_the_sensors_are_on_by_default() -> None:
    repository = defs.get_repository_def()
    assert {schedule.name: schedule.default_status.value for schedule in repository.schedule_defs} == {
        "nightly": "RUNNING",
        "nightly_maintenance": "RUNNING",
    }
    assert {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs} == {
        "refresh_due": "RUNNING",
        "late_days": "RUNNING",
        "abandoned_runs": "RUNNING",
    }


def test_the_jobs_have_the_names_that_commands_use() -> None:
    names = {job.name for job in defs.get_repository_def().get_all_jobs()}
    assert {RANGE_JOB, "refresh"} <= names
    assert range_tags(NOW.date(), NOW.date()) == partitions.range_tags(NOW.date(), NOW.date())


def test_the_workspace_names_the_location_as_the_supervisor_does() -> None:
    (location,) = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"]
    assert location["python_module"]["location_name"] == LOCATION
    assert location["python_module"]["module_name"] == DEFINITIONS


def test_the_instance_is_silent_and_runs_one_thing_at_a_time(dagster_home: Path) -> None:
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        assert instance.telemetry_enabled is False
        assert instance.nux_enabled is False
        assert instance.run_monitoring_enabled is True
        assert instance.run_monitoring_max_runtime_seconds == 4 * 3_600
        assert not instance.run_launcher.supports_check_run_worker_health, "else the sensor abandoned_runs can go"
        assert instance.run_retries_enabled is False
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1


def test_importing_the_definitions_opens_nothing_and_needs_no_settings() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import dagster_project.definitions"],
        cwd=REPOSITORY, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
