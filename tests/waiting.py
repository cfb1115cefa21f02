"""Waiting for a condition, with a deadline: the only way tests let time pass."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], what: str = "the condition", seconds: float = 30.0) -> None:
    """Return as soon as the condition holds. Raises TimeoutError, naming `what`, at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)
