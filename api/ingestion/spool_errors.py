"""Why the spool did not take a request. Nothing of it was kept, and it can be repeated as it is."""

from __future__ import annotations

from api.errors import RETRY_AFTER_SECONDS, ApiError


class SpoolFullError(ApiError):
    """The spool holds as much as it may: 503."""

    def __init__(self) -> None:
        super().__init__(
            503, "Too much is waiting for the database. Please retry.", {"retry-after": str(RETRY_AFTER_SECONDS)}
        )


class SpoolUnavailableError(ApiError):
    """The spool cannot be used (disk full, broken or read-only): 503."""

    def __init__(self) -> None:
        super().__init__(
            503, "Events cannot be stored at the moment. Please retry.", {"retry-after": str(RETRY_AFTER_SECONDS)}
        )


class SpoolSealedError(SpoolUnavailableError):
    """The file takes no more; another would."""
