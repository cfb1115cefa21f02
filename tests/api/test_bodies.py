"""Unfinished bodies are counted over all connections: those beyond what a process holds are refused, then forgotten."""

from __future__ import annotations

import contextlib
import select
import socket

import httpx

from api.bodies import MAX_BODY_BYTES, MAX_UNFINISHED_BYTES
from tests.waiting import wait_until

HEAD = b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % MAX_BODY_BYTES
SURPLUS = 6


def test_unfinished_bodies_beyond_the_limit_get_a_503_until_others_end(client: httpx.Client) -> None:
    small = b'{"anonymous_user_id":"u","events":[{"event_name":"e","occurred_at":"2026-02-18"}]}'
    large = small + b" " * (MAX_BODY_BYTES - len(small))
    with contextlib.ExitStack() as connections:
        unfinished = [
            connections.enter_context(
                socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30)
            )
            for _ in range(MAX_UNFINISHED_BYTES // MAX_BODY_BYTES + SURPLUS)
        ]
        for connection in unfinished:
            connection.sendall(HEAD + large[:-1])

        def answered() -> list[socket.socket]:
            return select.select(unfinished, [], [], 0)[0]

        wait_until(lambda: len(answered()) >= SURPLUS, "those that are too much are refused")
        for connection in answered():
            answer = connection.recv(2**16)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: " in answer
        assert client.post("/v1/events", content=small).status_code == 200
    wait_until(lambda: client.post("/v1/events", content=large).status_code == 200, "the others are forgotten")
