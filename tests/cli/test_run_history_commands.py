"""`runs`, `verify` and `explain` as processes: JSON on stdout, one line per problem, exit codes."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path

import psycopg

from cli.run_history_commands import RunName
from pipeline.ingestion.event_store import store
from pipeline.rollups.jobs import REFRESH_JOBS, job_named
from tests.cli.test_rollup_commands import AS_OF, answer, tidemark
from tests.makers import NOW, event_rows


def test_the_runs_of_every_job_can_be_chosen() -> None:
    assert [name.value for name in RunName] == [job_named(name).run_name for name in REFRESH_JOBS]


def test_a_number_is_explained_and_its_run_verified(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    store(connection, event_rows(50, days=2, end=NOW))
    rolled_up = answer(tidemark(tmp_path, database_url, "rollup", "--window-days", "3", "--as-of", AS_OF))
    listed = answer(tidemark(tmp_path, database_url, "runs", "--job", "daily_metrics_rollup"))["runs"]
    assert [(run["run_id"], run["job_name"]) for run in listed] == [
        (rolled_up["jobs"][0]["run_id"], "daily_metrics_rollup")
    ]

    found = answer(tidemark(tmp_path, database_url, "explain", "dau", "2026-02-18"))
    assert found["run"]["run_id"] == listed[0]["run_id"]
    line = subprocess.run(
        ["bash", "-c", found["reproduce"]], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert float(line.stdout) == found["value"] > 0

    verified = answer(tidemark(tmp_path, database_url, "verify", found["run"]["run_id"]))
    assert (verified["ok"], verified["verdict"], verified["problems"]) == (True, "verified", [])
    file = next((tmp_path / "lake" / "events").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    done = tidemark(tmp_path, database_url, "verify", found["run"]["run_id"])
    assert done.returncode == 1
    assert json.loads(done.stdout)["files"]["changed"] == [str(file.relative_to(tmp_path / "lake"))]
    assert f"{file.name} is not the file that was read" in done.stderr


def test_wrong_usage_and_unknown_runs_are_told_apart(database_url: str, tmp_path: Path) -> None:
    for arguments, code, text in (
        (("verify", "x"), 2, "is not the id of a run"),
        (("verify", str(uuid.UUID(int=1))), 1, "there is no run"),
        (("explain", "dauu", "2026-02-18"), 2, "no metric is called"),
        (("explain", "dau", "2026-02-18"), 1, "nothing is published for dau"),
    ):
        done = tidemark(tmp_path, database_url, *arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert text in " ".join(done.stderr.replace("│", " ").split())
