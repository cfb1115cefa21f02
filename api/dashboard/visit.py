"""One signed-in request for a page: who asks, for which tenant and window, and how the page is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.dashboard.answers import SignInNeededError, is_fragment
from api.dashboard.forms import CSRF_FIELD, CSRF_HEADER, Form, read_form
from api.dashboard.freshness import Freshness, Pill, pill, read_freshness
from api.dashboard.navigation import PAGES
from api.dashboard.rendering import render
from api.dashboard.session import COOKIE, Session
from api.dashboard.tables import Table, to_csv
from api.dashboard.theme import theme_of
from api.errors import ApiError, DatabaseUnavailableError, InvalidRequestError
from api.metrics.window import MetricsWindow
from api.state import Services, services

WINDOWS = (7, 14, 28, 90)
DEFAULT_WINDOW = 28
# The page does not wait longer for what the pill says of waiting events.
LAG_SECONDS = 0.05
BAD_FORM = "This form is too old, or not from here. Open the page again, and repeat what you did."

Result = TypeVar("Result")
Work = Callable[[AsyncConnection], Awaitable[Result]]


@dataclass
class Visit:
    """A request with its session. `scopes` are what the session may do now; `window` are UTC days that end today."""

    request: Request
    session: Session
    scopes: frozenset[str]
    now: datetime
    window: MetricsWindow
    services: Services
    _frame: _Frame | None = field(default=None, repr=False)

    @property
    def tenant_id(self) -> str:
        """The tenant whose data this visit sees."""
        return self.session.tenant_id

    @property
    def both_windows(self) -> MetricsWindow:
        """The window and the equally long one before it, as one."""
        return MetricsWindow(2 * self.window.days, self.window.last)

    def is_at(self, path: str) -> bool:
        """Say whether this is the page of a path, or one below it."""
        here = self.request.url.path
        return here == path or here.startswith(f"{path}/")

    def may(self, scope: str) -> bool:
        """Say whether the session may do what a scope allows."""
        return scope in self.scopes

    def require(self, scope: str) -> None:
        """Raise ApiError 403 unless the session has the scope."""
        if not self.may(scope):
            raise ApiError(403, f"This needs a key with the scope {scope!r}.")

    async def read(self, work: Work[Result]) -> Result:
        """Do `work` on a connection that sees this tenant's rows alone; what the frame shows is read with it.

        `work` must be safe to repeat. Raises DatabaseUnavailableError.
        """

        async def with_frame(connection: AsyncConnection) -> tuple[Result, _Frame]:
            found = await work(connection)
            return found, _Frame(await read_freshness(connection, self.tenant_id, self.window.last))

        lag = asyncio.ensure_future(self.services.operations.export_lag())
        try:
            found, frame = await self.services.database.run(with_frame, self.tenant_id)
            await asyncio.wait({lag}, timeout=LAG_SECONDS)
            frame.export_lag = lag.result() if lag.done() and lag.exception() is None else None
            self._frame = frame
        finally:
            lag.cancel()
        return found

    async def read_frame(self) -> None:
        """Read what the frame shows, for a page that reads nothing else; a page without a pill when that fails."""
        with suppress(DatabaseUnavailableError):
            await self.read(_nothing)

    def tenants(self) -> Sequence[tuple[str, str]]:
        """Return id and name of every tenant for an operator, in order of id; nothing for anybody else."""
        if not self.session.is_operator:
            return ()
        return sorted((tenant_id, terms.name) for tenant_id, terms in self.services.keys.tenants().items())

    async def form(self) -> Form:
        """Return the form that was sent, once it is known to come from a page of this session.

        Raises ApiError 403 for one without the session's token, and what `read_form` raises.
        """
        form = await read_form(self.request)
        given = self.request.headers.get(CSRF_HEADER) or form.get(CSRF_FIELD)
        if not self.services.dashboard.sessions.is_csrf_token(self.session, given):
            raise ApiError(403, BAD_FORM)
        return form

    def link(self, path: str | None = None, **changes: object) -> str:
        """Return the address of a page with this one's window; or of this page, parameters changed (None: left out)."""
        if path is None:
            path = self.request.url.path
            given: dict[str, object] = dict(self.request.query_params)
            given.pop("csv", None)
        else:
            given = {"days": self.window.days} if self.window.days != DEFAULT_WINDOW else {}
        wanted = {name: value for name, value in {**given, **changes}.items() if value is not None}
        return f"{quote(path)}?{urlencode(wanted)}" if wanted else quote(path)

    def page(
        self,
        template: str,
        *,
        title: str,
        tables: Sequence[Table] = (),
        numbers: Mapping[str, Callable[[], Table]] = MappingProxyType({}),
        status: int = 200,
        **context: Any,  # noqa: ANN401
    ) -> Response:
        """Return a whole page; with `?csv=NAME` the table of that name as CSV, with `?numbers=NAME` that table alone.

        `template` extends `frame.html` and finds in its context: `visit`, `tables` (by name), and `context`. Without a
        `read` before, the page has no pill. `numbers` are the tables that the page does not show but offers, by their
        names: they are long, and made when somebody asks. Raises ApiError 404 for a table that the page has not.
        """
        named = {table.name: table for table in tables}
        wanted = {name: value for name, value in self.request.query_params.items() if name in ("csv", "numbers")}
        if wanted:
            name = wanted["csv"] if "csv" in wanted else wanted["numbers"]
            if name not in named and name not in numbers:
                raise ApiError(404, "This page has no such table.")
            table = named[name] if name in named else numbers[name]()
            return csv_answer(table, self) if "csv" in wanted else self._table(title, table)
        return HTMLResponse(render(template, title=title, tables=named, **self._context(), **context), status)

    def fragment(self, template: str, *, status: int = 200, **context: Any) -> Response:  # noqa: ANN401
        """Return a part of a page, for a script of ours to put where it belongs."""
        return HTMLResponse(render(template, **self._context(), **context), status)

    def _table(self, title: str, table: Table) -> Response:
        """Return a table on a page of its own, or as a part of the page it belongs to."""
        if is_fragment(self.request):
            return self.fragment("numbers_fragment.html", table=table)
        return HTMLResponse(render("numbers.html", title=f"{table.caption}, {title}", table=table, **self._context()))

    def _context(self) -> dict[str, Any]:
        sessions = self.services.dashboard.sessions
        return {
            "visit": self,
            "now": self.now,
            "theme": theme_of(self.request),
            "csrf": sessions.csrf_token(self.session),
            "pages": PAGES,
            "windows": WINDOWS,
            "pill": self._pill(),
            "tenants": self.tenants(),
        }

    def _pill(self) -> Pill | None:
        if self._frame is None:
            return None
        minutes = self.services.dashboard.settings.refresh_minutes
        return pill(self._frame.freshness, self._frame.export_lag, self.now, minutes)


