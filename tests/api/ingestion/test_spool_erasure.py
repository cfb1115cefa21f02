"""Before an erasure, spools are emptied into Postgres, and their files keep no bytes of what was in them."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from api.ingestion import spool_erasure
from api.ingestion.delivery import Delivery
from api.ingestion.spool_erasure import SpoolNotDrainedError, empty_spools
from api.ingestion.spool_file import SpoolFile
from api.request_log import make_logger
from pipeline.settings import Settings
from tests.makers import NOW

USER = b"the-person-in-the-spool"
LOG = make_logger("ERROR")


def visit(number: int) -> Delivery:
    body = b'{"site_id":"s","event_type":"page_view","path":"/%d","user_id":"%s"}' % (number, USER)
    return Delivery("retail", "default", NOW + timedelta(seconds=number), body, ())


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_the_spool_of_a_process_that_ended_is_drained(
    connection: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    file = SpoolFile.create(settings.spool)
    file.append([visit(number) for number in range(50)])
    file.seal()
    file.close()
    assert USER in content(settings.spool)
    empty_spools(settings, database_url, NOW + timedelta(minutes=1), LOG)
    assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (50,)
    assert USER not in content(settings.spool)


def test_free_pages_of_a_spool_in_use_are_overwritten(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    file = SpoolFile.create(settings.spool)
    for number in range(20):
        file.append([visit(number)] * 20)
    file.forget(20)
    assert USER in content(settings.spool)
    assert empty_spools(settings, database_url, NOW + timedelta(minutes=1), LOG) == 1
    assert USER not in content(settings.spool)
    file.append([visit(21)])  # its process goes on
    assert [len(group.deliveries) for group in file.read(20)] == [1]
    file.forget(21)
    file.close()


def test_what_came_later_is_left_to_its_process(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    file = SpoolFile.create(settings.spool)
    file.append([visit(5)])
    empty_spools(settings, database_url, NOW, LOG)
    assert file.entries == 1
    file.forget(1)
    file.close()


def test_a_spool_that_nobody_drains_is_named(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    file = SpoolFile.create(settings.spool)  # claimed by this process, which does not drain
    file.append([visit(1)])
    with pytest.raises(SpoolNotDrainedError, match=str(file.spool_id)):
        empty_spools(settings, database_url, NOW + timedelta(minutes=1), LOG, patience=0.5)
    file.forget(1)
    file.close()


def test_a_file_that_another_reads_is_tried_again(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_erasure, "BUSY_SECONDS", 0.05)
    settings = Settings(home=tmp_path)
    file = SpoolFile.create(settings.spool)
    file.append([visit(1)])
    file.forget(1)
    with sqlite3.connect(file.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolNotDrainedError, match="in use"):
            empty_spools(settings, database_url, NOW, LOG, patience=0.3)
        other.execute("ROLLBACK")
    assert empty_spools(settings, database_url, NOW, LOG) == 1
    file.close()
