"""Where the assets find the database and the files: the same settings as every other process."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from pydantic import SecretStr

from pipeline.lake.table import Lake
from pipeline.settings import Settings


class Deployment(dg.ConfigurableResource["Deployment"]):
    """One Tidemark installation.

    `home` replaces TIDEMARK_HOME when given. `as_of` (ISO 8601 with a zone) stands in for the present moment in the
    validity rules, so that a past state can be computed again.
    """

    database_url: str
    home: str = ""
    as_of: str = ""

    def settings(self) -> Settings:
        """Return the process's settings with this resource's fields in place."""
        settings = Settings(database_url=SecretStr(self.database_url))
        return settings.model_copy(update={"home": Path(self.home)}) if self.home else settings

    def lake(self) -> Lake:
        """Return the lake of this installation."""
        return Lake(self.settings().lake)

    def now(self) -> datetime:
        """Return `as_of` when given, else the present moment; always in UTC."""
        return datetime.fromisoformat(self.as_of).astimezone(UTC) if self.as_of else datetime.now(UTC)
