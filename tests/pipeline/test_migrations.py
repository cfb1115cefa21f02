"""Migrations run once, in order, safely from two processes at once, and refuse edited history."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pipeline.migrations import MigrationError, migrate, read_migrations


@pytest.fixture
def empty_database(connection: psycopg.Connection, database_url: str) -> str:
    connection.execute("DROP SCHEMA public CASCADE")
    connection.execute("CREATE SCHEMA public")
    return database_url


def test_applies_every_migration_once(empty_database: str) -> None:
    names = [migration.name for migration in read_migrations()]
    assert migrate(empty_database) == names
    assert migrate(empty_database) == []


def test_two_processes_starting_at_once_apply_each_migration_once(empty_database: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        applied = [name for names in pool.map(migrate, [empty_database] * 8) for name in names]
    assert sorted(applied) == [migration.name for migration in read_migrations()]


def test_refuses_an_edited_applied_migration(empty_database: str) -> None:
    migrate(empty_database)
    first, *rest = read_migrations()
    with pytest.raises(MigrationError, match=r"0001_\w+ was edited after it was applied"):
        migrate(empty_database, [replace(first, text=first.text + "-- edited"), *rest])


def test_refuses_a_database_newer_than_the_code(empty_database: str) -> None:
    migrate(empty_database)
    with pytest.raises(MigrationError, match="does not know"):
        migrate(empty_database, read_migrations()[:-1])


def test_a_failing_migration_leaves_no_trace(empty_database: str, connection: psycopg.Connection) -> None:
    known = read_migrations()
    broken = replace(known[0], number=len(known) + 1, name="9999_broken", text="CREATE TABLE half (); SELECT 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_database, [*known, broken])
    assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
    assert migrate(empty_database) == []


def test_experiments_of_before_versions_have_a_first_one(empty_database: str, connection: psycopg.Connection) -> None:
    known = read_migrations()
    before = next(number for number, migration in enumerate(known) if migration.name == "0017_experiment_management")
    migrate(empty_database, known[:before])
    connection.execute(
        "INSERT INTO experiments (experiment_id, status, created_at) VALUES"
        " ('old', 'RUNNING', '2026-01-01Z'), ('empty', 'DRAFT', '2026-01-02Z')"
    )
    connection.execute(
        "INSERT INTO experiment_variants (experiment_id, variant_id, variant_name, is_control, weight) VALUES"
        " ('old', 'b', 'Blue', false, 3), ('old', 'a', 'Grey', true, 1)"
    )
    migrate(empty_database)
    found = connection.execute(
        "SELECT experiment_id, version, variants, since = '2026-01-01Z'::timestamptz FROM experiment_versions"
        " ORDER BY experiment_id"
    ).fetchall()
    assert found == [
        ("empty", 1, [], False),
        ("old", 1, [
            {"key": "a", "name": "Grey", "weight": 1, "isControl": True, "config": {}},
            {"key": "b", "name": "Blue", "weight": 3, "isControl": False, "config": {}},
        ], True),
    ]  # fmt: skip


def test_refuses_a_gap_and_a_wrong_name(tmp_path: Path) -> None:
    (tmp_path / "0002_second.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="expected number 0001"):
        read_migrations(tmp_path)
    (tmp_path / "third.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="named like"):
        read_migrations(tmp_path)
