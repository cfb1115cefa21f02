"""The answer to "where does this come from?": a panel that a page's script opens, or a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from api.dashboard.answers import is_fragment
from api.dashboard.sql_text import highlighted
from api.dashboard.tables import Table
from api.dashboard.visit import Visit


def panel(visit: Visit, content: str, heading: str, *, tables: Sequence[Table] = (), **context: Any) -> Response:  # noqa: ANN401 - what the template shows
    """Return what the template `content` tells of something that has the name `heading`."""
    shown = {
        "content": content,
        "heading": heading,
        "highlighted": highlighted,
        "is_operator": visit.session.is_operator,
        **context,
    }
    if is_fragment(visit.request):
        return visit.fragment("provenance_panel.html", tables={table.name: table for table in tables}, **shown)
    return visit.page("provenance.html", title=f"Where does this come from? {heading}", tables=tables, **shown)
