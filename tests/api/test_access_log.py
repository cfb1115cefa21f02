"""The access log: a line for each request, whole, soon, without whole ids, and only where it is wanted."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.access_log import WRITE_BYTES, AccessLine, AccessLog
from api.app import create_app
from api.request_log import make_logger
from pipeline.settings import Settings
from tests.api.servers import NO_TLS, served
from tests.waiting import wait_until

USER = "3c5e81b4-0c5e-468e-84a3-406c97d63cfb"


def line(number: int = 0, **fields: Any) -> AccessLine:
    defaults: dict[str, Any] = {
        "request_id": f"{number:016x}",
        "method": "GET",
        "path": "/health",
        "status": 200,
        "milliseconds": 0.5,
        "anonymous_user_id": None,
        "timestamp": datetime(2026, 2, 19, 8, 30, 0, 250_000, UTC),
    }
    return AccessLine(**{**defaults, **fields})


def written(capfd: pytest.CaptureFixture[str], *lines: AccessLine) -> list[dict[str, Any]]:
    async def write() -> None:
        log = AccessLog()
        for each in lines:
            log.add(each)
        log.flush()

    asyncio.run(write())
    return [json.loads(text) for text in capfd.readouterr().err.splitlines()]


def test_a_line_says_what_happened(capfd: pytest.CaptureFixture[str]) -> None:
    assert written(capfd, line(7)) == [
        {
            "request_id": "0000000000000007",
            "method": "GET",
            "path": "/health",
            "status": 200,
            "milliseconds": 0.5,
            "anonymous_user_id": None,
            "timestamp": "2026-02-19T08:30:00.250000Z",
            "event": "request",
            "level": "info",
        }
    ]


def test_the_users_id_is_masked_wherever_the_client_put_it(capfd: pytest.CaptureFixture[str]) -> None:
    """Also when the end of the path, where the id would be cut in two, is not shown."""
    [first, second] = written(
        capfd,
        line(anonymous_user_id=USER, path=f"/a/{USER}/b", request_id=USER),
        line(anonymous_user_id=USER, path=f"/{'a' * 190}{USER}"),
    )
    assert (first["anonymous_user_id"], first["path"], first["request_id"]) == (
        "3c5e81b4...3cfb", "/a/3c5e81b4...3cfb/b", "3c5e81b4...3cfb",
    )  # fmt: skip
    assert second["path"] == f"/{'a' * 190}3c5e81b4."


@pytest.mark.parametrize("user", ["\ud800" * 20, 'quo"te\\and\nnewline and more', "ä" * 30, "\x00" * 13])
def test_any_id_leaves_one_line_that_can_be_read(capfd: pytest.CaptureFixture[str], user: str) -> None:
    [shown] = written(capfd, line(anonymous_user_id=user))
    assert user != shown["anonymous_user_id"]


def test_paths_that_are_no_routes_show_no_ids_either(capfd: pytest.CaptureFixture[str], settings: Settings) -> None:
    with served(create_app(settings)) as url:
        httpx.get(f"{url}/v1/users/{USER}/events", timeout=30, verify=NO_TLS)
        httpx.get(f"{url}/v1/metrics/summary", timeout=30, verify=NO_TLS)
    lines = [json.loads(text) for text in capfd.readouterr().err.splitlines()]
    assert [each["path"] for each in lines] == ["/v1/users/3c5e81b4...3cfb/events", "/v1/metrics/summary"]


def test_lines_are_written_within_moments_and_whole() -> None:
    """Each write is short enough not to mix with those of other processes in the same pipe."""
    reading, writing = os.pipe()
    chunks: list[bytes] = []

    async def write() -> None:
        log = AccessLog()
        for number in range(200):
            log.add(line(number, path="/" + "a" * (number % 150)))
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        loop.add_reader(reading, lambda: (chunks.append(os.read(reading, 2**20)), arrived.set()))
        while b"".join(chunks).count(b"\n") < 200:
            arrived.clear()
            await asyncio.wait_for(arrived.wait(), 10)
        loop.remove_reader(reading)

    before = sys.stderr
    with os.fdopen(writing, "w") as stream:
        sys.stderr = stream
        try:
            asyncio.run(write())
        finally:
            sys.stderr = before
    os.close(reading)
    assert [int(json.loads(text)["request_id"], 16) for text in b"".join(chunks).splitlines()] == [*range(200)]
    assert WRITE_BYTES <= 4096


@pytest.mark.parametrize("changes", [{"access_log": False}, {"log_level": "WARNING"}])
def test_it_can_be_turned_off_and_failures_are_logged_all_the_same(
    capfd: pytest.CaptureFixture[str], settings: Settings, changes: dict[str, Any]
) -> None:
    app = create_app(Settings.model_validate({**settings.model_dump(), **changes}))

    @app.get("/broken")
    async def broken() -> None:
        raise KeyError(USER)

    with served(app) as url:
        assert httpx.get(f"{url}/health", timeout=30, verify=NO_TLS).status_code == 200
        assert httpx.get(f"{url}/broken", timeout=30, verify=NO_TLS).status_code == 500
    lines = [json.loads(text) for text in capfd.readouterr().err.splitlines()]
    assert [(each["event"], each["path"]) for each in lines] == [("request failed", "/broken")]


def test_a_log_that_nobody_can_read_fails_no_request(settings: Settings, tmp_path: Path) -> None:
    before = sys.stderr
    closed = (tmp_path / "closed").open("w")
    closed.close()
    with served(create_app(settings)) as url:
        sys.stderr = closed
        try:
            wait_until(lambda: httpx.get(f"{url}/health", timeout=30, verify=NO_TLS).status_code == 200)
            make_logger("INFO").error("nobody reads this")
        finally:
            sys.stderr = before
