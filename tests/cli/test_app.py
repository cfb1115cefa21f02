"""The command line frame: help, versions, exit codes, and one clear line for each failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import adbc_driver_manager
import psycopg
import pytest

from cli.app import explain
from pipeline.settings import REPOSITORY


def tidemark(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        cwd="/", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_help_names_every_command() -> None:
    done = tidemark("--help")
    assert done.returncode == 0
    for command in (
        "up", "demo", "serve", "migrate", "seed", "db", "export", "rollup", "backfill", "check", "import", "test",
    ):  # fmt: skip
        assert f"\n  {command} " in done.stdout


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom cli.app import create_app\ncreate_app()\nheavy = {'dagster', 'duckdb', 'polars', 'pyarrow',"
        " 'fastapi', 'deltalake', 'adbc_driver_manager'}\nprint(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_version_is_that_of_the_project() -> None:
    assert tidemark("--version").stdout == "tidemark 0.1.0\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["up", "--nonsense"], ["serve", "--port", "99999"], ["db", "x"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    done = tidemark(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: " in done.stderr


def test_a_wrong_setting_is_named_and_ends_with_2() -> None:
    done = tidemark("db", "status", PORT="seventy")
    assert done.returncode == 2
    assert done.stderr.startswith("tidemark: PORT: ")
    assert done.stderr.count("\n") == 1


def test_a_failure_is_one_line_and_ends_with_1() -> None:
    done = tidemark("migrate", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/d")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("tidemark: DATABASE_URL postgresql://u:***@127.0.0.1:1/d: ")
    assert done.stderr.count("\n") == 1


def test_a_traceback_is_shown_to_those_who_ask() -> None:
    done = tidemark("migrate", DATABASE_URL="mysql://h/d", TIDEMARK_DEBUG="1")
    assert "Traceback" in done.stderr


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = tidemark("db", "start", TIDEMARK_HOME=str(tmp_path / "file" / "home"), DATABASE_URL="")
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


def test_migrate_and_seed_print_json_and_may_run_again(database_url: str) -> None:
    assert json.loads(tidemark("migrate", DATABASE_URL=database_url).stdout) == {"ok": True, "applied": []}
    for _ in range(2):
        seeded = tidemark("seed", DATABASE_URL=database_url)
        assert json.loads(seeded.stdout)["ok"] is True, seeded.stderr
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM experiments").fetchone()
    assert row is not None
    assert row[0] > 0


def test_db_commands_leave_an_external_server_alone(database_url: str) -> None:
    assert tidemark("db", "url", DATABASE_URL=database_url).stdout.strip() == database_url
    status = json.loads(tidemark("db", "status", DATABASE_URL=database_url).stdout)
    assert status["kind"] == "external"
    assert "***" in status["url"]
    stop = tidemark("db", "stop", DATABASE_URL=database_url)
    assert stop.returncode == 1
    assert "DATABASE_URL is set" in stop.stderr


def test_db_start_stop_and_status(open_folder: Path) -> None:
    environment = {"TIDEMARK_HOME": str(open_folder), "DATABASE_URL": ""}
    before = json.loads(tidemark("db", "status", **environment).stdout)
    assert (before["kind"], before["running"]) == ("embedded", False)
    assert list(open_folder.iterdir()) == [], "asking changes nothing"
    refused = tidemark("db", "url", **environment)
    assert refused.returncode == 1
    assert "`tidemark db start` starts it" in refused.stderr
    try:
        started = json.loads(tidemark("db", "start", **environment).stdout)
        assert (started["running"], started["kept"]) == (True, True)
        url = tidemark("db", "url", **environment).stdout.strip()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (0,)
    finally:
        stopped = json.loads(tidemark("db", "stop", **environment).stdout)
    assert (stopped["running"], stopped["kept"]) == (False, False)


def test_test_hands_its_arguments_to_pytest() -> None:
    done = tidemark("test", "--collect-only", "-q", "-k", "nothing_is_called_so", "tests/cli/test_app.py")
    assert done.returncode == 5, "pytest's code for: no test was chosen"
    assert "deselected" in done.stdout
    assert "handed to pytest" in tidemark("test", "--help").stdout


def test_errors_of_either_driver_are_the_database_s() -> None:
    for error in (
        psycopg.OperationalError("no\nspace"),
        adbc_driver_manager.OperationalError("no\nspace", status_code=10),
    ):
        assert explain(error) == "the database refused: no; space"


def test_errors_of_files_say_what_to_do() -> None:
    assert explain(OSError(28, "No space left on device", "/data/x")) == (
        "the disk is full (/data/x); free space, or set TIDEMARK_HOME to a folder on another disk"
    )
    assert "run as its owner" in explain(PermissionError(13, "Permission denied", "/data/x"))
    assert explain(ValueError("odd\nthing")).startswith("unexpected ValueError: odd; thing")
