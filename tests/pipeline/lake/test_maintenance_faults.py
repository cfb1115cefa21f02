"""Prune and compaction killed with -9 at random moments, beside writers, exports and readers.

TIDEMARK_FAULTS=full kills as often as the promises are measured by; `python -m benchmarks.faults` prints the counts.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest

from pipeline.clock import utc_now
from pipeline.export.run import export
from pipeline.ingestion.conservation import conservation
from pipeline.ingestion.event_store import EventRow, store
from pipeline.lake.compaction import compact
from pipeline.lake.table import Lake
from pipeline.lake.vacuum import vacuum
from pipeline.retention.prune import prune
from pipeline.settings import REPOSITORY, Settings
from pipeline.statements import statement
from tests.api.faults.system import report
from tests.makers import NOW, event_row
from tests.pipeline.lake.lake_reading import lake_rows
from tests.sizes import sized

KILLS = sized(4, 20)
BATCH = 60
OLD = NOW - timedelta(days=60)

PROGRAMS = {
    "prune": """
import sys
from pathlib import Path
from datetime import datetime
from pipeline.retention import prune
from pipeline.lake.table import Lake
from pipeline.settings import Settings
prune.BATCH_ROWS = 10
settings = Settings(home=Path(sys.argv[2]))
print("started", flush=True)
prune.prune(settings, sys.argv[1], Lake(settings.lake), datetime.fromisoformat(sys.argv[3]))
""",
    "compact": """
import sys
from pathlib import Path
from pipeline.lake.compaction import compact
from pipeline.lake.table import Lake
from pipeline.settings import Settings
settings = Settings(home=Path(sys.argv[2]))
print("started", flush=True)
compact(settings, sys.argv[1], Lake(settings.lake))
""",
}


@dataclass
class World:
    """A database and a lake that are fed with batches, and the ids of all that was ever acknowledged."""

    database_url: str
    settings: Settings
    chance: random.Random
    sent: list[EventRow] = field(default_factory=list)
    reads: list[object] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    def feed(self, connection: psycopg.Connection, batches: int) -> None:
        """Store new batches and repeat some old events, each batch in one transaction, and export after each."""
        for _ in range(batches):
            session = f"batch_{len(self.sent) // BATCH}"
            rows = [
                event_row(
                    event_id=str(uuid.UUID(int=self.chance.getrandbits(128))),
                    session_id=session,
                    occurred_at=OLD + timedelta(hours=self.chance.randrange(72)),
                    received_at=OLD + timedelta(hours=100 + self.chance.randrange(100)),
                )
                for _ in range(BATCH)
            ]
            store(connection, rows)
            self.sent += rows
            again = self.chance.sample(self.sent, BATCH // 3)
            assert store(connection, [row._replace(received_at=NOW) for row in again]).stored == 0
            export(self.database_url, self.lake)  # a file for each day

    def start(self, program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAMS[program], self.database_url, str(self.settings.home), NOW.isoformat()],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        return process

    def read_lake(self) -> None:
        """As an analyst: every batch is in the lake whole and once."""
        snapshot = self.lake.snapshot()
        assert snapshot is not None
        with duckdb.connect() as engine:
            torn = engine.execute(
                "SELECT count(*) FROM (SELECT session_id FROM read_parquet(?) GROUP BY 1"
                " HAVING count(*) <> ? OR count(DISTINCT event_id) <> ?)",
                [snapshot.paths(), BATCH, BATCH],
            ).fetchone()
        assert torn == (0,), "a reader saw a mix"
        self.reads.append(snapshot.version)

    def read_books(self) -> None:
        """As the ledger: what was stored is in Postgres or counted as pruned, at every moment."""
        with psycopg.connect(self.database_url) as connection:
            cursor = connection.execute(statement("checks/compare_ledger"), {"watermark": 0})
            names = [column.name for column in cursor.description or ()]
            accounts = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        for account in accounts:
            assert account["stored"] == account["in_postgres"] + account["pruned"], account
        self.reads.append(sum(account["pruned"] for account in accounts))

    @contextmanager
    def read_meanwhile(self, *readers: Callable[[], None]) -> Iterator[None]:
        """Let readers read again and again; the first that finds something wrong fails the test."""
        stopped = threading.Event()

        def keep_reading(reader: Callable[[], None]) -> None:
            while not stopped.wait(0.05):  # a reader that never pauses would leave nothing to those it watches
                reader()

        with ThreadPoolExecutor(len(readers)) as pool:
            running = [pool.submit(keep_reading, reader) for reader in readers]
            try:
                yield
            finally:
                stopped.set()
            for future in running:
                future.result()

    def kill_again_and_again(self, connection: psycopg.Connection, program: str, batches: int) -> int:
        """Kill a program at random moments of its work, feeding meanwhile; return how often it was killed at work."""
        self.feed(connection, batches)
        process = self.start(program)
        begun = time.monotonic()
        assert end_of(process) == 0
        whole = time.monotonic() - begun
        killed = 0
        for _ in range(4 * KILLS):
            process = self.start(program)
            with ThreadPoolExecutor(1) as pool:
                feeding = pool.submit(self.feed, connection, batches)
                time.sleep(self.chance.uniform(0, 0.8 * whole))  # the moment of death, not synchronisation
                process.send_signal(signal.SIGKILL)
                killed += end_of(process) == -signal.SIGKILL
                feeding.result()
            if killed == KILLS:
                break
        return killed

    def check(self) -> None:
        """Nothing lost, nothing doubled, nothing foreign, and the books balance."""
        export(self.database_url, self.lake)
        ids = [row["event_id"] for row in lake_rows(self.lake)]
        assert sorted(ids) == sorted(row.event_id for row in self.sent)
        assert conservation(self.settings, self.database_url, self.lake.snapshot()).problems == []


def end_of(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=120)
    return process.returncode


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> World:
    return World(database_url, Settings(home=tmp_path), random.Random(11))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_prune_killed_at_random_moments_loses_and_doubles_nothing(
    world: World, connection: psycopg.Connection
) -> None:
    world.feed(connection, 1)
    with world.read_meanwhile(world.read_books, world.read_lake):
        killed = world.kill_again_and_again(connection, "prune", 2)
    assert killed == KILLS
    last = prune(world.settings, world.database_url, world.lake, NOW)
    assert last.held == ()
    world.check()
    prune(world.settings, world.database_url, world.lake, NOW)
    assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (0,)
    assert store(connection, world.sent).stored == 0
    world.check()
    report("prune killed with -9", f"{killed} times", f"{len(world.sent)} events, 0 lost, {len(world.reads)} reads")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_compaction_killed_at_random_moments_leaves_old_files_or_new_ones(
    world: World, connection: psycopg.Connection
) -> None:
    world.feed(connection, 1)
    with world.read_meanwhile(world.read_lake):
        killed = world.kill_again_and_again(connection, "compact", 2)
    assert killed == KILLS
    world.check()
    compact(world.settings, world.database_url, world.lake)
    world.check()
    snapshot = world.lake.snapshot()
    assert snapshot is not None
    assert len(snapshot.files) == len(snapshot.days())
    left = vacuum(world.settings, world.database_url, world.lake, utc_now() + timedelta(days=30))
    assert left.tables[0].kept_files == len(snapshot.files)
    world.check()
    report(
        "compaction killed with -9",
        f"{killed} times",
        f"{len(world.sent)} events, 0 lost, {len(world.reads)} reads of {len(set(world.reads))} versions",
    )
