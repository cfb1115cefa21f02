"""Today's phones against a real API: every event stored once, whatever is sent twice and whenever the API is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest

from cli.demo.delivery import DeliveryError, send
from cli.demo.experiments import read_experiments
from cli.demo.history import record
from cli.demo.plan import Plan
from cli.demo.simulation import Life, simulate
from cli.ports import free_port
from pipeline.clock import utc_now
from pipeline.manifest import seed
from pipeline.settings import REPOSITORY
from tests.waiting import wait_until

MANIFEST = REPOSITORY / "tests.json"


@contextmanager
def running_api(database_url: str, port: int) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--factory", "api.main:app", "--port", str(port), "--log-level", "error"],
        cwd=REPOSITORY,
        env={"DATABASE_URL": database_url, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def is_healthy(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture
def live(tmp_path: Path) -> list[Life]:
    plan = Plan(users=150, days=3, seed=5, now=utc_now())
    experiments = read_experiments(MANIFEST, plan)
    lives = list(record(plan, simulate(plan, experiments.assign), experiments.names, tmp_path, lambda _: None).live)
    # The first body goes out twice in any case, and the last one is from an app that gives its events no ids.
    senders = [life for life in lives if life.batches]
    first = senders[0].batches[0]
    senders[0] = replace(senders[0], batches=(replace(first, arrivals=first.arrivals[:1] * 2), *senders[0].batches[1:]))
    last = senders[-1].batches[-1]
    old = replace(last, app_version="1.4.1", arrivals=last.arrivals[:1] * 3)
    senders[-1] = replace(senders[-1], batches=(*senders[-1].batches[:-1], old))
    return senders + [
        life for life in lives if not life.batches
    ]  # these asked for variants; their events are on the way


def number(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0] or 0)


def test_everything_is_stored_once_and_the_variants_are_those_expected(
    database_url: str, connection: psycopg.Connection, live: list[Life]
) -> None:
    seed(database_url, MANIFEST)
    with running_api(database_url, free_port()) as url:
        wait_until(lambda: is_healthy(url), "the API answers")
        finished: list[int] = []
        sent = send(url, live, finished.append)
        again = send(url, live, lambda _: None)
    batches = [batch for life in live for batch in life.batches]
    assert finished[-1] == len(live)
    assert sent.events == again.events == sum(len(batch.events) for batch in batches) > 100
    assert sent.sent_again == sum(len(batch.events) * (len(batch.arrivals) - 1) for batch in batches) > 0
    assert (sent.rejected, sent.differing) == (0, 0)
    assert number(connection, "SELECT count(*) FROM event_logs") == sent.events
    assert number(connection, "SELECT sum(duplicate) FROM ingestion_ledger") == 2 * sent.sent_again + sent.events
    assert number(connection, "SELECT sum(conflict) FROM ingestion_ledger") == 0
    visitors = {life.person.anonymous_user_id: life.variants for life in live if life.visits}
    rows = connection.execute("SELECT anonymous_user_id, experiment_id, variant_id FROM assignments").fetchall()
    assert {(user, experiment): variant for user, experiment, variant in rows} == {
        (user, experiment): variant for user, variants in visitors.items() for experiment, variant in variants.items()
    }
    newcomers = "SELECT count(*) FROM event_logs WHERE experiment_map = '{}'"
    assert number(connection, newcomers) < sent.events / 10, "assignments come before the events they stamp"


def test_phones_wait_for_an_api_that_is_not_there_yet(database_url: str, live: list[Life]) -> None:
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, f"http://127.0.0.1:{port}", live[:8], lambda _: None)
        with running_api(database_url, port):
            assert sending.result(timeout=60).events == sum(
                len(batch.events) for life in live[:8] for batch in life.batches
            )


def test_a_refusal_ends_the_delivery_and_names_itself(database_url: str, live: list[Life]) -> None:
    broken = replace(live[0], batches=(replace(live[0].batches[0], events=()),))
    with running_api(database_url, free_port()) as url:
        wait_until(lambda: is_healthy(url), "the API answers")
        with pytest.raises(DeliveryError, match=r"POST /v1/events answered 400 .*events must be a non-empty array"):
            send(url, [broken, *live], lambda _: None)
