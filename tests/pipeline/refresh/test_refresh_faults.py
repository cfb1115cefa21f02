"""A refresh killed at random moments: readers see each table as it was or as it becomes, and the next refresh heals."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import psycopg

from pipeline.refresh.equality import compare_all
from pipeline.rollups.jobs import JOBS, job_named
from pipeline.settings import REPOSITORY
from tests.pipeline.refresh.test_refresh import DAY, TENANTS, Arrival, Step, Story
from tests.pipeline.rollups.rollup_world import World
from tests.sizes import sized

KILLS = sized(3, 20)
REFRESH = (
    "import sys; from datetime import datetime; from pathlib import Path; from pipeline.refresh.run import refresh;"
    " from pipeline.settings import Settings; print('began', flush=True);"
    " refresh(Settings(home=Path(sys.argv[1])), sys.argv[2], datetime.fromisoformat(sys.argv[3]))"
)


class Reader(threading.Thread):
    """Reads every published table again and again, each in one statement, and keeps what it saw as digests."""

    def __init__(self, database_url: str) -> None:
        super().__init__(daemon=True)
        self._database_url = database_url
        self._ended = threading.Event()
        self.seen: dict[str, set[str]] = {job: set() for job in JOBS}
        self.reads = 0

    def run(self) -> None:
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            while not self._ended.is_set():
                for job, digest in digests(connection).items():
                    self.seen[job].add(digest)
                self.reads += 1

    def end(self) -> None:
        self._ended.set()
        self.join()


def digests(connection: psycopg.Connection) -> dict[str, str]:
    """Each job's published rows, whatever run they are of, as a digest."""
    found = {}
    for job in JOBS:
        columns = ", ".join(job_named(job).columns)
        query = f"SELECT {columns} FROM {job_named(job).table} ORDER BY {', '.join(job_named(job).key)}"
        found[job] = hashlib.sha256(str(connection.execute(query.encode()).fetchall()).encode()).hexdigest()
    return found


def test_a_killed_refresh_heals_and_readers_see_old_or_new(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    world = World(database_url, connection, tmp_path)
    world.clear()
    story = Story(world, TENANTS[:2])
    dice = random.Random(7)
    seconds = 0.0
    killed = reads = 0
    for number in range(KILLS + 1):
        arrivals = [
            Arrival(dice.randrange(8), dice.randrange(4), dice.randrange(5), dice.randrange(9), 0, False, False)
            for _ in range(30)
        ]
        story.as_of += timedelta(hours=11) if number % 2 else DAY
        story.prepare(Step(timedelta(0), arrivals, [(0, number % 4, 0, 1)], False))
        before = digests(connection)
        reader = Reader(database_url)
        reader.start()
        command = [sys.executable, "-c", REFRESH, str(tmp_path), database_url, story.as_of.isoformat()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
            assert process.stdout is not None and process.stdout.readline() == b"began\n"
            began = time.monotonic()
            if number == 0:  # the first says how long it takes
                assert process.wait() == 0
                seconds = time.monotonic() - began
            try:
                process.wait(dice.uniform(0, seconds / 2))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += process.wait() == -signal.SIGKILL
        story.refresh()
        reader.end()
        reads += reader.reads
        after = digests(connection)
        for job in JOBS:
            assert reader.seen[job] <= {before[job], after[job]}, job
        assert [found.problem for found in compare_all(world.settings, database_url)] == [None] * len(JOBS)
    sys.stdout.write(f"faults: refresh killed {killed} times of {KILLS}, {reads} reads: no mix seen, all healed\n")
    assert killed >= KILLS // 2
