"""A heat map of counts: rows by columns, one hue by ten steps of the row's share; what is empty is not drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from api.dashboard import formats
from api.dashboard.charts.svg import element, group

CELL, GAP = 18.0, 1.0
LEFT, TOP = 64.0, 20.0
STEPS = 10
MAX_LABELS = 8


def heat_map(
    rows: Sequence[str], columns: Sequence[str], values: Mapping[tuple[int, int], float], title: str
) -> Markup:
    """Draw values at (row, column) positions; every cell says its value when it is pointed at.

    Steps of color follow the root of a cell's share of its row: late events are few beside those in time.
    """
    totals = [0.0] * len(rows)
    for (row, _), value in values.items():
        totals[row] += value
    cells = [
        element(
            "rect",
            element(
                "title",
                f"{rows[row]} on {columns[column]}: {formats.count(value)} ({formats.share(value / totals[row])})",
            ),
            x=LEFT + column * CELL,
            y=TOP + row * CELL,
            width=CELL - GAP,
            height=CELL - GAP,
            class_=f"step-{step(value / totals[row])}",
        )
        for (row, column), value in sorted(values.items())
        if value > 0
    ]
    every = max(-(-len(columns) // MAX_LABELS), 1)
    heads = [
        element("text", label, x=LEFT + number * CELL, y=TOP - 6)
        for number, label in enumerate(columns)
        if (len(columns) - 1 - number) % every == 0
    ]
    sides = [
        element("text", label, x=LEFT - 6, y=TOP + number * CELL + 12, text_anchor="end")
        for number, label in enumerate(rows)
    ]
    width, height = LEFT + len(columns) * CELL + 40, TOP + len(rows) * CELL
    return element(
        "svg",
        element("title", title),
        group(heads, class_="dates"),
        group(sides, class_="dates"),
        group(cells),
        class_="heat-map",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="img",
    )


def step(share: float) -> int:
    """Return the step of color, 0 to 9, for a share of 0 to 1."""
    return min(int(max(share, 0.0) ** 0.5 * STEPS), STEPS - 1)
