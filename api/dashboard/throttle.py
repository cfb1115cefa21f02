"""Slows down who guesses: counts failed sign-ins per client address, in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

# So many failures, one more every so many seconds: a forgetful person goes on, a program tries 2,880 secrets a day.
BURST = 8
REFILL_SECONDS = 30.0
# Addresses remembered; the one that was quiet for longest makes room.
MAX_ADDRESSES = 10_000


class Throttle:
    """A bucket of attempts for each address. Each process has its own: with several, a client gets as many more."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, address: str | None) -> float:
        """Return 0 when the address may try now, else in how many seconds it may."""
        return max((self._failed(address or "") - BURST + 1) * REFILL_SECONDS, 0.0)

    def failed(self, address: str | None) -> None:
        """Count a failure."""
        key = address or ""
        self._failures[key] = (self._failed(key) + 1, self._monotonic())
        self._failures.move_to_end(key)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str | None) -> None:
        """Forget the failures of who knows a secret after all."""
        self._failures.pop(address or "", None)

    def _failed(self, key: str) -> float:
        failures, at = self._failures.get(key, (0.0, 0.0))
        return max(failures - (self._monotonic() - at) / REFILL_SECONDS, 0.0)
