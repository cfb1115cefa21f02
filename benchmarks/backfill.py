"""A backfill of 180 days through Dagster, and what of its time is Dagster's: `python -m benchmarks.backfill`.

Ten million events of the last 180 days in an embedded Postgres; code server, web server and daemon as `up` runs them;
one backfill of all assets launched through the UI's interface. Then the same days once more with `./tidemark backfill`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.rollups import generate, machine, say
from cli.child_process import Child, ChildProcess
from cli.dagster_processes import (
    code_server,
    daemon,
    dagster_environment,
    prepare_instance,
    webserver,
    write_workspace,
)
from cli.database import ready_database
from cli.ports import free_port
from pipeline.clock import day_start
from pipeline.database import connect
from pipeline.rollups.jobs import MAXIMUM_WINDOW_DAYS
from pipeline.settings import REPOSITORY, Settings

LIMIT_SECONDS = 4 * 3_600
POLL_SECONDS = 1.0
LAUNCH = """
mutation ($days: [String!]!, $assets: [AssetKeyInput!]!) {
  launchPartitionBackfill(backfillParams: {partitionNames: $days, assetSelection: $assets}) {
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }
"""


def main(arguments: Sequence[str]) -> None:
    """Measure one backfill and print where its time went; exits 1 when a run failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=MAXIMUM_WINDOW_DAYS)
    parser.add_argument("--home", type=Path, help="keep the deployment in this folder; it must be of today")
    options = parser.parse_args(arguments)
    print(machine())
    with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
        Path(folder).chmod(0o755)
        measured = measure(options.events, options.days, options.home or Path(folder))
    print(f"\n{options.events:,} events of {options.days} days, in {measured['runs']} runs: {measured['status']}\n")
    print("| | seconds |\n|---|---|")
    for name, seconds in measured["seconds"].items():
        print(f"| {name} | {seconds:.1f} |")
    if measured["status"] != "COMPLETED_SUCCESS":
        sys.exit(1)


def measure(events: int, days: int, home: Path) -> dict[str, Any]:
    """Fill a deployment, run the backfill in it, and return where its seconds went."""
    settings = Settings(home=home)
    home.mkdir(parents=True, exist_ok=True)
    today = datetime.now(UTC).date()
    first = today - timedelta(days=days - 1)
    with ready_database(settings) as database_url:
        started = time.monotonic()
        generate(database_url, events, day_start(first), days)
        say(f"{events:,} events generated in {time.monotonic() - started:.0f} s")
        environment = {
            **os.environ, **dagster_environment(settings), "DATABASE_URL": database_url, "TIDEMARK_HOME": str(home),
            "TIDEMARK_REFRESH_MINUTES": "0",
        }  # fmt: skip
        prepare_instance(settings)
        keys = [(first + timedelta(days=number)).isoformat() for number in range(days)]
        with dagster(environment, home) as port:
            total, status = backfill(port, keys)
        work = rollup_seconds(database_url)
        found = {"status": status, **times(settings, total, work)}
        started = time.monotonic()
        command = [sys.executable, "-m", "cli", "backfill", "--from", keys[0], "--to", keys[-1]]
        subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, check=True)
        found["seconds"]["for comparison: ./tidemark backfill of the same days"] = time.monotonic() - started
    return found


@contextmanager
def dagster(environment: Mapping[str, str], home: Path) -> Iterator[int]:
    """Run Dagster's three processes for the block; yields the port of its UI."""
    server_port, ui_port = free_port(), free_port()
    workspace = home / "workspace.yaml"
    write_workspace(workspace, server_port)
    with ExitStack() as stack:
        for child in (
            code_server(environment, server_port),
            webserver(environment, workspace, ui_port),
            daemon(environment, workspace),
        ):
            process = ChildProcess(child, home / "logs" / f"{child.name}.log")
            stack.callback(stop, process)
            wait_until_ready(child, process)
        yield ui_port


def wait_until_ready(child: Child, process: ChildProcess) -> None:
    """Return once a child answers."""
    while not child.is_ready():
        if process.exit_code() is not None:
            sys.exit(f"{child.name} ended")
        time.sleep(0.1)


def stop(process: ChildProcess) -> None:
    """Ask a child to end, and end it when it does not."""
    process.terminate()
    deadline = time.monotonic() + process.child.stop_seconds
    while process.exit_code() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()


def backfill(port: int, keys: Sequence[str]) -> tuple[float, str]:
    """Launch the backfill and wait for its end; returns seconds and status."""
    from dagster_project.assets import COMPUTED, PUBLISHED, events  # noqa: PLC0415

    assets = [{"path": list(asset.key.path)} for asset in (events, *COMPUTED, *PUBLISHED)]
    started = time.monotonic()
    launched = graphql(port, LAUNCH, {"days": list(keys), "assets": assets})["launchPartitionBackfill"]
    if "backfillId" not in launched:
        sys.exit(f"the backfill was not launched: {launched}")
    while time.monotonic() - started < LIMIT_SECONDS:
        time.sleep(POLL_SECONDS)
        status = str(graphql(port, STATUS, {"id": launched["backfillId"]})["partitionBackfillOrError"]["status"])
        if status not in {"REQUESTED", "CANCELING", "FAILING"}:
            return time.monotonic() - started, status
    sys.exit(f"the backfill did not end within {LIMIT_SECONDS} s")


def rollup_seconds(database_url: str) -> float:
    """Return the seconds of computing and publishing that all runs recorded."""
    with connect(database_url) as connection:
        row = connection.execute("SELECT coalesce(sum(seconds), 0) FROM rollup_runs").fetchone()
    return 0.0 if row is None else float(row[0])


def times(settings: Settings, total: float, rollups: float) -> dict[str, Any]:
    """Divide a backfill's seconds by what they were spent on."""
    import dagster as dg  # noqa: PLC0415

    exports = checks = running = 0.0
    os.environ.update(dagster_environment(settings))  # the instance's settings name it
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        records = instance.get_run_records()
        for record in records:
            running += (record.end_time or 0.0) - (record.start_time or 0.0)
            for step in instance.get_run_step_stats(record.dagster_run.run_id):
                seconds = (step.end_time or 0.0) - (step.start_time or 0.0)
                checks += seconds if step.step_key.endswith(("_is_fresh", "_its_rules", "_matches_postgres")) else 0.0
        for exported in instance.fetch_materializations(dg.AssetKey("events"), limit=1_000).records:
            metadata = {} if exported.asset_materialization is None else exported.asset_materialization.metadata
            if "seconds" in metadata:
                exports = max(exports, float(str(metadata["seconds"].value)))
    return {
        "runs": len(records),
        "seconds": {
            "total, from the launch to the end": total,
            "compute: the export of all events": exports,
            "compute: rollups, with publication": rollups,
            "compute: checks, with the audit of the lake": checks,
            "bookkeeping within runs": running - exports - rollups - checks,
            "bookkeeping between runs: queue, start of processes, the daemon's turns": total - running,
        },
    }


def graphql(port: int, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the web server and return the data of its answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    if "errors" in answer:
        sys.exit(f"the web server refused: {answer['errors']}")
    data: dict[str, Any] = answer["data"]
    return data


if __name__ == "__main__":
    main(sys.argv[1:])
