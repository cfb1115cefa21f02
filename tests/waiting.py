"""Waiting for a condition, with a deadline: the only way tests let time pass."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], *, seconds: float = 30.0) -> None:
    """Return as soon as the condition holds. Raises TimeoutError at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition did not come true within {seconds} s")
        time.sleep(0.02)
