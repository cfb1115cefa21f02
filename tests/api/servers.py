"""Servers of the API tests: in this process with a clock of the test's, or as processes of their own."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from api.http_protocol import LimitedProtocol
from pipeline.settings import REPOSITORY
from tests.waiting import wait_until

# For clients without TLS: else each of them reads all certificates of the system, which takes longer than most tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def served(app: FastAPI, protocol: type[LimitedProtocol] = LimitedProtocol) -> Iterator[str]:
    """Serve an application from a thread of this process; yields its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, http=protocol, ws="none", log_level="error", access_log=False, server_header=False)
    )
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def server_process(
    database_url: str, log: Path, *, workers: int = 1, port: int = 0, program: Sequence[str] = ("-m", "api.server")
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve the API from processes of their own, their output in `log`; yields the URL and the parent process.

    `program` is what Python runs: a variant of the API's server takes the same options.
    """
    port = port or free_port()
    command = [sys.executable, *program, "--port", str(port), "--workers", str(workers)]
    environment = {**os.environ, "DATABASE_URL": database_url, "TIDEMARK_HOME": str(log.parent)}
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(url) or process.poll() is not None)
        yield url, process
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a server answers at the URL."""
    try:
        return httpx.get(f"{url}/health", timeout=5, verify=NO_TLS).status_code == 200
    except httpx.TransportError:
        return False