@dataclass
class _Frame:
    freshness: Freshness
    export_lag: float | None = None


def visit_of(request: Request) -> Visit:
    """Return the visit of a request.

    Raises SignInNeededError without a session, InvalidRequestError for a window that is not offered.
    """
    parts = services(request)
    now = parts.clock()
    sessions = parts.dashboard.sessions
    session = sessions.read(request.cookies.get(COOKIE), now)
    if session is None:
        raise SignInNeededError
    window = MetricsWindow(_days(request), now.date())
    return Visit(request, session, sessions.scopes(session), now, window, parts)


def csv_answer(table: Table, visit: Visit) -> Response:
    """Return a table as a file to keep, named after page, tenant and day."""
    page = visit.request.url.path.strip("/").replace("/", "-")
    page = "".join(letter for letter in page if letter.isascii() and (letter.isalnum() or letter in "-_"))[:80]
    name = f"tidemark-{page}-{table.name}-{visit.tenant_id}-{visit.window.last}.csv"
    return Response(
        to_csv(table),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _days(request: Request) -> int:
    given = [days for days in request.query_params.getlist("days") if days] or [str(DEFAULT_WINDOW)]
    if len(given) > 1 or given[0] not in {str(days) for days in WINDOWS}:
        raise InvalidRequestError(f"The window must be one of {', '.join(map(str, WINDOWS))} days.")
    return int(given[0])


async def _nothing(_: AsyncConnection) -> None:
    """Read nothing."""
