"""Signing in and out, switching the tenant, and the theme of a browser without script."""

from __future__ import annotations

import asyncio
import math

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.client_host import client_host, is_local
from api.dashboard.answers import HOME, own_place, redirect
from api.dashboard.forms import read_form
from api.dashboard.one_time_link import PARAMETER, claim
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import render
from api.dashboard.session import COOKIE, LIFETIME_SECONDS, Session
from api.dashboard.theme import COOKIE as THEME_COOKIE
from api.dashboard.theme import THEMES, theme_of
from api.dashboard.visit import visit_of
from api.errors import ApiError, InvalidRequestError
from api.state import services

YEAR_SECONDS = 365 * 86_400
WRONG = "That is neither the dashboard token nor a key that may read."
USED = "This link has been used, or is older than a day. Sign in with the token or a key."

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/")
async def root(request: Request) -> Response:
    """Lead to the overview."""
    return redirect(request, HOME)


@router.get("/login")
async def sign_in_page(request: Request) -> Response:
    """Show the form, or take a one-time link."""
    once = request.query_params.get(PARAMETER)
    if once is None:
        return _form(request, request.query_params.get("next"))
    parts = services(request)
    good = await asyncio.to_thread(claim, parts.dashboard.settings.home, once)
    session = parts.dashboard.sessions.open_for_operator(parts.clock()) if good else None
    if session is None:
        return _form(request, None, USED, 401)
    return _signed_in(request, session, HOME)


@router.post("/login")
async def sign_in(request: Request) -> Response:
    """Open a session for the token or a key, unless this client has failed too often."""
    parts = services(request)
    throttle, client = parts.dashboard.throttle, client_host(request)
    form = await read_form(request)
    wait = throttle.seconds_to_wait(client)
    if wait:
        message = f"Too many attempts. Try again in {math.ceil(wait)} seconds."
        response = _form(request, form.get("next"), message, 429)
        response.headers["retry-after"] = str(math.ceil(wait))
        return response
    session = parts.dashboard.sessions.open(form.get("token"), parts.clock())
    if session is None:
        throttle.failed(client)
        return _form(request, form.get("next"), WRONG, 401)
    throttle.succeeded(client)
    return _signed_in(request, session, own_place(form.get("next")))


@router.post("/logout")
async def sign_out(request: Request) -> Response:
    """End the session in this browser."""
    await visit_of(request).form()
    response = redirect(request, "/login")
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=_came_by_https(request))
    return response


@router.post("/tenant")
async def switch_tenant(request: Request) -> Response:
    """Let an operator look at another tenant."""
    visit = visit_of(request)
    form = await visit.form()
    if not visit.session.is_operator:
        raise ApiError(403, "A tenant's key shows that tenant alone.")
    wanted = form.get("tenant")
    if wanted not in {tenant_id for tenant_id, _ in visit.tenants()}:
        raise InvalidRequestError("There is no such tenant.")
    return _signed_in(request, visit.session.for_tenant(wanted), own_place(form.get("next")))


@router.post("/theme")
async def choose_theme(request: Request) -> Response:
    """Remember light, dark or the system's, in this browser."""
    form = await read_form(request)
    theme = form.get("theme")
    if theme not in THEMES:
        raise InvalidRequestError(f"The theme must be one of {', '.join(THEMES)}.")
    response = redirect(request, own_place(form.get("next")))
    response.set_cookie(THEME_COOKIE, theme, max_age=YEAR_SECONDS, samesite="lax", secure=_came_by_https(request))
    return response


def _form(request: Request, wanted: str | None, problem: str = "", status: int = 200) -> Response:
    place = own_place(wanted)
    text = render("login.html", next=place, problem=problem, theme=theme_of(request))
    return HTMLResponse(text, status)


def _signed_in(request: Request, session: Session, place: str) -> Response:
    response = redirect(request, place)
    parts = services(request)
    response.set_cookie(
        COOKIE,
        parts.dashboard.sessions.cookie(session),
        max_age=min(LIFETIME_SECONDS, max(session.expires - int(parts.clock().timestamp()), 0)),
        path="/",
        httponly=True,
        samesite="lax",
        secure=_came_by_https(request),
    )
    return response


def _came_by_https(request: Request) -> bool:
    """Whether the browser's connection is encrypted: ours, or that to a proxy on this machine."""
    if request.url.scheme == "https":
        return True
    peer = request.client.host if request.client else None
    return is_local(peer) and request.headers.get("x-forwarded-proto", "").split(",")[0].strip() == "https"
