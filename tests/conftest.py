"""Fixtures shared by all tests: a real Postgres, and an empty migrated database for each test that asks for one.

And the order of the files: the longest first, so that none begins when all others are done.
"""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import psycopg
import pytest

from pipeline.settings import REPOSITORY
from tests.databases import migrated_database, server_url, template_server

# Those that take longest, the longest first.
LONGEST = (
    "dagster_project/test_processes.py",
    "pipeline/refresh/test_refresh.py",
    "cli/demo/test_command.py",
    "pipeline/rollups/test_rollups_oracle.py",
    "api/faults/test_kills.py",
    "pipeline/refresh/test_refresh_faults.py",
    "pipeline/export/test_export_faults.py",
    "pipeline/lake/test_maintenance_faults.py",
    "pipeline/rollups/test_backfill.py",
    "api/test_schema.py",
    "cli/test_running_system.py",
    "api/dashboard/test_browser.py",
    "api/dashboard/test_management_browser.py",
    "dagster_project/test_audit.py",
    "api/faults/test_outages.py",
)

# The same examples in every run; what takes long is judged by benchmarks, not by tests.
hypothesis.settings.register_profile("tidemark", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("tidemark")


def pytest_configure(config: pytest.Config) -> None:
    """Keep our order: xdist would begin with the files of many tests, and end with those that take a minute for one."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, then the others that have slow tests; each file stays together."""
    places = {REPOSITORY / "tests" / name: place for place, name in enumerate(LONGEST)}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: places.get(item.path, len(places) + (item.path not in slow)))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a Postgres of this test run, without a database name at its end."""
    with template_server(fsync="off", max_connections="200") as server:
        yield server_url(server)


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """URL of a fresh, migrated database with nothing in it but the default tenant."""
    with migrated_database(postgres_server) as url:
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the test's database."""
    with psycopg.connect(database_url, autocommit=True) as open_connection:
        yield open_connection
