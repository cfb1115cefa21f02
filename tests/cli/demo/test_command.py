"""`demo --once` from end to end, with its report held against what is in Postgres and in the lake."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest

from cli.demo.experiments import read_experiments
from cli.demo.folder import DemoFolder
from cli.demo.report import Report, read_report
from cli.demo.simulation import simulate
from cli.ports import free_port
from pipeline.ingestion.event_store import store
from pipeline.lake.table import Lake
from pipeline.settings import REPOSITORY, Settings
from tests.cli.demo.worlds import arrived
from tests.makers import event_row
from tests.waiting import wait_until

SMALL = ("--users", "60", "--days", "5")


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> Mapping[str, str]:
    return {
        **os.environ,
        "TIDEMARK_HOME": str(tmp_path / "a home"),
        "DATABASE_URL": database_url,
        "PORT": str(free_port()),
        "DAGSTER_PORT": str(free_port()),
        "PYTHONPATH": str(REPOSITORY),
        "TIDEMARK_REFRESH_MINUTES": "0",  # only what the demo itself published is to be counted
    }


def demo(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", "demo", "--once", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@contextmanager
def started(environment: Mapping[str, str], said: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        said.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "cli", "demo", *SMALL], env=environment, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    wait_until(lambda: condition() or process.poll() is not None, "the demo is so far", seconds=200)
    assert process.poll() is None, "the demo ended"


def as_json(report: Report) -> str:
    return json.dumps(dataclasses.asdict(report), default=str)


def number(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0] or 0)


def simulated_events(home: Path) -> int:
    plan = DemoFolder(home / "demo").plan()
    assert plan is not None
    experiments = read_experiments(REPOSITORY / "tests.json", plan)
    return sum(1 for _ in arrived(list(simulate(plan, experiments.assign)), plan.now))


def own_processes(home: str) -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if f"TIDEMARK_HOME={home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    yield (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_demo_is_completed_by_the_next_with_a_true_report_and_comes_back_until_it_is_stopped(
    environment: Mapping[str, str], connection: psycopg.Connection, tmp_path: Path
) -> None:
    home = Path(environment["TIDEMARK_HOME"])
    with started(environment, tmp_path / "first") as first:
        wait_for(first, lambda: number(connection, "SELECT count(*) FROM event_logs") > 0)
        first.kill()
    assert not DemoFolder(home / "demo").is_done()

    done = demo(environment, *SMALL)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert report["already_there"] is False
    check_report(report, connection, home)
    assert report["sent"]["differing"] == 0
    assert report["sent"]["events"] == report["events"]["sent_live"] > 0
    assert list(report["seconds"]) == ["simulate", "import", "deliver", "materialize"]
    assert list(own_processes(str(home))) == []

    with started(environment, tmp_path / "again") as again:
        said = tmp_path / "again"
        wait_for(again, lambda: "Ctrl-C stops everything" in said.read_text())
        assert "The demo is here already" in said.read_text()
        for port in (environment["PORT"], environment["DAGSTER_PORT"]):
            assert f"http://127.0.0.1:{port}" in said.read_text()
        with urlopen(f"http://127.0.0.1:{environment['PORT']}/v1/metrics/summary", timeout=10) as answer:
            served = json.load(answer)["metrics"]
        again.send_signal(signal.SIGINT)
        assert again.wait(timeout=60) == 0, said.read_text()
    assert list(own_processes(str(home))) == []
    assert {metric["metric_name"] for metric in served} >= {"logging_rate_24h", "dau", "sessions_submitted_total"}
    plan = DemoFolder(home / "demo").plan()
    assert plan is not None
    second = json.loads(as_json(read_report(Settings(home=home), environment["DATABASE_URL"], plan)))
    kept = ("users", "seed", "first_day", "last_day", "events", "lake", "published_rows", "day_before", "variants")
    assert {name: second[name] for name in kept} == {name: report[name] for name in kept}

    other = demo(environment, "--users", "61")
    assert other.returncode == 1
    assert "already has a demo with --users 60" in other.stderr


def check_report(report: dict[str, Any], connection: psycopg.Connection, home: Path) -> None:
    events, unique = report["events"], simulated_events(home)
    assert events["stored"] == number(connection, "SELECT count(*) FROM event_logs") == unique
    assert events["rejected"] == 0
    received = number(connection, "SELECT sum(received) FROM ingestion_ledger")
    assert received == events["stored"] + events["duplicates_avoided"]
    assert number(connection, "SELECT sum(conflict) FROM ingestion_ledger") == 0
    snapshot = Lake(home / "lake").snapshot()
    assert snapshot is not None
    assert report["lake"]["rows"] == sum(file.rows for file in snapshot.files) == unique
    for table, rows in report["published_rows"].items():
        assert rows == number(connection, f"SELECT count(*) FROM {table} WHERE tenant_id = 'default'") > 0, table
    assert number(connection, "SELECT count(DISTINCT day) FROM daily_metric_rollups") == 5
    yesterday = f"(SELECT '{report['last_day']}'::date - 1)"
    assert report["day_before"]["dau"] == number(
        connection,
        "SELECT count(DISTINCT anonymous_user_id) FROM event_logs"
        f" WHERE (occurred_at AT TIME ZONE 'UTC')::date = {yesterday}",
    )
    for variant in report["variants"]:
        assert variant["users_assigned"] == number(
            connection,
            f"SELECT count(*) FROM assignments WHERE experiment_id = '{variant['experiment_id']}'"
            f" AND variant_id = '{variant['variant_id']}'",
        )
    assert len(report["variants"]) == 5
    cohorts = Counter[str]()
    for variant in report["variants"]:
        cohorts[variant["experiment_id"]] += variant["cohort_size"]
    complete = number(
        connection,
        "SELECT count(*) FROM (SELECT min(occurred_at) AS first_seen FROM event_logs"
        " INNER JOIN (SELECT DISTINCT anonymous_user_id FROM assignments) AS assigned USING (anonymous_user_id)"
        f" GROUP BY anonymous_user_id) AS users WHERE first_seen < '{report['last_day']} 00:00Z'::timestamptz"
        " - interval '1 day'",
    )
    assert set(cohorts.values()) == {complete}


def test_a_database_with_other_data_is_refused(environment: Mapping[str, str], connection: psycopg.Connection) -> None:
    store(connection, [event_row(occurred_at=event_row().occurred_at - timedelta(days=1))])
    done = demo(environment, *SMALL)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip().splitlines()[-1].startswith("tidemark: the database already holds data that is not a")
    assert number(connection, "SELECT count(*) FROM event_logs") == 1


@pytest.mark.parametrize("arguments", [["--users", "3"], ["--days", "1"], ["--seed", "-1"], ["--users", "many"]])
def test_impossible_sizes_are_wrong_usage(environment: Mapping[str, str], arguments: list[str]) -> None:
    done = demo(environment, *arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr
