"""The export under fire: racing writers, kill -9 at random moments, readers looping over the lake meanwhile.

TIDEMARK_FAULTS=full races and kills as much as the promise is measured by; `python -m benchmarks.faults` prints counts.
"""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import psycopg
import pytest

from pipeline.export.run import export
from pipeline.ingestion.event_store import EventRow, store
from pipeline.lake.table import Lake
from pipeline.settings import REPOSITORY
from tests.api.faults.system import report
from tests.makers import NOW, event_row
from tests.sizes import sized

WRITERS = 8
# The control loses one event in six, from its first seconds on: what it needs is a small part of the race itself.
RACE_SECONDS = sized(10, 60)
CONTROL_SECONDS = sized(3, 15)
KILLS = sized(6, 20)
BATCH = 100


class Writer:
    """Writes transactions of random length, and remembers the events whose commit returned."""

    def __init__(self, database_url: str, seed: int) -> None:
        self._url = database_url
        self._chance = random.Random(seed)
        self.acknowledged: list[str] = []

    def run(self, stopped: Callable[[], bool]) -> None:
        with psycopg.connect(self._url) as connection:
            while not stopped():
                self._transaction(connection)

    def _transaction(self, connection: psycopg.Connection) -> None:
        chance = self._chance
        written = self._write(connection)
        if chance.random() < 0.2:
            connection.execute("SAVEPOINT half")
            abandoned = self._write(connection)
            if chance.random() < 0.5:
                connection.execute("ROLLBACK TO half")
            else:
                written += abandoned
        if chance.random() < 0.1:  # left open for a while: what the watermark has to withstand
            time.sleep(chance.uniform(0.05, 1.0))
        if chance.random() < 0.1:
            connection.rollback()
            return
        connection.commit()
        self.acknowledged += written

    def _write(self, connection: psycopg.Connection) -> list[str]:
        chance = self._chance
        rows = [
            event_row(
                event_id=str(uuid.UUID(int=chance.getrandbits(128))),
                occurred_at=NOW.replace(day=chance.randrange(1, 20)),
            )
            for _ in range(chance.randrange(1, 20))
        ]
        connection.execute("SELECT 1")  # opens the transaction that the events shall join
        received = connection.execute("SELECT clock_timestamp()").fetchone()
        assert received is not None
        store(connection, [row._replace(received_at=received[0]) for row in rows])
        return [row.event_id for row in rows]


def race(database_url: str, seconds: float, poll: Callable[[], None]) -> Counter[str]:
    """Run the writers for a while, polling meanwhile and once at the end; return the acknowledged events."""
    end = time.monotonic() + seconds
    writers = [Writer(database_url, seed) for seed in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        running = [pool.submit(writer.run, lambda: time.monotonic() > end) for writer in writers]
        while time.monotonic() < end:
            poll()
        for writer in running:
            writer.result()
    poll()
    return Counter(itertools.chain.from_iterable(writer.acknowledged for writer in writers))


def lake_events(lake: Lake) -> Counter[str]:
    snapshot = lake.snapshot()
    assert snapshot is not None
    with duckdb.connect() as engine:
        rows = engine.execute("SELECT event_id FROM read_parquet(?)", [snapshot.paths()]).fetchall()
    return Counter(event_id for (event_id,) in rows)


@pytest.mark.slow
def test_racing_writers_every_acknowledged_event_is_in_the_lake_once(database_url: str, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    exported: list[int] = []
    acknowledged = race(database_url, RACE_SECONDS, lambda: exported.append(export(database_url, lake).rows))
    assert len(acknowledged) > 1_000
    assert sum(rows > 0 for rows in exported) > 5
    assert lake_events(lake) == acknowledged
    report(
        "export races 8 writers", f"{RACE_SECONDS} s", f"{len(acknowledged)} events in {len(exported)} exports, 0 lost"
    )


@pytest.mark.slow
def test_a_watermark_on_received_at_loses_events_in_the_same_race(database_url: str) -> None:
    """The negative control: the race must be able to show a loss."""
    seen: Counter[str] = Counter()
    watermark = NOW.replace(year=1970)

    def poll() -> None:
        nonlocal watermark
        with psycopg.connect(database_url) as connection:
            rows = connection.execute(
                "SELECT event_id::text, received_at FROM event_logs WHERE received_at > %s", [watermark]
            ).fetchall()
        seen.update(event_id for event_id, _ in rows)
        watermark = max([watermark, *(received_at for _, received_at in rows)])

    acknowledged = race(database_url, CONTROL_SECONDS, poll)
    lost = acknowledged.keys() - seen.keys()
    report("control, a watermark on received_at", f"{len(lost)} of {len(acknowledged)} events lost")
    assert lost


EXPORT_PROGRAM = """
import sys
from pipeline.export.run import export
from pipeline.lake.table import Lake
print("started", flush=True)
export(sys.argv[1], Lake(sys.argv[2]))
print("done", flush=True)
"""


def start_export(database_url: str, root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", EXPORT_PROGRAM, database_url, str(root)],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def end_of(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


class Feed:
    """Stores batches of BATCH events over many days, each batch in one transaction, until told to stop."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self.stopped = threading.Event()
        self.batches = 0

    def run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self.stopped.wait(0.02):
                rows = [self._row(self.batches * BATCH + number) for number in range(BATCH)]
                store(connection, rows)
                self.batches += 1

    def _row(self, number: int) -> EventRow:
        return event_row(number, session_id=f"batch_{number // BATCH}", occurred_at=NOW.replace(day=1 + number % 28))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_export_killed_at_random_moments_heals_and_readers_never_see_half_of_it(
    database_url: str, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    feed = Feed(database_url)
    reads: list[int] = []
    chance = random.Random(7)

    def keep_reading() -> None:
        with duckdb.connect() as engine:
            while not feed.stopped.wait(0.05):  # a reader that never pauses would leave nothing to those it watches
                snapshot = lake.snapshot()
                if snapshot is None:
                    continue
                halves = engine.execute(
                    "SELECT count(*) FROM (SELECT session_id FROM read_parquet(?) GROUP BY 1 HAVING count(*) <> ?)",
                    [snapshot.paths(), BATCH],
                ).fetchone()
                assert halves == (0,), "a reader saw a part of a transaction"
                reads.append(snapshot.version)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(feed.run), pool.submit(keep_reading), pool.submit(keep_reading)]
        try:
            process = start_export(database_url, tmp_path)
            begun = time.monotonic()
            assert end_of(process) == 0
            whole = time.monotonic() - begun
            killed = 0
            for _ in range(4 * KILLS):
                process = start_export(database_url, tmp_path)
                time.sleep(chance.uniform(0, 0.8 * whole))  # the moment of death, not synchronisation
                process.send_signal(signal.SIGKILL)
                killed += end_of(process) == -signal.SIGKILL
                if killed == KILLS:
                    break
            assert end_of(start_export(database_url, tmp_path)) == 0
        finally:
            feed.stopped.set()
        for future in running:
            future.result()
    assert killed == KILLS
    export(database_url, lake)
    events = lake_events(lake)
    assert len(events) == feed.batches * BATCH
    assert set(events.values()) == {1}
    assert len(reads) > 10
    assert len(set(reads)) > 1
    report("export killed with -9", f"{killed} times", f"{len(events)} events, {len(reads)} reads, 0 halves")
