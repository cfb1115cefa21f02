"""Fixtures of the API tests: an application in this process with a clock of the test's, and its client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from pipeline.settings import Settings
from tests.api.servers import served
from tests.makers import NOW

TOKEN = "a-token-of-the-tests"


class SettableClock:
    """A clock that stands still until the test moves it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(NOW)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate({"database_url": database_url, "dashboard_token": TOKEN, "home": tmp_path})


@pytest.fixture
def client(settings: Settings, clock: SettableClock) -> Iterator[httpx.Client]:
    """A client of the application, which runs for the test and shares its database with `connection`."""
    with served(create_app(settings, clock)) as url, httpx.Client(base_url=url, timeout=30) as running:
        yield running
