"""The real processes: the guide's commands, and a backfill through the UI's server and the daemon."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import psycopg
import pytest

from cli.child_process import Child, ChildProcess
from cli.dagster_processes import (
    DEFINITIONS,
    RANGE_JOB,
    code_server,
    daemon,
    range_tags,
    webserver,
    write_workspace,
)
from cli.ports import free_port
from dagster_project.checks import CHECKS as ALL_CHECKS
from dagster_project.definitions import ASSETS
from pipeline.ingestion.event_store import store
from pipeline.settings import REPOSITORY
from tests.makers import event_row, event_rows
from tests.waiting import wait_until

DEADLINE_SECONDS = 240
ASSET_NAMES = [asset.key.to_user_string() for asset in ASSETS]
CHECKED = len(ALL_CHECKS)
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

CHECKS = """
{
  assetNodes {
    assetKey { path }
    assetChecksOrError {
      ... on AssetChecks { checks { executionForLatestMaterialization { status } partitionStatuses { __typename } } }
    }
  }
}
"""

AUTOMATION = """
{
  repositoriesOrError {
    ... on RepositoryConnection {
      nodes { schedules { name state: scheduleState { status } } sensors { name state: sensorState { status } } }
    }
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


def test_the_guide_s_commands_materialize_a_day_and_a_range_in_one_run_each(
    connection: psycopg.Connection, environment: Mapping[str, str], days: list[date]
) -> None:
    variables, materialize, _ = guide_commands()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{variables}\n{materialize}"],
        cwd=REPOSITORY, env=dict(environment), capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    today = days[-1]
    month = {today.replace(day=number).isoformat() for number in range(1, today.day + 1)}
    published = connection.execute("SELECT DISTINCT day::text FROM funnel_rollups").fetchall()
    assert {day for (day,) in published} == month
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs()
        assert [run.is_success for run in runs] == [True, True]
        assert instance.get_materialized_partitions(dg.AssetKey("funnel_rollups")) == month


@pytest.mark.slow
def test_the_guide_s_development_server_loads_the_assets(environment: Mapping[str, str], tmp_path: Path) -> None:
    port = free_port()
    command = (*shlex.split(guide_commands()[2]), "--host", "127.0.0.1", "--port", str(port))
    child = Child("dagster-dev", command, environment, REPOSITORY, is_ready=lambda: server_answers(port))
    with running(child, tmp_path):
        found = graphql(port, "{ assetNodes { assetKey { path } repository { location { name } } } }", {})["assetNodes"]
        assert {node["assetKey"]["path"][0] for node in found} >= set(ASSET_NAMES)
        assert {node["repository"]["location"]["name"] for node in found} == {"tidemark"}
        (repository,) = graphql(port, AUTOMATION, {})["repositoriesOrError"]["nodes"]
        states = {
            instigator["name"]: instigator["state"]["status"]
            for instigator in [*repository["schedules"], *repository["sensors"]]
        }
        started = {"nightly", "refresh_due", "late_days", "abandoned_runs"}
        assert started <= {name for name, status in states.items() if status == "RUNNING"}
    wait_until(lambda: not processes_of(environment), "its processes have ended", DEADLINE_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_backfill_behind_a_killed_run_is_one_run_with_its_checks_and_late_events_follow(
    connection: psycopg.Connection, environment: Mapping[str, str], days: list[date], tmp_path: Path
) -> None:
    environment = {**environment, "TIDEMARK_REFRESH_MINUTES": "1"}
    killed = killed_run(environment, days)
    server_port, ui_port = free_port(), free_port()
    workspace = tmp_path / "workspace.yaml"
    write_workspace(workspace, server_port)
    logs = tmp_path / "logs"
    with (
        running(code_server(environment, server_port), logs),
        running(webserver(environment, workspace, ui_port), logs),
        running(daemon(environment, workspace), logs),
    ):
        launched = graphql(
            ui_port,
            LAUNCH_BACKFILL,
            {"days": [day.isoformat() for day in days], "assets": [{"path": [asset]} for asset in ASSET_NAMES]},
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched

        def backfill() -> dict[str, Any]:
            found: dict[str, Any] = graphql(ui_port, BACKFILL, {"id": launched["backfillId"]})
            return dict(found["partitionBackfillOrError"])

        wait_until(lambda: backfill()["status"] != "REQUESTED", seconds=DEADLINE_SECONDS)
        assert backfill()["status"] == "COMPLETED_SUCCESS", backfill()
        (run,) = backfill()["runs"]
        assert volume(connection) == 400
        shown = graphql(ui_port, CHECKS, {})["assetNodes"]
        checks = [check for node in shown for check in node["assetChecksOrError"]["checks"]]
        assert [check["executionForLatestMaterialization"] for check in checks] == [{"status": "SUCCEEDED"}] * CHECKED
        assert [check["partitionStatuses"] for check in checks] == [None] * CHECKED

        late = datetime.now(UTC) - timedelta(days=6)
        store(connection, [event_row(occurred_at=late, received_at=datetime.now(UTC))])
        wait_until(lambda: volume(connection) == 401, seconds=DEADLINE_SECONDS)
    with dg.DagsterInstance.get() as instance:
        abandoned = instance.get_run_by_id(killed)
        assert abandoned is not None and abandoned.status == dg.DagsterRunStatus.FAILURE
        checks = instance.get_records_for_run(run["id"], of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
        assert len(checks) == CHECKED
    wait_until(lambda: not processes_of(environment), "its processes have ended", DEADLINE_SECONDS)


def killed_run(environment: Mapping[str, str], days: list[date]) -> str:
    """The id of a run whose process was killed while it ran, started without a code server that would notice."""
    command = (
        *(sys.executable, "-m", "dagster", "job", "execute", "-m", DEFINITIONS, "-j", RANGE_JOB),
        *("--tags", json.dumps(range_tags(days[0], days[-1]))),
    )
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    with (
        dg.DagsterInstance.get() as instance,
        subprocess.Popen(
            command, cwd=REPOSITORY, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process,
    ):
        wait_until(lambda: instance.get_runs(started) or process.poll() is not None, seconds=DEADLINE_SECONDS)
        process.kill()
        (run,) = instance.get_runs(started)
        return run.run_id


@contextmanager
def running(child: Child, logs: Path) -> Iterator[ChildProcess]:
    """Run a child until the block ends; it has to stop by itself when asked to."""
    log = logs / f"{child.name}.log"
    with ExitStack() as stack:
        process = ChildProcess(child, log)
        stack.callback(process.kill)
        wait_until(lambda: process.exit_code() is not None or child.is_ready(), seconds=DEADLINE_SECONDS)
        assert process.exit_code() is None, log.read_text()
        yield process
        process.terminate()
        wait_until(lambda: process.exit_code() is not None, seconds=DEADLINE_SECONDS)


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


def guide_commands() -> list[str]:
    """The shell blocks of the guide, run by this interpreter in place of the launcher's own."""
    text = (REPOSITORY / "docs/guides/dagster.md").read_text(encoding="utf-8")
    python = shlex.quote(sys.executable)
    return [
        block.replace("./tidemark", f"{python} -m cli").replace(".venv/bin/dagster", f"{python} -m dagster")
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]


def server_answers(port: int) -> bool:
    try:
        return bool(graphql(port, "{ workspaceOrError { __typename } }", {}))
    except OSError:
        return False


def processes_of(environment: Mapping[str, str]) -> list[psutil.Process]:
    """Processes that still work for this DAGSTER_HOME, except this one."""
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("DAGSTER_HOME") == environment["DAGSTER_HOME"]
        and process.pid != os.getpid()
    ]
