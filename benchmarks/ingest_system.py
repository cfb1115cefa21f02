"""The system under load: Postgres and API as `tidemark up` starts them, in a home of their own, and what they use."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from cli.database import embedded_postgres
from cli.ports import free_port
from cli.running_system import RunningSystem, running_system
from pipeline.database import connect
from pipeline.settings import Settings

SAMPLE_SECONDS = 0.2
POLL_SECONDS = 0.1
# Without progress for so long, what is not stored by now counts as lost.
STALLED_SECONDS = 30
# The API looks at its spool once a second.
SPOOL_SECONDS = 1.5
COMPLAINTS = 5
DISK_WRITES = 200
DISK_BLOCK = 4_096
COUNTS = {
    "event_logs": "SELECT count(*) FROM event_logs",
    "assignments": "SELECT count(*) FROM assignments",
    "ledger": "SELECT coalesce(sum(stored), 0) FROM ingestion_ledger",
    "running experiments": "SELECT count(*) FROM experiments WHERE status = 'RUNNING'",
}


@dataclass
class Usage:
    """What a measured block used: CPU seconds of all processes together, memory, and how busy others were."""

    api_seconds: float = 0.0
    postgres_seconds: float = 0.0
    api_bytes: int = 0
    others: float = 0.0


@dataclass(frozen=True)
class System:
    """A running system."""

    running: RunningSystem
    postgres_pid: int
    connection: psycopg.Connection

    @property
    def url(self) -> str:
        """URL of the API."""
        return self.running.url

    @property
    def database_url(self) -> str:
        """URL of its database."""
        return self.running.database_url

    @property
    def api_pid(self) -> int:
        """The API's first process."""
        return self.running.supervisor.pids()["api"]

    def assign(self, users: Sequence[str]) -> None:
        """Have the API assign users."""

        def ask(some: Sequence[str]) -> None:
            connection = http.client.HTTPConnection(self.url.removeprefix("http://"))
            for user in some:
                body = json.dumps({"anonymous_user_id": user})
                connection.request("POST", "/v1/assignment", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise AssertionError(f"/v1/assignment answered {answer.status}")
            connection.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, [users[start::8] for start in range(8)]))

    def empty_events(self) -> None:
        """Start over with an empty table, and with a checkpoint just made."""
        self.connection.execute("TRUNCATE event_logs")
        self.connection.execute("CHECKPOINT")

    def count(self, what: str) -> int:
        """Return a number of COUNTS: rows of a table, or events that are stored according to the ledger."""
        row = self.connection.execute(COUNTS[what]).fetchone()
        return int(row[0]) if row else 0

    def wait_until_stored(self, ledger: int) -> float:
        """Wait until the ledger shows so many events as stored and nothing waits in a spool.

        Returns the moment (time.monotonic) of the last event; gives up when nothing moves for STALLED_SECONDS. Asks
        the ledger, because counting rows would count among what Postgres had to do.
        """
        stored, progress = -1, time.monotonic()
        while time.monotonic() < progress + STALLED_SECONDS:
            found = self.count("ledger")
            if found != stored:
                stored, progress = found, time.monotonic()
            elif stored >= ledger and time.monotonic() > progress + SPOOL_SECONDS and not self.spooled():
                break
            time.sleep(POLL_SECONDS)
        return progress

    def complaints(self) -> list[str]:
        """Return the newest lines of the API's log that are not about requests."""
        log = self.running.settings.home / "logs" / "api.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return [line for line in lines if '"level":"info"' not in line.replace(" ", "")][-COMPLAINTS:]

    def spooled(self) -> int:
        """Return how many requests wait in the spools of the API."""
        with urllib.request.urlopen(f"{self.url}/metrics") as page:
            lines = page.read().decode().splitlines()
        return int(sum(float(line.split()[1]) for line in lines if line.startswith("tidemark_spool_deliveries ")))

    @contextmanager
    def usage(self) -> Iterator[Usage]:
        """Measure what a block uses; the result is filled when the block ends."""
        usage = Usage()
        done = threading.Event()
        api = self.api_pid

        def watch() -> None:
            while not done.wait(SAMPLE_SECONDS):
                usage.api_bytes = max(usage.api_bytes, _memory_of(api))

        watcher = threading.Thread(target=watch)
        before = self._cpu(api)
        started = time.monotonic()
        watcher.start()
        try:
            yield usage
        finally:
            done.set()
            watcher.join()
        seconds = time.monotonic() - started
        used = [now - then for now, then in zip(self._cpu(api), before, strict=True)]
        usage.api_seconds, usage.postgres_seconds = used[0], used[1]
        usage.others = max(used[3] - sum(used[:3]), 0.0) / seconds

    def _cpu(self, api: int) -> tuple[float, float, float, float]:
        """Return the CPU seconds so far of the API, of Postgres, of this process and its loads, and of the machine."""
        own = os.times()
        machine = psutil.cpu_times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        guests = getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0)
        return (
            _cpu_of(api),
            _cpu_of(self.postgres_pid),
            own.user + own.system + own.children_user + own.children_system,
            sum(machine) - idle - guests,
        )


@contextmanager
def started_system(home: Path, workers: int) -> Iterator[System]:
    """Run Postgres and the API in a new home, which everybody must be able to enter."""
    settings = Settings(home=home, database_url=None, port=free_port(), dagster_port=free_port(), workers=workers)
    with running_system(settings, dagster=False) as running:
        pid = embedded_postgres(settings).pid
        assert pid is not None, "it has just been started"
        with connect(running.database_url, autocommit=True) as connection:
            yield System(running, pid, connection)


def disk(folder: Path) -> dict[str, Any]:
    """Return the file system of a folder, and how long making a block durable takes there, in milliseconds."""
    path = folder / "blocks"
    path.write_bytes(bytes(DISK_WRITES * DISK_BLOCK))
    times = []
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
        for number in range(DISK_WRITES):
            started = time.perf_counter()
            os.pwrite(file, os.urandom(DISK_BLOCK), number * DISK_BLOCK)
            os.fdatasync(file)
            times.append(time.perf_counter() - started)
    finally:
        os.close(file)
        path.unlink()
    times.sort()
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    kind = max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"
    return {
        "file_system": kind,
        "fdatasync_p50": times[DISK_WRITES // 2] * 1e3,
        "fdatasync_p95": times[DISK_WRITES * 95 // 100] * 1e3,
    }


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process, of its descendants, and of those that ended before."""
    total = 0.0
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def _memory_of(pid: int) -> int:
    total = 0
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total
