"""What the tests of the store share: an async connection for each piece of work, and definitions that are right."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from pipeline.experiments.definition import StoredExperiment
from pipeline.experiments.fields import read_new, read_patch
from pipeline.experiments.planning import Author
from pipeline.experiments.store import change_experiment, create_experiment

Result = TypeVar("Result")
VARIANTS = [{"key": "A", "weight": 0.5, "isControl": True}, {"key": "B", "weight": 0.5}]


def run(database_url: str, work: Callable[[psycopg.AsyncConnection], Awaitable[Result]]) -> Result:
    """Do work on a connection of its own."""

    async def connected() -> Result:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            return await work(connection)

    return asyncio.run(connected())


def author(by: str = "key-1") -> Author:
    return Author(by, uuid.uuid4())


def create(
    database_url: str, experiment_id: str = "exp", *, tenant_id: str = "default", by: str = "key-1", **fields: Any
) -> StoredExperiment:
    definition = read_new({"name": experiment_id, "variants": VARIANTS, **fields})
    return run(
        database_url, lambda connection: create_experiment(connection, tenant_id, experiment_id, definition, author(by))
    )


def change(
    database_url: str, experiment_id: str = "exp", *, tenant_id: str = "default", by: str = "key-1", **fields: Any
) -> StoredExperiment:
    edit = read_patch(fields)
    return run(
        database_url, lambda connection: change_experiment(connection, tenant_id, experiment_id, edit, author(by))
    )
