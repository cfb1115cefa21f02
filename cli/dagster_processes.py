"""The three Dagster processes of a running system, and the instance folder they share.

The code server loads `dagster_project` once and serves it to the other two over gRPC: less memory and a faster start
than each of them loading it. Nothing is sent anywhere: telemetry is off in the instance's settings and here.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from cli.child_process import Child
from cli.ports import answers
from pipeline.settings import REPOSITORY, Settings

INSTANCE = REPOSITORY / "dagster_project" / "instance" / "dagster.yaml"
DEFINITIONS = "dagster_project.definitions"
LOCATION = "tidemark"
RANGE_JOB = "recompute"
HOST = "127.0.0.1"  # the UI and the code server have no sign-in
WEBSERVER_ANSWER_SECONDS = 2


def dagster_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that any Dagster process of this installation needs, beside those of the settings."""
    return {"DAGSTER_HOME": str(settings.dagster_home), "DAGSTER_DISABLE_TELEMETRY": "1"}


def prepare_instance(settings: Settings) -> None:
    """Make DAGSTER_HOME with the instance settings of this version of Tidemark. Idempotent."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    fresh = settings.dagster_home / f"dagster.yaml.{os.getpid()}"
    shutil.copyfile(INSTANCE, fresh)
    fresh.replace(settings.dagster_home / "dagster.yaml")


def code_server(environment: Mapping[str, str], port: int) -> Child:
    """Return the process that loads the assets and starts their runs, listening on `port`."""
    return Child(
        "dagster-code-server",
        (
            *(sys.executable, "-m", "dagster", "code-server", "start"),
            *("--module-name", DEFINITIONS, "--working-directory", str(REPOSITORY)),
            *("--host", HOST, "--port", str(port), "--location-name", LOCATION),
            *("--use-python-environment-entry-point", "--log-format", "json"),
        ),
        environment,
        REPOSITORY,
        is_ready=lambda: answers(HOST, port),
    )


def webserver(environment: Mapping[str, str], workspace: Path, port: int) -> Child:
    """Return the Dagster UI."""
    return Child(
        "dagster-webserver",
        (
            *(sys.executable, "-m", "dagster_webserver", "--workspace", str(workspace)),
            *("--host", HOST, "--port", str(port), "--log-format", "json"),
        ),
        environment,
        REPOSITORY,
        is_ready=lambda: _ui_answers(port),
    )


def daemon(environment: Mapping[str, str], workspace: Path) -> Child:
    """Return the process that runs schedules, sensors and backfills."""
    return Child(
        "dagster-daemon",
        (sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(workspace), "--log-format", "json"),
        environment,
        REPOSITORY,
    )


def range_tags(first: date, last: date) -> dict[str, str]:
    """Return the tags by which one run of RANGE_JOB materializes the UTC days from `first` to `last`."""
    return {
        "dagster/asset_partition_range_start": first.isoformat(),
        "dagster/asset_partition_range_end": last.isoformat(),
    }


def write_workspace(path: Path, code_server_port: int) -> None:
    """Write the workspace file that sends the webserver and the daemon to our code server."""
    server = {"host": HOST, "port": code_server_port, "location_name": LOCATION}
    path.write_text(json.dumps({"load_from": [{"grpc_server": server}]}, indent=2) + "\n")  # JSON is YAML


def _ui_answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/server_info", timeout=WEBSERVER_ANSWER_SECONDS) as response:
            return bool(response.status == 200)
    except OSError:
        return False
