"""Answers in JSON, made with less work than starlette spends on an answer of any kind."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

_JSON = (b"content-type", b"application/json")


class JsonAnswer(Response):
    """Encoded JSON with its status; `headers` in lower case."""

    def __init__(self, content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.body = content
        self.status_code = status
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(content)), _JSON]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.encode("latin-1"), value.encode("latin-1")))
