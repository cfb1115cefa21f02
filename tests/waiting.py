"""Waiting for a condition, with a deadline: the only way tests let time pass."""

from __future__ import annotations

import time
from collections.abc import Callable

SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 0.5


def wait_until(condition: Callable[[], object], what: str = "the condition", seconds: float = 60.0) -> None:
    """Return as soon as the condition holds. Raises TimeoutError, naming `what`, at the deadline.

    Between two looks it pauses for four times as long as a look took: most of the time is for what is waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        if condition():
            return
        ended = time.monotonic()
        if ended > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(min(max(4 * (ended - begun), SHORTEST_PAUSE), LONGEST_PAUSE))
