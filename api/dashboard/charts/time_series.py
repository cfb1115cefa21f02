"""Lines over UTC days: drawn here as SVG, and given to a script that draws them again with values at the pointer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

from api.dashboard import formats
from api.dashboard.charts.scale import nice_ticks
from api.dashboard.charts.sparkline import runs
from api.dashboard.charts.svg import element, group, points
from pipeline.clock import day_start

WIDTH, HEIGHT = 760.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 10.0, 24.0
MAX_DATES = 7
COLORS = 7
AXIS_WRITERS: dict[str, Any] = {
    "count": formats.short_count,
    "share": lambda value: f"{value * 100:g}%",
    "seconds": formats.seconds,
    "bytes": formats.byte_size,
}


@dataclass(frozen=True)
class Series:
    """One line: a label, a value or None for each day, the number of a color, and how many people each value is of."""

    label: str
    values: Sequence[float | None]
    color: int = 0
    of: Sequence[float | None] | None = None


@dataclass(frozen=True)
class TimeSeries:
    """Lines over the same days. `kind` is one of AXIS_WRITERS; the last `partial` days are dashed."""

    title: str
    days: Sequence[date]
    series: Sequence[Series]
    kind: str = "count"
    partial: int = 0
    from_zero: bool = True

    def data(self) -> str:
        """Return the chart as JSON for the script: days as seconds since 1970, one list of values for each line."""
        return json.dumps(
            {
                "title": self.title,
                "kind": self.kind,
                "partial": self.partial,
                "zero": self.from_zero,
                "days": [int(day_start(day).timestamp()) for day in self.days],
                "series": [
                    {
                        "label": line.label,
                        "color": line.color % COLORS,
                        "values": list(line.values),
                        "of": None if line.of is None else list(line.of),
                    }
                    for line in self.series
                ],
            },
            separators=(",", ":"),
            allow_nan=False,
        )

    def svg(self) -> Markup:
        """Return the chart as SVG, which is what shows until the script has drawn it, and without one."""
        known = [value for line in self.series for value in line.values if value is not None]
        low = 0.0 if self.from_zero else min(known, default=0.0)
        ticks = nice_ticks(low, max(known, default=1.0))
        bottom, top = ticks[0], ticks[-1]

        def x(number: int) -> float:
            return LEFT + (WIDTH - LEFT - RIGHT) * (number / max(len(self.days) - 1, 1))

        def y(value: float) -> float:
            return HEIGHT - BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

        write = AXIS_WRITERS[self.kind]
        grid = [
            group(
                (
                    element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick)),
                    element("text", write(tick), x=LEFT - 6, y=y(tick) + 4, text_anchor="end"),
                )
            )
            for tick in ticks
        ]
        every = max(-(-len(self.days) // MAX_DATES), 1)
        dates = [
            element("text", f"{day.day} {day:%b}", x=x(number), y=HEIGHT - 6, text_anchor="middle")
            for number, day in enumerate(self.days)
            if (len(self.days) - 1 - number) % every == 0
        ]
        return element(
            "svg",
            element("title", self.title),
            group(grid, class_="grid"),
            group(dates, class_="dates"),
            *[self._line(line, x, y) for line in self.series],
            class_="series",
            viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
            role="img",
        )

    def _line(self, line: Series, x: Any, y: Any) -> Markup:  # noqa: ANN401 - two functions of svg()
        places = [None if value is None else (x(number), y(value)) for number, value in enumerate(line.values)]
        complete = len(places) - self.partial
        parts = [element("polyline", points=points(run), class_="line") for run in runs(places[:complete])]
        if self.partial and complete > 0:
            open_part = places[complete - 1 :]
            parts += [element("polyline", points=points(run), class_="line partial") for run in runs(open_part)]
        return group(parts, class_=f"v{line.color % COLORS}")


def variant_colors(variants: Sequence[tuple[str, bool]]) -> dict[str, int]:
    """Return the number of a color for each variant id, given with whether it is the control: grey for the control.

    Others take the colors in their order; beyond six they repeat, and the label tells them apart.
    """
    others = [variant_id for variant_id, is_control in variants if not is_control]
    colors = {variant_id: 1 + number % (COLORS - 1) for number, variant_id in enumerate(others)}
    return {**{variant_id: 0 for variant_id, is_control in variants if is_control}, **colors}
