"""Answers of the dashboard: every one forbids what its pages do not need, and is compressed where that helps."""

from __future__ import annotations

import gzip
from urllib.parse import quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

# No inline script or style, nothing from elsewhere, no frame around a page: what is injected has nowhere to run.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "same-origin",  # with "no-referrer" a form's own origin would arrive as "null"
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}
MIN_COMPRESSED_BYTES = 1_000
COMPRESSION_LEVEL = 6
HOME = "/overview"


class SignInNeededError(Exception):
    """The request has no session, or one that has ended."""


def finished(request: Request, response: Response) -> Response:
    """Add what every answer of the dashboard carries, and compress it when the client takes that."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    if "cache-control" not in response.headers:
        response.headers["cache-control"] = "no-store"
    body = response.body
    if (
        len(body) >= MIN_COMPRESSED_BYTES
        and "content-encoding" not in response.headers
        and "gzip" in request.headers.get("accept-encoding", "")
    ):
        response.body = gzip.compress(body, COMPRESSION_LEVEL, mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
        response.headers["vary"] = "accept-encoding"
    return response


def is_fragment(request: Request) -> bool:
    """Whether a script of ours asks for a part of a page rather than a person for a page."""
    return request.headers.get("hx-request") == "true"


def redirect(request: Request, place: str) -> Response:
    """Lead to another page of ours with GET."""
    if is_fragment(request):
        return Response(status_code=204, headers={"hx-redirect": place})
    return Response(status_code=303, headers={"location": place})


def to_sign_in(request: Request) -> Response:
    """Lead to the sign-in, and back to the page that was asked for afterwards."""
    if request.method != "GET" or is_fragment(request):
        return redirect(request, "/login")
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = f"{quote(request.url.path)}{query}"
    return redirect(request, "/login" if wanted in ("/", HOME) else f"/login?{urlencode({'next': wanted})}")


def own_place(given: str | None) -> str:
    """Return where a form wants to lead, if that is a page of ours; the overview for anything else.

    A browser takes `//host`, `/\\host` and control characters for other places than they seem.
    """
    if not given or len(given) > 2_000 or not given.isascii() or not given.isprintable() or "\\" in given:
        return HOME
    try:
        parts = urlsplit(given)
    except ValueError:
        return HOME
    is_ours = not parts.scheme and not parts.netloc and parts.path.startswith("/") and not given.startswith("//")
    return given if is_ours and parts.path not in ("/login", "/logout") else HOME
