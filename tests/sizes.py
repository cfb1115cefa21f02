"""How much a test does: enough for every run, or with TIDEMARK_FAULTS=full as much as a promise is measured by."""

from __future__ import annotations

import os

FULL = os.environ.get("TIDEMARK_FAULTS") == "full"


def sized(short: int, full: int) -> int:
    """A size of a test: the one of every run, or the full one."""
    return full if FULL else short
