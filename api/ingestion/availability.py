"""Whether Postgres takes events at the moment, as the parts of one process found out last."""

from __future__ import annotations

import threading

from api import telemetry


class Availability:
    """A flag between those who notice that the database is away and the one who notices that it is back."""

    def __init__(self) -> None:
        self._back = threading.Event()
        self._back.set()

    @property
    def available(self) -> bool:
        """Whether it was there when somebody last looked."""
        return self._back.is_set()

    def lost(self) -> None:
        """It could not be reached, or gave no answer in time."""
        self._back.clear()
        telemetry.database_available(False)

    def found(self) -> None:
        """It answered."""
        self._back.set()
        telemetry.database_available(True)
