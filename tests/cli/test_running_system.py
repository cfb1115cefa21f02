"""The real thing: `up` and `serve` as processes, with everything they start, and what is left afterwards: nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from cli.embedded_postgres import EmbeddedPostgres
from cli.ports import PortError, check_port, free_port
from pipeline.settings import REPOSITORY
from tests.cli.processes import marked_processes
from tests.waiting import wait_until

READY = "Ctrl-C stops"


@dataclass
class Home:
    """A home with ports of its own, and the commands started in it."""

    folder: Path
    port: int = field(default_factory=free_port)
    dagster_port: int = field(default_factory=free_port)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DASHBOARD_TOKEN")},
            "PYTHONPATH": str(REPOSITORY),
            "TIDEMARK_HOME": str(self.folder),
            "PORT": str(self.port),
            "DAGSTER_PORT": str(self.dagster_port),
        }

    def start(self, *arguments: str, until: str = READY, seconds: float = 150) -> subprocess.Popen[bytes]:
        """Start a command and wait until its output contains `until`."""
        log = self.folder / f"output-{len(self.started)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cli", *arguments],
                env=self.environment, cwd="/", stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        wait_until(lambda: until in log.read_text() or process.poll() is not None, f"{arguments}: {until}", seconds)
        assert process.poll() is None, log.read_text()
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "cli", *arguments],
            env=self.environment, cwd="/", capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def get(self, path: str, port: int | None = None) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}{path}", timeout=10) as answer:
            return int(answer.status)

    def postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.folder / "postgres")

    def left(self) -> list[psutil.Process]:
        """Every process that belongs to this home."""
        left = marked_processes(self.folder / "run") + marked_processes(self.folder / "run" / f"serve-{self.port}")
        server = self.postgres()
        return [*left, *([psutil.Process(server.pid)] if server.exists and server.pid else [])]


@pytest.fixture
def home(open_folder: Path) -> Iterator[Home]:
    home = Home(open_folder)
    yield home
    for process in home.started:
        if process.poll() is None:
            process.kill()
        process.wait()
    for process in marked_processes(home.folder / "run") + marked_processes(home.folder / "run" / f"serve-{home.port}"):
        process.kill()
    if home.postgres().exists:
        home.postgres().stop()


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGINT) -> int:
    process.send_signal(number)
    return process.wait(timeout=60)


def test_up_runs_everything_refuses_a_second_heals_and_leaves_nothing(home: Home) -> None:
    up = home.start("up")
    assert home.get("/health") == 200
    with urllib.request.urlopen(f"http://127.0.0.1:{home.port}/health", timeout=10) as answer:
        assert "server" not in answer.headers, "it would name uvicorn to everybody"
    assert home.get("/docs") == 200
    assert home.get("/server_info", home.dagster_port) == 200
    token = home.folder / "dashboard_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    secret = token.read_text()
    with urllib.request.urlopen(
        f"http://127.0.0.1:{home.dagster_port}/graphql?query={{version}}", timeout=10
    ) as answer:
        assert "1.13" in json.load(answer)["data"]["version"]

    second = home.run("up")
    assert second.returncode == 1
    assert "runs already with this home" in second.stderr
    assert second.stderr.count("\n") == 1

    server = home.postgres()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: _is_up(home), "Postgres and the API recovered")

    up.kill()
    up.wait()
    before = {process.pid for process in home.left()}
    up = home.start("up")
    assert home.get("/health") == 200
    assert not before & {process.pid for process in home.left()} - {home.postgres().pid}
    assert token.read_text() == secret

    assert stop(up) == 0
    assert home.left() == []


@pytest.mark.parametrize("moment", ["Starting Postgres ...", "Starting the API ...", "Starting Dagster ..."])
def test_a_stop_while_up_is_still_starting_leaves_nothing(home: Home, moment: str) -> None:
    assert stop(home.start("up", until=moment), signal.SIGTERM) == 0
    assert home.left() == []


def test_serve_with_workers_stops_with_all_of_them(home: Home) -> None:
    serve = home.start("serve", "--workers", "2")
    assert home.get("/health") == 200
    assert not (home.folder / "dashboard_token").exists(), "`serve` leaves the token unset"
    assert stop(serve, signal.SIGTERM) == 0
    assert home.left() == []


def test_serve_refuses_a_port_that_is_taken(home: Home) -> None:
    with socket.create_server(("127.0.0.1", home.port)):
        done = home.run("serve")
    assert done.returncode == 1
    assert f"port {home.port} is taken" in done.stderr
    assert "set PORT to another port" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not home.postgres().exists, "nothing slow was started"


def test_up_refuses_a_taken_dagster_port_before_anything_slow(home: Home) -> None:
    with socket.create_server(("127.0.0.1", home.dagster_port)):
        done = home.run("up")
    assert done.returncode == 1
    assert f"port {home.dagster_port} is taken" in done.stderr
    assert "set DAGSTER_PORT" in done.stderr
    assert not home.postgres().exists


def test_an_address_of_another_machine_is_refused_by_name() -> None:
    with pytest.raises(PortError, match="set TIDEMARK_HOST to an address of this machine"):
        check_port("192.0.2.1", free_port(), "PORT")


def _is_up(home: Home) -> bool:
    try:
        return home.get("/health") == 200 and home.postgres().pid is not None
    except OSError:
        return False
