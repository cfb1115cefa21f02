"""A horizontal bar from zero that stretches to the room it has; its number stands beside it as text."""

from __future__ import annotations

from markupsafe import Markup

from api.dashboard.charts.svg import element

LENGTH = 1000.0


def bar(share: float, *, color: int = 0, ghost: float | None = None) -> Markup:
    """Return a bar of a share of 0 to 1 in the color of a variant; `ghost` shows a larger share behind it, paler."""
    parts = []
    if ghost is not None:
        parts.append(element("rect", width=_length(ghost), height=10, class_="ghost"))
    parts.append(element("rect", width=_length(share), height=10, class_=f"fill v{color}"))
    return element(
        "svg",
        *parts,
        class_="bar",
        viewBox=f"0 0 {LENGTH:.0f} 10",
        preserveAspectRatio="none",
        aria_hidden="true",
        focusable="false",
    )


def _length(share: float) -> float:
    return max(min(share, 1.0), 0.0) * LENGTH
