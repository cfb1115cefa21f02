"""How long the analytics summary takes over 90 days of campaign events: `python -m benchmarks.analytics`.

Fills a tenant with a day of events at a time, some of them late, each counted in its transaction by the code that
counts what comes through the API. Then the API and Postgres are restarted (what the system caches of files stays), and
ranges and experiments are asked for once (cold), and over and over (warm). At the end, batches of 100 events of now are
stored with and without counting.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import psycopg
from psycopg import sql

from benchmarks.ingest_system import System, started_system
from benchmarks.rollups import machine
from pipeline.access.keys import create_key
from pipeline.access.tenants import create_tenant, update_tenant
from pipeline.ingestion.campaign_counts import count_campaign_events
from pipeline.ingestion.event_store import EventRow, store

TENANT = "benchmark"
DAYS = 90
EVENTS_PER_USER = 33
COLD_REQUESTS = 200
CONNECTIONS = (1, 16)
BATCH = 100
KEY_SECONDS = 2.5  # until the API knows a new key
GENERATE = Path(__file__).with_name("generate_campaign_events.sql")
EXPERIMENTS = [str(uuid.UUID(hashlib.md5(f"experiment {number}".encode()).hexdigest())) for number in range(6)]
TABLES = ("event_logs", "campaign_counts", "campaign_user_days", "campaign_writers")


def main(arguments: Sequence[str]) -> None:
    """Measure each number of events in a system of its own, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analytics", description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each warm row is measured (default 10)")
    options = parser.parse_args(arguments)
    print(machine())
    for events in options.events:
        with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
            home = Path(folder)
            home.chmod(0o755)
            measure(home, events, options.seconds)


def measure(home: Path, events: int, seconds: float) -> None:
    """Fill a new system and print what was measured."""
    today = datetime.now(UTC).date()
    with started_system(home, 1) as system:
        create_tenant(system.connection, TENANT)
        update_tenant(system.connection, TENANT, rate_limits={"analytics": 1_000_000})
        key = create_key(system.connection, TENANT, ["read", "ingest"]).key
        filling = fill(system.connection, today, events)
        system.connection.execute("CHECKPOINT")
    with started_system(home, 1) as system:
        time.sleep(KEY_SECONDS)
        print(f"\n{events:,} events over {DAYS} days, stored and counted in {filling:.0f} s")
        print("\n| GET /api/analytics/summary | connections | requests/s | p50 / p95 / p99 ms |\n|---|---|---|---|")
        chance = random.Random(events)
        queries = [random_query(chance, today) for _ in range(COLD_REQUESTS)]
        print(row("cold: each range once, after a restart", 1, ask(system, key, [queries])))
        for connections in CONNECTIONS:
            orders = [chance.sample(queries, len(queries)) for _ in range(connections)]
            print(row("warm: random ranges", connections, ask(system, key, orders, seconds)))
        whole = [urlencode({"startDate": today - timedelta(days=DAYS - 1), "endDate": today})]
        print(row(f"warm: {DAYS} days, all experiments", 1, ask(system, key, [whole], seconds)))
        history = [""]
        print(row("warm: whole history", 1, ask(system, key, [history], seconds)))
        print("\n| stored in batches of 100 | events/s |\n|---|---|")
        for title, source in (("without counting", "uncounted"), ("counted", "campaign")):
            print(f"| {title} | {rate(system.connection, source, seconds):,.0f} |")
        print("\n| table | rows | MiB with indexes |\n|---|---|---|")
        for table in TABLES:
            rows, size = size_of(system.connection, table)
            print(f"| `{table}` | {rows:,} | {size / 2**20:,.0f} |")


