"""The system under fault: API processes that can be killed, and what is seen of them (Postgres: tests.databases)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg

from pipeline.settings import REPOSITORY
from tests.api.faults.ledger import Verdict, judge
from tests.api.servers import NO_TLS, answers, free_port
from tests.waiting import wait_until

DRAIN_SECONDS = 240.0
MEGABYTE = 2**20


def report(test: str, *counts: object) -> None:
    """Print what a test counted, in one line."""
    sys.stdout.write(f"\nfaults: {test}: {'; '.join(str(count) for count in counts)}\n")


@dataclass
class Api:
    """The API as processes of its own, on one port and one home, however often it is started.

    `factory` may be a variant of the product with a failpoint (see `variants`).
    """

    home: Path
    database_url: str
    workers: int = 1
    factory: str = "api.main:app"
    prefix: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home / "log"

    def start(self, *, wait: bool = True) -> None:
        command = [
            *self.prefix, sys.executable, "-m", "uvicorn", "--factory", self.factory, "--port", str(self.port),
            "--workers", str(self.workers), "--no-access-log", "--no-server-header",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "TIDEMARK_HOME": str(self.home),
            "TIDEMARK_ACCESS_LOG": "false",
        }
        with self.log.open("ab") as output:
            self._process = process = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdout=output, stderr=output
            )
        if wait:
            wait_until(lambda: answers(self.url) or process.poll() is not None, "the API answers", 120)
            assert process.poll() is None, self.log.read_text()

    def processes(self) -> list[psutil.Process]:
        """All processes, those that serve last."""
        if self._process is None:
            return []
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def serving(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        processes = self.processes()
        if self.workers == 1:
            return processes[-1:]
        workers = []
        for process in processes[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(process.cmdline()):
                    workers.append(process)
        return workers

    def rss(self) -> int:
        """Bytes of the largest of the serving processes."""
        sizes = [0]
        for process in self.serving():
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes.append(process.memory_info().rss)
        return max(sizes)

    def kill(self) -> None:
        """End all processes at once, as the power does."""
        processes = self.processes()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.wait_for_end()
        psutil.wait_procs(processes, timeout=30)

    def wait_for_end(self) -> None:
        if self._process is not None:
            self._process.wait(60)
            self._process = None

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        lines = httpx.get(f"{self.url}/metrics", timeout=30, verify=NO_TLS).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


@contextlib.contextmanager
def memory_watch(api: Api) -> Iterator[list[int]]:
    """Sample the size of the API's processes; yields the samples, in bytes."""
    samples = [api.rss()]
    ending = threading.Event()

    def sample() -> None:
        while not ending.wait(0.1):
            samples.append(api.rss())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ending.set()
        thread.join()


def peak(memory: list[int]) -> str:
    """The largest of the samples, in words."""
    return f"{max(memory) / MEGABYTE:.0f} MB at most"


def spool_files(home: Path) -> list[Path]:
    return sorted((home / "spool").glob("*.sqlite"))


def spooled_groups(home: Path) -> int:
    """How many groups lie in the spool files of a home; a file that cannot be read counts as one."""
    return sum(map(_groups_in, spool_files(home)))


def has_spooled(worker: psutil.Process, home: Path) -> bool:
    """Whether a process has a spool file open that holds something."""
    opened = {Path(file.path) for file in worker.open_files()}
    return any(_groups_in(file) for file in spool_files(home) if file.resolve() in opened)


def _groups_in(file: Path) -> int:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM groups").fetchone()[0])
    except sqlite3.Error:
        return int(file.exists())


def settle(api: Api, ledger: Path) -> Verdict:
    """Wait until the spools of a running API are empty, and judge: what is out of them is committed."""
    wait_until(lambda: spooled_groups(api.home) == 0, "the spool is drained", DRAIN_SECONDS)
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        return judge(connection, ledger)
