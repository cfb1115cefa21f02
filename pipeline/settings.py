"""Settings of every Tidemark process, read from the environment once at start.

One class for all processes: the supervisor, the API, Dagster and each command see the same names and defaults.
`docs/guides/settings.md` documents each field; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """What an operator can set; an empty variable counts as unset."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(REPOSITORY / "data", description="Folder for everything written on this machine.")
    database_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="Postgres to use (version 14 or newer). Unset: an embedded one under TIDEMARK_HOME.",
    )
    postgres_binaries: Path | None = Field(
        None,
        description="Folder with the `postgres`, `initdb` and `pg_ctl` of the embedded server. Unset: the system's, "
        "else those that come with Tidemark.",
    )
    dashboard_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("DASHBOARD_TOKEN", "dashboard_token"),
        description="Secret for the dashboard and the protected metrics endpoints. `up` and `demo` make one when it is "
        "unset.",
    )
    require_api_key: bool = Field(
        False,
        validation_alias=AliasChoices("REQUIRE_API_KEY", "require_api_key"),
        description="Whether the mobile and retail endpoints, too, answer 401 without an API key. If not, a request "
        "without one acts for tenant `default`.",
    )
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        3000, validation_alias=AliasChoices("PORT", "port"), description="Port of the API and dashboard."
    )
    dagster_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        3001,
        validation_alias=AliasChoices("DAGSTER_PORT", "dagster_port"),
        description="Port of the Dagster UI, on 127.0.0.1 only: it has no sign-in.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(1, description="API processes started by `up` and `serve`.")
    spool_max_bytes: Annotated[int, Field(ge=0)] = Field(
        2**30, description="Bytes that one API process may keep in its spool; beyond it, requests get a 503."
    )
    dead_letters_per_tenant: Annotated[int, Field(ge=0)] = Field(
        10_000, description="Refused events kept for each tenant; beyond it the oldest are dropped, and counted."
    )
    dead_letter_bytes_per_tenant: Annotated[int, Field(ge=0)] = Field(
        64 * 2**20, description="Bytes of refused events kept for each tenant; beyond it the oldest are dropped too."
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    access_log: bool = Field(True, description="Whether the API logs a line for each request, at level INFO.")
    metrics_token: SecretStr | None = Field(
        None, description="Secret that `GET /metrics` asks for. Unset: it answers clients on this machine alone."
    )
    refresh_minutes: Annotated[int, Field(ge=0, le=1440)] = Field(
        5, description="Minutes between two refreshes of the published numbers, started by Dagster. 0: none."
    )
    hot_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        30, description="Days that Postgres keeps an event after its receipt; `prune` removes older ones from it."
    )
    lake_history_days: Annotated[int, Field(ge=1, le=29)] = Field(
        7, description="Days for which a former version of the lake can be read; `vacuum` removes older ones' files."
    )
    run_history_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        30,
        description="Days for which a run's record is kept once no published row names it; `prune` removes older ones.",
    )
    funnels: Path = Field(REPOSITORY / "funnels.json", description="The funnels to count: a JSON file.")
    duckdb_memory: str = Field("512MB", description="Memory limit of each DuckDB connection; beyond it, DuckDB spills.")
    duckdb_threads: Annotated[int, Field(ge=1, le=256)] = Field(2, description="Threads of each DuckDB connection.")

    @field_validator("home", "postgres_binaries", "funnels")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        """Child processes run elsewhere: a relative folder means one below the working directory of the command."""
        return folder and Path.cwd() / folder.expanduser()

    @property
    def lake(self) -> Path:
        """Root folder of the lake; `events` below it is the Delta table."""
        return self.home / "lake"

    @property
    def staging(self) -> Path:
        """Where rollups wait between computation and publication."""
        return self.home / "rollups"

    @property
    def backfills(self) -> Path:
        """Which backfills have begun and not ended."""
        return self.home / "backfills"

    @property
    def spool(self) -> Path:
        """What was accepted and is not yet in Postgres: one file for each API process."""
        return self.home / "spool"

    @property
    def spill(self) -> Path:
        """Where DuckDB spills what exceeds its memory limit."""
        return self.home / "spill"

    @property
    def explanations(self) -> Path:
        """What the lines that `explain` prints read beside the lake: assignments, so users' ids too."""
        return self.home / "explain"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME: run history, schedules and logs of Dagster."""
        return self.home / "dagster"