def fill(connection: psycopg.Connection, today: date, events: int) -> float:
    """Store the events day by day, every tenth day after the one that follows it; returns seconds."""
    started = time.monotonic()
    days = [today - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]
    for place in range(0, DAYS - 1, 10):
        days[place], days[place + 1] = days[place + 1], days[place]
    for number, day in enumerate(days, start=1):
        with connection.transaction():
            connection.execute(
                GENERATE.read_bytes(),
                {
                    "tenant_id": TENANT,
                    "day": day,
                    "events": events // DAYS,
                    "users": max(events // EVENTS_PER_USER, 1),
                },
            )
            count_campaign_events(connection)
        print(f"{number} of {DAYS} days", file=sys.stderr)
    connection.execute("VACUUM ANALYZE campaign_counts")
    connection.execute("VACUUM ANALYZE campaign_user_days")
    return time.monotonic() - started


def random_query(chance: random.Random, today: date) -> str:
    """A query for any range of the history, for one experiment or all."""
    first, last = sorted(today - timedelta(days=chance.randrange(DAYS)) for _ in range(2))
    query = {"startDate": first, "endDate": last}
    experiment = chance.choice([None, *EXPERIMENTS])
    return urlencode(query if experiment is None else {**query, "experimentId": experiment})


def ask(system: System, key: str, orders: Sequence[Sequence[str]], seconds: float = 0.0) -> list[float]:
    """Return the milliseconds of each request: a client for each list of queries, which is asked at least once."""
    found: list[float] = []
    until = time.monotonic() + seconds

    def client(queries: Sequence[str]) -> None:
        connection = http.client.HTTPConnection(system.url.removeprefix("http://"))
        connection.connect()
        while True:
            for query in queries:
                began = time.perf_counter()
                connection.request("GET", f"/api/analytics/summary?{query}", headers={"X-API-Key": key})
                answer = connection.getresponse()
                content = answer.read()
                found.append((time.perf_counter() - began) * 1000)
                # One experiment may have had no visitor in a few days of a small history.
                may_be_empty = "experimentId" in query
                if answer.status != 200 or not (json.loads(content)["totalEvents"] or may_be_empty):
                    raise AssertionError(f"{query} was answered {answer.status} {content!r}")
                if seconds and time.monotonic() >= until:
                    break
            if time.monotonic() >= until:
                break
        connection.close()

    threads = [threading.Thread(target=client, args=(queries,)) for queries in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def row(title: str, connections: int, times: Sequence[float]) -> str:
    """Return a line of the table of latencies."""
    cuts = statistics.quantiles(times, n=100)
    per_second = connections * 1000 / statistics.fmean(times)
    return f"| {title} | {connections} | {per_second:,.0f} | {cuts[49]:.1f} / {cuts[94]:.1f} / {cuts[98]:.1f} |"


def rate(connection: psycopg.Connection, source: str, seconds: float) -> float:
    """Return how many events a second one connection stores, 100 of today in each transaction."""
    chance = random.Random(source)
    until, started, stored = time.monotonic() + seconds, time.monotonic(), 0
    while time.monotonic() < until:
        stored += store(connection, [new_event(chance, source) for _ in range(BATCH)]).stored
    return stored / (time.monotonic() - started)


def new_event(chance: random.Random, source: str) -> EventRow:
    """An event of now, of one of 20,000 users."""
    user, now = chance.randrange(20_000), datetime.now(UTC)
    names = {"experimentId": EXPERIMENTS[user % 6], "variant": "AB"[user % 2]}
    return EventRow(
        str(uuid.UUID(int=chance.getrandbits(128))), TENANT, f"user-{user}", None, None, None, None,
        chance.choice(("PAGE_VIEW", "CLICK", "CONVERSION")), now, now, None,
        json.dumps(names if chance.random() < 0.8 else {}), json.dumps({"source": source}),
    )  # fmt: skip


def size_of(connection: psycopg.Connection, table: str) -> tuple[int, int]:
    """Return the rows of a table of `TABLES`, and its bytes with indexes."""
    query = sql.SQL("SELECT count(*), pg_total_relation_size(%s::regclass) FROM {}").format(sql.Identifier(table))
    found = connection.execute(query, [table]).fetchone()
    assert found is not None
    return int(found[0]), int(found[1])


if __name__ == "__main__":
    main(sys.argv[1:])
