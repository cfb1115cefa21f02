"""Servers that die at a chosen point, or break a promise on purpose: for `uvicorn --factory`."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from fastapi import FastAPI

from api import main
from api.ingestion import drain, spool_file
from api.ingestion.delivery import Delivery
from api.ingestion.spool import Spool
from api.ingestion.spool_file import SpoolFile
from pipeline.ingestion.event_store import StoreResult

EARLY_SECONDS = 0.5


def dies_before_forgetting() -> FastAPI:
    """Dies when a group is stored in Postgres and still in the spool."""
    forget = SpoolFile.forget

    def die(file: SpoolFile, up_to_seq: int) -> int:
        if up_to_seq > file.forgotten:
            os.kill(os.getpid(), signal.SIGKILL)
        return forget(file, up_to_seq)

    SpoolFile.forget = die
    return main.app()


def dies_before_committing() -> FastAPI:
    """Dies when a group is written in Postgres, but not committed."""
    write = drain.write

    def die(connection: psycopg.Connection, *arguments: Any, **options: Any) -> StoreResult:
        write(connection, *arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    drain.write = die
    return main.app()


def acknowledges_early() -> FastAPI:
    """Answers before anything is kept: what the ledgers of these tests must notice."""
    keep = Spool.keep
    later: set[asyncio.Task[None]] = set()

    async def keep_later(spool: Spool, delivery: Delivery) -> None:
        await asyncio.sleep(EARLY_SECONDS)
        await keep(spool, delivery)

    async def answer(spool: Spool, delivery: Delivery) -> None:
        later.add(asyncio.ensure_future(keep_later(spool, delivery)))

    Spool.keep = answer
    return main.app()


def never_syncs() -> FastAPI:
    """Writes the spool without waiting for the disk: what the trace of system calls must notice."""
    configure = spool_file._configure

    def careless(connection: sqlite3.Connection, *, durable: bool) -> None:
        configure(connection, durable=durable)
        connection.execute("PRAGMA synchronous = OFF")

    spool_file._configure = careless
    return main.app()


@contextmanager
def slow_inserts(database_url: str, seconds_per_event: float) -> Iterator[None]:
    """Make every event of a database take that long."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(TG_ARGV[0]::float8); RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER linger BEFORE INSERT ON event_logs"
            f" FOR EACH ROW EXECUTE FUNCTION linger('{seconds_per_event}')".encode()
        )
        yield
        connection.execute("DROP TRIGGER linger ON event_logs")
