"""The embedded Postgres: made, started and stopped with the binaries' own tools.

Listens on 127.0.0.1 alone, with a random password kept beside the data (mode 600). As root, the server runs as an
unprivileged account, because Postgres refuses to run as root. Who else uses the server is the business of
`cli.postgres_lease`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil
import psycopg

from cli.file_lock import FileLock
from cli.ports import is_free, lasting_port
from cli.postgres_binaries import PostgresBinaries, find_binaries, runnable_by
from cli.postgres_folder import SYSTEM_STATE, prepared_folder
from cli.service_account import ServiceAccount, service_account

SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_prepared_transactions": "0",  # a forgotten one would hold back the export's watermark for ever
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}
START_SECONDS = 120  # crash recovery of a full max_wal_size on a slow disk
RETRY_SECONDS = 0.25
PORT_SECONDS = 5
LOG_LIMIT_BYTES = 10_000_000
# After kill -9 the old children of the server need a moment to notice; a port may be taken between probe and start.
PASSING_PROBLEMS = (
    "already exists",
    "pre-existing shared memory block",
    "Address already in use",
    "could not create any TCP/IP sockets",
)
PASSING_STATES = ("starting up", "shutting down", "not yet accepting", "recovery mode", "Connection refused")


class PostgresError(Exception):
    """The embedded Postgres could not be made, started or stopped."""


@dataclass(frozen=True)
class EmbeddedPostgres:
    """The server whose files live in `home` (data, password, port, log) or in the folder that it links to."""

    home: Path
    options: Mapping[str, str] | None = None
    binaries: Path | None = None
    system_state: Path = SYSTEM_STATE

    @cached_property
    def account(self) -> ServiceAccount:
        """The account that the server runs as."""
        return service_account(self.home / "data")

    @cached_property
    def folder(self) -> Path:
        """The folder of all files of the server, made when it is missing."""
        return prepared_folder(self.home, self.account, self.system_state)

    @property
    def data(self) -> Path:
        """The data directory of the cluster."""
        return self.folder / "data"

    @property
    def exists(self) -> bool:
        """Whether a cluster was ever made here."""
        return (self.home / "data" / "PG_VERSION").exists()

    @property
    def major(self) -> int:
        """The Postgres version that made the cluster."""
        return int((self.data / "PG_VERSION").read_text())

    @property
    def pid(self) -> int | None:
        """The process id of the running server, or None."""
        return self._recorded_pid(must_run=True) if self.exists else None

    def start(self) -> str:
        """Start the server if it is not running, making the cluster first if needed; return its URL.

        Safe in several processes at once. Raises PostgresError, NoBinariesError, AccountError or FolderError.
        """
        with FileLock(self.folder / "start.lock"):
            if not self.exists:
                self._initialise()
            deadline = time.monotonic() + START_SECONDS
            while True:
                if self.pid is None:
                    self._launch()
                try:
                    self._create_database()
                    return self.url()
                except (psycopg.OperationalError, PostgresError) as error:
                    # Another process began to start it and was killed, or it is just ending by itself.
                    passing = self.pid is None or any(state in str(error) for state in PASSING_STATES)
                    if not passing or time.monotonic() > deadline:
                        raise PostgresError(f"the embedded Postgres does not answer: {error}") from None
                    time.sleep(RETRY_SECONDS)

    def stop(self) -> None:
        """Stop the server if it runs; open connections are closed, committed data stays."""
        if self.pid is None:
            return
        with FileLock(self.folder / "start.lock"):
            if self.pid is not None:
                self._run("pg_ctl", "stop", "-D", self.data, "-m", "fast", "-w", "-t", "60")

    def url(self) -> str:
        """Return the URL of the running server. Raises PostgresError when it is not running."""
        if self.pid is None:
            raise PostgresError(f"the embedded Postgres in {self.home} is not running; `tidemark db start` starts it")
        port = (self.data / "postmaster.pid").read_text().splitlines()[3]
        return f"postgresql://tidemark:{self._password()}@127.0.0.1:{port}/tidemark"

    def _password(self) -> str:
        try:
            return (self.folder / "password").read_text().strip()
        except FileNotFoundError:
            raise PostgresError(f"{self.folder / 'password'} is missing; restore it, the data cannot be read") from None

    def _initialise(self) -> None:
        if self.data.exists():
            raise PostgresError(f"{self.data} exists but is no Postgres data folder; move it away")
        for unfinished in self.folder.glob("data.new.*"):
            shutil.rmtree(unfinished)
        password = self.folder / "password"
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        self.account.own(password)
        # Made aside and renamed: a first start that was interrupted leaves nothing that looks like a cluster.
        fresh = Path(tempfile.mkdtemp(prefix="data.new.", dir=self.folder))
        self.account.own(fresh)
        self._run(
            "initdb", "-D", fresh, "-U", "tidemark", "--pwfile", password, "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C", "--data-checksums",
        )  # fmt: skip
        fresh.rename(self.data)

    def _launch(self) -> None:
        """Start the server, again and again while what is in the way passes by itself."""
        log = self.folder / "log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(self.folder / "log.1")
        pid = self._recorded_pid(must_run=False)
        if pid is not None and psutil.pid_exists(pid) and self.pid is None:
            (self.data / "postmaster.pid").unlink()  # the number belongs to another program by now
        deadline = time.monotonic() + START_SECONDS
        while True:
            printed_before = log.stat().st_size if log.exists() else 0
            try:
                self._run(
                    "pg_ctl", "start", "-D", self.data, "-l", log, "-w", "-t", str(START_SECONDS),
                    "-o", self._server_arguments(),
                )  # fmt: skip
                break
            except PostgresError as error:
                printed = _tail(log, printed_before)
                if "No space left on device" in printed:
                    raise _disk_full(self.folder) from None
                passing = any(problem in printed for problem in PASSING_PROBLEMS)
                if not passing or time.monotonic() > deadline:
                    raise PostgresError(f"{error}; {_reason(printed)}(log: {log})") from None
                time.sleep(RETRY_SECONDS)

    def _server_arguments(self) -> str:
        options = {**SERVER_OPTIONS, **(self.options or {}), "port": str(self._port())}
        return " ".join(f"-c {name}='{value}'" for name, value in options.items())

    def _port(self) -> int:
        """Return the port used last if it is free, so that clients survive a restart; else another, kept from now.

        A server that was killed may leave a child that has just begun and still listens: that is waited for.
        """
        kept = self.folder / "port"
        with contextlib.suppress(FileNotFoundError, ValueError, OverflowError):
            port = int(kept.read_text())
            deadline = time.monotonic() + PORT_SECONDS
            while not (free := is_free(port)) and time.monotonic() < deadline:
                time.sleep(RETRY_SECONDS)
            if free:
                return port
        port = lasting_port()
        kept.write_text(f"{port}\n")
        self.account.own(kept)
        return port

    def _create_database(self) -> None:
        maintenance = self.url().rsplit("/", 1)[0] + "/postgres"
        with psycopg.connect(maintenance, autocommit=True, connect_timeout=10) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'tidemark'").fetchone() is None:
                connection.execute("CREATE DATABASE tidemark")

    def _recorded_pid(self, *, must_run: bool) -> int | None:
        """Return the pid in postmaster.pid; with `must_run` only while it is that of a Postgres on this data."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            if not must_run:
                return pid
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or process.name() not in ("postgres", "postmaster"):
                return None
            with contextlib.suppress(psutil.AccessDenied):
                return pid if str(self.data) in process.cmdline() else None
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            return None
        return pid

    @cached_property
    def _programs(self) -> PostgresBinaries:
        found = find_binaries(self.major if self.exists else None, self.binaries)
        return runnable_by(self.account, found, self.system_state / "runtime")

    def _run(self, program: str, *arguments: str | Path) -> None:
        with tempfile.TemporaryFile() as output:
            # A session of its own: Ctrl-C in the terminal must not reach a server that is just starting.
            process = subprocess.Popen(
                [self._programs.folder / program, *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/", start_new_session=True,
                env={**os.environ, "LC_ALL": "C"}, **self.account.popen_options(),
            )  # fmt: skip
            try:
                code = process.wait()
            except BaseException:
                process.wait()  # a half started server would escape the stop that follows
                raise
            output.seek(0)
            printed = output.read().decode(errors="replace").strip()
        if "No space left on device" in printed:
            raise _disk_full(self.folder)
        if code != 0:
            raise PostgresError(f"{program} failed: {printed.splitlines()[-1] if printed else f'exit code {code}'}")


def _disk_full(folder: Path) -> PostgresError:
    return PostgresError(
        f"the disk of {folder} is full; free space there, or set TIDEMARK_HOME to a folder on another disk"
    )


def _tail(log: Path, offset: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(offset)
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _reason(printed: str) -> str:
    """Return the server's own words for why it did not start."""
    fatal = [line for line in printed.splitlines() if "FATAL:" in line or "PANIC:" in line]
    return f"{fatal[-1].split(': ', 1)[-1].strip()} " if fatal else ""
