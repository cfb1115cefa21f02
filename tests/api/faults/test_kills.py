"""Processes are killed under load, of the API and of Postgres: what was acknowledged is stored, and once."""

from __future__ import annotations

import random
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.api.faults.ledger import ClientLedger, judge
from tests.api.faults.load import Load, Mix
from tests.api.faults.system import (
    Api,
    has_spooled,
    memory_watch,
    peak,
    report,
    settle,
    spooled_groups,
)
from tests.databases import Postgres
from tests.sizes import sized
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
MEMORY_MEGABYTES = 300
RATE = 1_000
VISITS = Mix(visits=1.0)


def test_kill_9_of_the_api_under_load(api: Api, ledger: ClientLedger) -> None:
    kills, events = sized(6, 50), sized(6_000, 100_000)
    chance = random.Random(1)
    moments = sorted(chance.randrange(events * 9 // 10) for _ in range(kills))
    api.start()
    with memory_watch(api) as memory, Load(api.url, ledger, seed=1, events=events) as load:
        for moment in moments:
            load.wait_for(moment)
            api.kill()
            api.start()
        load.finish()
    verdict = settle(api, ledger.path)
    report("API killed -9", f"{kills} kills", f"{load.unanswered} requests unanswered", peak(memory), verdict)
    assert verdict.problems == []
    assert verdict.sent >= events
    assert load.statuses.keys() == {200, 202}
    assert max(memory) < MEMORY_MEGABYTES * 2**20


def test_kill_9_of_postgres_under_load(api: Api, postgres: Postgres, ledger: ClientLedger) -> None:
    kills, events = sized(2, 10), sized(1_500, 5_000)
    api.start()
    with memory_watch(api) as memory, Load(api.url, ledger, seed=2, rate=RATE) as load:
        for _ in range(kills):
            load.wait_for_more(events // 2)
            postgres.kill()
            load.wait_for_more(events // 2)  # into the spool
            postgres.start()
        load.wait_for_more(events // 2)
        load.finish()
    verdict = settle(api, ledger.path)
    report("Postgres killed -9", f"{kills} kills", f"{load.seconds[-1]:.2f} s longest answer", peak(memory), verdict)
    assert verdict.problems == []
    assert load.statuses.keys() == {200, 202}
    assert load.unanswered == 0
    assert max(memory) < MEMORY_MEGABYTES * 2**20


def test_the_spool_of_a_dead_worker_is_adopted(api: Api, postgres: Postgres, ledger: ClientLedger) -> None:
    """Two workers, without a database: one after the other is killed with its spool full."""
    kills, events = sized(2, 10), sized(300, 2_000)
    api.workers = 2
    api.start()
    postgres.stop()
    killed: set[int] = set()
    with Load(api.url, ledger, seed=3, mix=Mix(batch=2)) as load:
        for _ in range(kills):
            load.wait_for_more(events)
            wait_until(lambda: len(api.serving()) == 2, "two workers", 60)
            wait_until(lambda: any(has_spooled(each, api.home) for each in api.serving()), "a worker has spooled", 60)
            worker = next(each for each in api.serving() if has_spooled(each, api.home))
            killed.add(worker.pid)
            worker.kill()
            psutil.wait_procs([worker], timeout=30)
        load.wait_for_more(events)
        load.finish()
    assert spooled_groups(api.home) > 0
    postgres.start()
    verdict = settle(api, ledger.path)
    adopted = api.log.read_text().count('"spool adopted"')
    report("worker killed -9", f"{len(killed)} kills", f"{adopted} spools adopted", verdict)
    assert verdict.problems == []
    assert adopted >= kills
    assert load.statuses.keys() == {200, 202}


@pytest.mark.parametrize("variant", ["dies_before_forgetting", "dies_before_committing"])
def test_a_worker_killed_between_the_insert_and_the_spool(
    api: Api, postgres: Postgres, ledger: ClientLedger, variant: str
) -> None:
    """Neither the events, nor the ledger, nor the statistics of a site count twice."""
    kills, events = sized(1, 10), sized(400, 1_000)
    for number in range(kills):
        api.factory = "api.main:app"
        postgres.stop()
        api.start()
        with Load(api.url, ledger, seed=100 + number, events=events, mix=Mix(batch=5)) as load:
            load.finish()
        api.kill()
        before = spooled_groups(api.home)
        postgres.start()
        api.factory = f"tests.api.faults.variants:{variant}"
        api.start(wait=False)
        api.wait_for_end()
        assert spooled_groups(api.home) == before > 0
        api.factory = "api.main:app"
        api.start()
        verdict = settle(api, ledger.path)
        api.kill()
        assert verdict.problems == []
        assert verdict.received == verdict.attempted_events
    report(f"worker {variant.replace('_', ' ')}", f"{kills} kills", verdict)


def test_a_server_that_acknowledges_early_is_found_out(api: Api, ledger: ClientLedger) -> None:
    """Negative control: the same kill, and the ledger has acknowledgements that nothing stands for."""
    api.factory = "tests.api.faults.variants:acknowledges_early"
    api.start()
    with Load(api.url, ledger, seed=5, mix=VISITS) as load:
        load.wait_for(300)
        api.kill()
        api.factory = "api.main:app"
        api.start()
        load.wait_for_more(100)
        load.finish()
    verdict = settle(api, ledger.path)
    report("control, acknowledges early", verdict)
    assert verdict.missing > 0
    assert any("missing" in problem for problem in verdict.problems)


def test_every_kind_of_error_is_found(api: Api, ledger: ClientLedger, tmp_path: Path) -> None:
    """Negative control: a ledger and a database that were tampered with."""
    api.start()
    with Load(api.url, ledger, seed=6, events=100) as load:
        load.finish()
    assert settle(api, ledger.path).problems == []
    lines = ledger.path.read_text().splitlines()
    fabricated, forgotten = tmp_path / "fabricated", tmp_path / "forgotten"
    fabricated.write_text("\n".join([*lines, "> 999999 1 never-sent", "< 999999"]))
    first = next(line.split(" ")[1] for line in lines if line.startswith(">"))
    forgotten.write_text("\n".join(line for line in lines if line.split(" ")[1] != first))
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        assert judge(connection, fabricated).missing == 1
        assert judge(connection, forgotten).foreign >= 1
        connection.execute(
            "INSERT INTO event_logs (event_id, anonymous_user_id, event_name, occurred_at, properties, context)"
            " SELECT gen_random_uuid(), anonymous_user_id, event_name, occurred_at, properties, context FROM event_logs"
            " WHERE context = '{\"source\": \"retail\"}' AND event_name = 'page_view' LIMIT 1"
        )
        verdict = judge(connection, ledger.path)
        assert (verdict.doubled, verdict.wrong_statistics > 0) == (1, True)
        assert "the ledger does not balance" in verdict.problems
    report("control, tampered", verdict)
