"""`refresh` and `check equality` as processes: JSON on stdout, and exit code 1 when a published number is another."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg

from pipeline.ingestion.event_store import store
from tests.cli.test_rollup_commands import AS_OF, answer, tidemark
from tests.makers import NOW, event_rows


def test_a_refresh_says_what_it_did_and_equality_finds_a_number_that_was_changed(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    store(connection, event_rows(60, days=2, end=NOW))
    refreshed = answer(tidemark(tmp_path, database_url, "refresh", "--as-of", AS_OF))
    assert refreshed.keys() == {"ok", "exported_rows", "lake_version", "state_rebuilt", "jobs", "seconds"}
    assert (refreshed["ok"], refreshed["exported_rows"], refreshed["state_rebuilt"]) == (True, 60, "there is none")
    assert [(job["job_name"], len(job["days"])) for job in refreshed["jobs"]] == [
        ("daily_metrics_rollup", 180), ("experiment_metrics_rollup", 180), ("funnel_rollup", 180),
        ("funnel_cohort_rollup", 180), ("retention_rollup", 180),
    ]  # fmt: skip
    assert answer(tidemark(tmp_path, database_url, "refresh", "--as-of", AS_OF))["jobs"] == []

    (check,) = answer(tidemark(tmp_path, database_url, "check", "equality"))["checks"]
    assert (check["name"], check["ok"], check["problems"]) == ("equality", True, [])
    connection.execute(
        "UPDATE daily_metric_rollups SET value = value + 1 WHERE metric_name = 'dau' AND day = %s", [NOW]
    )
    found = tidemark(tmp_path, database_url, "check", "equality")
    assert found.returncode == 1
    (problem,) = json.loads(found.stdout)["checks"][0]["problems"]
    assert problem.startswith("daily: default/2026-02-19/dau/overall was published as")
