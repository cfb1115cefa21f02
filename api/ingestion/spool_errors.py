"""Why the spool did not take a request."""

from __future__ import annotations

from api.errors import NotKeptError


class SpoolFullError(NotKeptError):
    """The spool holds as much as it may."""

    def __init__(self) -> None:
        super().__init__("Too much is waiting for the database. Please retry.", "spool_full")


class SpoolUnavailableError(NotKeptError):
    """The spool cannot be used (disk full, broken or read-only)."""

    def __init__(self) -> None:
        super().__init__("Events cannot be stored at the moment. Please retry.", "spool_unavailable")


class SpoolSealedError(SpoolUnavailableError):
    """The file takes no more; another would."""
