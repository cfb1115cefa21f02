"""`erase` beside a running API: afterwards no file of the installation, Postgres' own included, has the id's bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from cli.database import ready_database
from pipeline.clock import iso_millis, utc_now
from pipeline.refresh.run import refresh
from pipeline.settings import REPOSITORY, Settings
from tests.api.servers import NO_TLS, server_process
from tests.makers import add_experiment
from tests.waiting import wait_until

USER = "erase-me-0f3c9a77-4c1e"
OTHER = "stays-here-11d2"


@pytest.fixture
def home() -> Iterator[Path]:
    """Directly under the system's temporary folder: pytest's own is closed to the user Postgres runs as."""
    folder = Path(tempfile.mkdtemp(prefix="tidemark-erase-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def run(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    unset = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "-m", "cli", "erase", *arguments], cwd=REPOSITORY, capture_output=True, text=True,
        env={**unset, "TIDEMARK_HOME": str(home), **environment}, check=False, timeout=300,
    )  # fmt: skip


def files_with(text: str, home: Path) -> list[str]:
    found = subprocess.run(["grep", "-rlaF", text, str(home)], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


def events(user: str, count: int, at: datetime) -> dict[str, Any]:
    sent = [
        {
            "event_id": str(uuid.uuid4()), "event_name": "app_opened",
            "occurred_at": iso_millis(at - timedelta(minutes=n)), "properties": {"of": user},
        }
        for n in range(count)
    ]  # fmt: skip
    return {"anonymous_user_id": user, "events": [*sent, {"event_name": "", "occurred_at": "never"}]}


def live(url: str, user: str) -> None:
    """Have a user leave traces through the API: events, refused events, assignments, visits and unknown paths."""
    with httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        for hours in (1, 30):
            answer = client.post("/v1/events", json=events(user, 20, utc_now() - timedelta(hours=hours)))
            assert answer.status_code == 200, answer.text
        assert client.post("/event", json={
            "site_id": "shop", "event_type": "page_view", "path": f"/of/{user}", "user_id": user,
        }).status_code == 202  # fmt: skip
        client.get(f"/v1/users/{user}/nothing")
        assert client.post("/v1/assignment", json={"anonymous_user_id": user}).status_code == 200


@pytest.mark.slow
def test_grep_finds_nothing_afterwards(home: Path) -> None:
    settings = Settings(home=home)
    log = home / "logs" / "api.log"
    log.parent.mkdir()
    with ready_database(settings) as url, psycopg.connect(url, autocommit=True) as connection:
        add_experiment(connection, "exp", {"a": 1})
        environment_log = home / "api.log"
        with server_process(url, environment_log) as (api, _):
            live(api, USER)
            live(api, OTHER)
            wait_until(lambda: connection.execute("SELECT count(*) FROM event_logs").fetchone() == (82,))
            refresh(settings, url, utc_now())
            connection.execute("ANALYZE")
            connection.execute("CHECKPOINT")
            log.write_text(f"an id in a log: {USER}.\n")
            assert len(files_with(USER, home)) > 4

            done = run(home, "--tenant", "default", "--user", USER, "--yes")

            assert done.returncode == 0, done.stderr
            assert USER not in done.stdout + done.stderr
            certificate = json.loads(done.stdout)
            assert certificate["ok"]
            assert certificate["removed"]["event_logs"] == 41
            assert certificate["removed"]["dead_letters"] == 2
            assert certificate["removed"]["assignments"] == 1
            assert "the bytes of every file" in " ".join(certificate["searched"])
            assert files_with(USER, home) == []
            assert files_with(OTHER, home) != []
            assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (41,)
            assert httpx.get(f"{api}/ready", timeout=30, verify=NO_TLS).json()["ready"]
            live(api, OTHER)  # everything goes on
    assert files_with(USER, home) == []
    assert log.read_text() == f"an id in a log: {'*' * len(USER)}.\n"


def test_a_dry_run_counts_and_changes_nothing(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    connection.execute(
        "INSERT INTO assignments (anonymous_user_id, experiment_id, variant_id) VALUES (%s, 'e', 'v')", [USER]
    )
    done = run(tmp_path, "--tenant", "default", "--user", USER, "--dry-run", DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["found"]["assignments"] == 1
    assert connection.execute("SELECT count(*) FROM assignments").fetchone() == (1,)


def test_nothing_happens_without_a_yes_or_a_database(tmp_path: Path, database_url: str) -> None:
    asked = run(tmp_path, "--tenant", "default", "--user", USER, DATABASE_URL=database_url)
    assert asked.returncode != 0
    away = run(tmp_path, "--tenant", "default", "--user", USER, "--yes", DATABASE_URL="postgresql://u:p@127.0.0.1:9/d")
    assert away.returncode == 1
    assert "Connection refused" in away.stderr
    assert not (tmp_path / "erasures").exists()
