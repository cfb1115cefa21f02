"""The embedded Postgres: made, started and stopped with the binaries' own tools.

Listens on 127.0.0.1 alone, with a random password kept beside the data (mode 600). As root, the server runs as an
unprivileged user, because Postgres refuses to run as root.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.postgres_binaries import find_binaries

SERVICE_USERS = ("postgres", "nobody")
SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}


class PostgresError(Exception):
    """The embedded Postgres could not be made, started or stopped."""


@dataclass(frozen=True)
class EmbeddedPostgres:
    """The server whose files live in `folder` (data, password, log)."""

    folder: Path
    options: Mapping[str, str] | None = None

    @property
    def data(self) -> Path:
        """The data directory of the cluster."""
        return self.folder / "data"

    def start(self) -> str:
        """Start the server if it is not running, making the cluster first if needed; return its URL."""
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        if self._pid() is None:
            self._launch()
        return self.url()

    def stop(self) -> None:
        """Stop the server if it runs; open connections are closed, committed data stays."""
        if self._pid() is not None:
            self._run("pg_ctl", "stop", "-D", self.data, "-m", "fast", "-w", "-t", "60")

    def url(self) -> str:
        """Return the URL of the running server. Raises PostgresError when it is not running."""
        if self._pid() is None:
            raise PostgresError(f"the embedded Postgres in {self.folder} is not running")
        port = (self.data / "postmaster.pid").read_text().splitlines()[3]
        password = (self.folder / "password").read_text().strip()
        return f"postgresql://tidemark:{password}@127.0.0.1:{port}/tidemark"

    def _initialise(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.folder, *_service_ids())
        shutil.rmtree(self.data, ignore_errors=True)
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        if os.geteuid() == 0:
            os.chown(password, *_service_ids())
        self._run(
            "initdb", "-D", self.data, "-U", "tidemark", "--pwfile", password, "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C", "--data-checksums",
        )  # fmt: skip

    def _launch(self) -> None:
        options = {**SERVER_OPTIONS, **(self.options or {}), "port": str(_free_port())}
        arguments = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        self._run("pg_ctl", "start", "-D", self.data, "-l", self.folder / "log", "-w", "-t", "120", "-o", arguments)
        self._create_database()

    def _create_database(self) -> None:
        import psycopg  # noqa: PLC0415

        with psycopg.connect(self.url().rsplit("/", 1)[0] + "/postgres", autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'tidemark'").fetchone() is None:
                connection.execute("CREATE DATABASE tidemark")

    def _pid(self) -> int | None:
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
            return None
        return pid

    def _run(self, program: str, *arguments: str | Path) -> None:
        version = self.data / "PG_VERSION"
        binaries = find_binaries(int(version.read_text()) if version.exists() else None)
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            uid, gid = _service_ids()
            as_user = {"user": uid, "group": gid, "extra_groups": []}
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [binaries.folder / program, *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/", check=False, **as_user,
            )  # fmt: skip
            output.seek(0)
            printed = output.read().decode(errors="replace").strip()
        if done.returncode != 0:
            raise PostgresError(f"{program} failed: {printed}")


def _service_ids() -> tuple[int, int]:
    for name in SERVICE_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise PostgresError("running as root needs an unprivileged user for Postgres; none of postgres, nobody exists")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
