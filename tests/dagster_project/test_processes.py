"""The real processes: one run from the command line, and a backfill through the UI's server and the daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import psycopg
import pytest

from cli.child_process import Child, ChildProcess
from cli.dagster_processes import code_server, daemon, webserver, write_workspace
from cli.ports import free_port
from pipeline.event_store import store
from pipeline.settings import REPOSITORY
from tests.makers import event_rows

DEADLINE_SECONDS = 240
VOLUME = "SELECT sum(value)::int FROM daily_metric_rollups WHERE metric_name = 'event_volume_by_name'"

LAUNCH_BACKFILL = """
mutation ($days: [String!]!, $assets: [AssetKeyInput!]!) {
  launchPartitionBackfill(backfillParams: {partitionNames: $days, assetSelection: $assets}) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
BACKFILL = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill { status runs { id } }
  }
}
"""


@pytest.fixture
def environment(database_url: str, dagster_home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "TIDEMARK_HOME": str(dagster_home.parent),
        "DAGSTER_HOME": str(dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


@pytest.fixture
def days(connection: psycopg.Connection) -> list[date]:
    """The last five days, today included, with 400 events."""
    now = datetime.now(UTC)
    today = now.date()
    rows = event_rows(400, days=4, end=now)
    store(connection, rows)
    return [today - timedelta(days=number) for number in reversed(range(5))]


def volume(connection: psycopg.Connection) -> int | None:
    row = connection.execute(VOLUME).fetchone()
    return None if row is None else row[0]


def test_a_range_from_the_command_line_is_one_run(
    connection: psycopg.Connection, environment: Mapping[str, str], days: list[date]
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "dagster", "asset", "materialize", "--select", "*"),
            *("--partition-range", f"{days[0]}...{days[-1]}", "-m", "dagster_project.definitions"),
        ],
        cwd=REPOSITORY, env=dict(environment), capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert volume(connection) == 400
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        assert run.is_success
        assert run.tags["dagster/asset_partition_range_start"] == days[0].isoformat()
        assert instance.get_materialized_partitions(dg.AssetKey("funnel_rollups")) == {day.isoformat() for day in days}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_backfill_through_the_ui_is_one_run_with_its_checks(
    connection: psycopg.Connection, environment: Mapping[str, str], days: list[date], tmp_path: Path
) -> None:
    server_port, ui_port = free_port(), free_port()
    workspace = tmp_path / "workspace.yaml"
    write_workspace(workspace, server_port)
    logs = tmp_path / "logs"
    with (
        running(code_server(environment, server_port), logs),
        running(webserver(environment, workspace, ui_port), logs),
        running(daemon(environment, workspace), logs),
    ):
        assets = [
            "events", "daily_rollup", "experiment_rollup", "funnel_rollup",
            "daily_metric_rollups", "experiment_metric_rollups", "funnel_rollups",
        ]  # fmt: skip
        launched = graphql(
            ui_port,
            LAUNCH_BACKFILL,
            {"days": [day.isoformat() for day in days], "assets": [{"path": [asset]} for asset in assets]},
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched

        def backfill() -> dict[str, Any]:
            found: dict[str, Any] = graphql(ui_port, BACKFILL, {"id": launched["backfillId"]})
            return dict(found["partitionBackfillOrError"])

        wait_until(lambda: backfill()["status"] != "REQUESTED", "the backfill to end")
        assert backfill()["status"] == "COMPLETED_SUCCESS", backfill()
        (run,) = backfill()["runs"]
    assert volume(connection) == 400
    with dg.DagsterInstance.get() as instance:
        checks = instance.get_records_for_run(run["id"], of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
        assert len(checks) == 7
    left = [process for process in psutil.process_iter(["environ"]) if belongs(process, environment["DAGSTER_HOME"])]
    assert left == []


@contextmanager
def running(child: Child, logs: Path) -> Iterator[ChildProcess]:
    """Run a child until the block ends; it has to stop by itself when asked to."""
    log = logs / f"{child.name}.log"
    with ExitStack() as stack:
        process = ChildProcess(child, log)
        stack.callback(process.kill)
        wait_until(lambda: process.exit_code() is not None or child.is_ready(), f"{child.name} to be ready")
        assert process.exit_code() is None, log.read_text()
        yield process
        process.terminate()
        wait_until(lambda: process.exit_code() is not None, f"{child.name} to stop")


def graphql(port: int, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for {what}"
        time.sleep(0.1)


def belongs(process: psutil.Process, dagster_home: str) -> bool:
    environ = process.info["environ"] or {}
    return environ.get("DAGSTER_HOME") == dagster_home and process.pid != os.getpid()
