"""An erasure killed at random moments, with readers polling: there or gone, and the next call finishes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import psycopg
import pytest

from pipeline.erasure.run import find
from pipeline.settings import REPOSITORY, Settings
from tests.api.faults.system import report
from tests.pipeline.erasure.erasure_world import PERSON, TABLES, USER, World, inhabited
from tests.sizes import sized

WORLD = "tests.pipeline.erasure.erasure_world"
KILLS = sized(6, 20)
SEED = int(os.environ.get("TIDEMARK_SEED", "11"))
LONGEST_SECONDS = 0.6
STEPS = (
    "waiting",
    "removing the person from the database",
    "removing the person from the lake",
    "computing",
    "writing",
)
OTHERS = "count(*) FILTER (WHERE anonymous_user_id <> $user_id)"
OWN = "count(*) FILTER (WHERE anonymous_user_id = $user_id)"


class Readers:
    """Polls the published tables and the lake, and remembers what they showed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.stopped = threading.Event()
        self.published: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self.lake: list[tuple[int, int]] = []
        self.missed = 0

    def read_published(self) -> None:
        with psycopg.connect(self._world.database_url, autocommit=True) as connection:
            world = World(self._world.settings, self._world.database_url, connection)
            while not self.stopped.wait(0.1):
                for table in TABLES:
                    rows = world.published(table)
                    if not self.published[table] or self.published[table][-1] != rows:
                        self.published[table].append(rows)

    def read_lake(self) -> None:
        with duckdb.connect() as engine:
            while not self.stopped.wait(0.1):
                snapshot = self._world.lake.snapshot()
                assert snapshot is not None
                try:
                    query = f"SELECT {OWN}, {OTHERS} FROM read_parquet($paths)"
                    row = engine.execute(query, {"paths": snapshot.paths(), "user_id": USER}).fetchone()
                except duckdb.IOException:  # the files of this version went while they were opened: said, not hidden
                    self.missed += 1
                    continue
                assert row is not None
                if not self.lake or self.lake[-1] != row:
                    self.lake.append(row)


class Eraser:
    """Erases in processes of its own, one after the other, which can be killed in the middle of a step."""

    def __init__(self, world: World) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORLD, world.database_url, str(world.settings.home)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert self._read() == "ready"

    def erase(self, dying_in: str | None = None, after: float = 0.0) -> int:
        """Erase and return the exit code; with `dying_in`, killed that long after this step began, if it did."""
        assert self._process.stdin is not None
        self._process.stdin.write("erase\n")
        child = int(self._read().removeprefix("child "))
        timer: threading.Timer | None = None
        while not (line := self._read()).startswith("ended "):
            if dying_in is not None and line.startswith(dying_in) and timer is None:
                timer = threading.Timer(after, os.kill, (child, signal.SIGKILL))
                timer.start()
        if timer is not None:
            timer.cancel()
            timer.join()
        return int(line.removeprefix("ended "))

    def close(self) -> None:
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip()


@pytest.mark.slow
def test_an_erasure_killed_at_random_moments_is_finished_by_the_next(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    world = inhabited(Settings(home=tmp_path), database_url, connection)
    before = {table: world.published(table) for table in TABLES}
    readers = Readers(world)
    eraser = Eraser(world)
    chance = random.Random(SEED)
    codes = []
    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(readers.read_published), pool.submit(readers.read_lake)]
        try:
            for number in range(KILLS):
                # Early steps first: once one is complete, it has nothing left to do in the next process.
                step = STEPS[number * len(STEPS) // KILLS]
                codes.append(eraser.erase(step, chance.uniform(0, LONGEST_SECONDS)))
            assert eraser.erase() == 0
        finally:
            readers.stopped.set()
            eraser.close()
        for future in reading:
            future.result()
    killed = codes.count(-signal.SIGKILL)
    assert set(codes) <= {0, -signal.SIGKILL}
    assert killed > KILLS // 2
    assert find(world.settings, database_url, PERSON) == {}
    assert world.problems() == []
    after = {table: world.published(table) for table in TABLES}
    world.refresh(full=True)
    assert after == {table: world.published(table) for table in TABLES}
    for table in TABLES:
        assert set(readers.published[table]) <= {before[table], after[table]}, f"a reader of {table} saw a mix"
    own = [count for count, _ in readers.lake]
    assert own == sorted(own, reverse=True)
    assert set(own) <= {54, 0}
    report(
        "erasure killed with -9",
        f"{killed} of {KILLS} times",
        f"{sum(map(len, readers.published.values()))} states of published tables, {len(readers.lake)} of the lake",
        "0 mixed",
    )
