"""Light or dark: a cookie of the browser that the server reads, so that no page flashes in the other theme first."""

from __future__ import annotations

from starlette.requests import Request

COOKIE = "tidemark_theme"
THEMES = ("system", "light", "dark")


def theme_of(request: Request) -> str:
    """Return the theme this browser chose: `light`, `dark`, or `system`, which follows the machine."""
    chosen = request.cookies.get(COOKIE)
    return chosen if chosen in THEMES else THEMES[0]
