"""GET /docs, the reference of all endpoints; GET /api, those of the campaign protocol with a key to try them."""

from __future__ import annotations

import copy
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from api.reference.page import Reference, render

FOLDER = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
STYLESHEET = "/reference.css"
SCRIPT = "/reference.js"
KEY_ENTRY = (
    "<p>Enter an API key, fill in a request and send it: the answer appears below. The key stays in this page and is "
    "forgotten when you leave it.</p>"
    '<form id="key"><label>API key '
    '<input name="key" type="password" autocomplete="off" spellcheck="false"></label></form>'
    "<noscript><p>Sending requests from this page needs JavaScript; the reference does not.</p></noscript>"
)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Show the reference of all endpoints."""
    schema = request.app.openapi()
    info = schema["info"]
    introduction = (
        f"<p>{info['description']}</p>"
        '<p>As OpenAPI: <a href="openapi.json">openapi.json</a>. '
        '<a href="/api">The campaign endpoints</a> can be tried from a page.</p>'
    )
    return _page(render(schema, Reference(f"{info['title']} API {info['version']}", introduction, STYLESHEET)))


@router.get("/api")
async def campaign_docs(request: Request) -> Response:
    """Show the campaign endpoints, with fields to send requests from."""
    schema = copy.copy(request.app.openapi())
    schema["paths"] = {path: methods for path, methods in schema["paths"].items() if path.startswith("/api/")}
    return _page(render(schema, Reference("Campaign API", KEY_ENTRY, STYLESHEET, SCRIPT)))


@router.get(STYLESHEET)
async def stylesheet() -> Response:
    """Return the pages' stylesheet."""
    return Response((FOLDER / "reference.css").read_bytes(), media_type="text/css; charset=utf-8")


@router.get(SCRIPT)
async def script() -> Response:
    """Return the script that sends requests."""
    return Response((FOLDER / "reference.js").read_bytes(), media_type="text/javascript; charset=utf-8")


def _page(content: str) -> Response:
    return HTMLResponse(content, headers={"content-security-policy": POLICY, "referrer-policy": "no-referrer"})
