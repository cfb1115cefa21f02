"""Scales of charts: round steps that people count in."""

from __future__ import annotations

import math
from collections.abc import Sequence

MAX_LINES = 5
# Values closer together than this, in proportion or at all, are one value.
LEAST_SPREAD = 1e-9


def nice_ticks(low: float, high: float, lines: int = MAX_LINES) -> Sequence[float]:
    """Return at most `lines` evenly spaced round values that cover `low` to `high`, ascending; at least two."""
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if high - low <= max(abs(low), abs(high)) * LEAST_SPREAD or high - low < LEAST_SPREAD:
        high = low + (abs(low) if abs(low) > LEAST_SPREAD else 1.0)
    raw = (high - low) / max(lines - 1, 1)
    size = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 2.5, 5, 10, 20, 25, 50):
        step = factor * size
        first = math.floor(low / step + 1e-9)
        last = math.ceil(high / step - 1e-9)
        if last - first + 1 <= lines:
            return [round(number * step, 12) for number in range(first, last + 1)]
    return [low, high]
