"""A line without axes beside a number: where it went, gaps as gaps, the day that is not over dashed."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from api.dashboard.charts.svg import element, points

WIDTH, HEIGHT, MARGIN = 160.0, 36.0, 3.0


def sparkline(values: Sequence[float | None], label: str, *, partial: int = 0, from_zero: bool = True) -> Markup:
    """Return a sparkline of values in order; the last `partial` of them are not complete and are dashed.

    `label` is what a screen reader says. Nothing but a flat line shows for no value or one.
    """
    known = [value for value in values if value is not None]
    low = 0.0 if from_zero or not known else min(known)
    high = max(known, default=0.0)
    spread = (high - low) or 1.0
    step = (WIDTH - 2 * MARGIN) / max(len(values) - 1, 1)
    places = [
        None
        if value is None
        else (MARGIN + number * step, HEIGHT - MARGIN - (value - low) / spread * (HEIGHT - 2 * MARGIN))
        for number, value in enumerate(values)
    ]
    complete = len(values) - partial
    parts = [element("polyline", points=points(run), class_="line") for run in runs(places[:complete])]
    if partial and complete > 0:
        parts += [
            element("polyline", points=points(run), class_="line partial") for run in runs(places[complete - 1 :])
        ]
    last = next((place for place in reversed(places[:complete]) if place is not None), None)
    if last is not None:
        parts.append(element("circle", cx=last[0], cy=last[1], r=2.0, class_="end"))
    return element(
        "svg",
        element("title", label),
        *parts,
        class_="sparkline",
        viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        role="img",
        preserveAspectRatio="none",
    )


def runs(places: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """Return the stretches between gaps; a lone point becomes a dash that can be seen."""
    found: list[list[tuple[float, float]]] = []
    current: list[tuple[float, float]] = []
    for place in (*places, None):
        if place is not None:
            current.append(place)
        elif current:
            found.append(current if len(current) > 1 else [current[0], (current[0][0] + 0.5, current[0][1])])
            current = []
    return found
