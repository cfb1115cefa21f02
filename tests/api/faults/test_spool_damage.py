"""The disk of the spool is full, its journal is torn, its file is damaged: what can be kept is kept."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.api.faults.ledger import Account, ClientLedger, Verdict, judge, stored_keys
from tests.api.faults.load import Load, Mix
from tests.api.faults.system import MEGABYTE, Api, report, settle, spool_files
from tests.databases import Postgres
from tests.sizes import sized
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
DISK_MEGABYTES = 8
VISITS = Mix(visits=1.0)
PAGE = 4096


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all the space that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MEGABYTE, PAGE):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


def test_a_full_disk_refuses_and_recovers_without_a_restart(api: Api, postgres: Postgres, ledger: ClientLedger) -> None:
    rounds = sized(2, 5)
    folder = api.home / "spool"
    with small_disk(folder):
        api.start()
        postgres.stop()
        with Load(api.url, ledger, seed=21, rate=2_000, mix=Mix(visits=0.3, batch=20)) as load:
            for number in range(1, rounds + 1):
                load.wait_for_more(500)
                filler = fill(folder)
                wait_until(lambda: load.statuses[503] >= 20 * number, "503 on a full disk")  # noqa: B023
                filler.unlink()
            load.wait_for_more(500)
            load.finish()
        postgres.start()
        verdict = settle(api, ledger.path)
        api.kill()
    refused = [answer for answer in load.answers if answer.status == 503]
    report("spool disk full", f"{rounds} times", f"{len(refused)} requests refused", verdict)
    assert verdict.problems == []
    assert load.statuses.keys() == {200, 202, 503}
    assert all(int(answer.retry_after or "") > 0 for answer in refused)


class Spools:
    """Copies of the spool that a killed process left, dropped before a running API, one damaged after the other."""

    def __init__(self, api: Api, postgres: Postgres, ledger: ClientLedger, events: int) -> None:
        self._api = api
        self.ledger = ledger
        self._original = api.home / "original"
        postgres.stop()
        api.start()
        with Load(api.url, ledger, seed=22, mix=VISITS, senders=1, events=events) as load:
            load.finish()
        assert load.statuses == {202: events}
        api.kill()
        (self.file,) = spool_files(api.home)
        shutil.move(api.home / "spool", self._original)
        self.file = self._original / self.file.name
        self.journal = Path(f"{self.file}-wal")
        postgres.start()
        api.start()

    def checkpointed(self) -> bytes:
        """The content of the file with all of its journal in it."""
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self.file.read_bytes()

    def deliver(self, file: bytes, journal: bytes = b"") -> tuple[Verdict, set[str]]:
        """Let the API adopt a spool with this content; returns the verdict, and the keys that are stored."""
        spool = self._api.home / "spool"
        spool.mkdir(exist_ok=True)
        path = spool / f"{uuid.uuid4()}.sqlite"
        Path(f"{path}-wal").write_bytes(journal)
        fresh = spool / "fresh"
        fresh.write_bytes(file)
        fresh.rename(path)
        wait_until(lambda: not path.exists(), "the spool is drained", 60)
        with psycopg.connect(self._api.database_url, autocommit=True) as connection:
            verdict = judge(connection, self.ledger.path)
            keys = set(stored_keys(connection))
            connection.execute(
                "TRUNCATE event_logs, ingestion_ledger, spool_receipts,"
                " retail_site_totals, retail_path_views, retail_site_users"
            )
        return verdict, keys

    @property
    def damaged(self) -> list[Path]:
        """Files that were set aside."""
        return list((self._api.home / "spool" / "damaged").glob("*.sqlite"))


def test_a_torn_commit_costs_nothing_that_was_acknowledged(api: Api, postgres: Postgres, ledger: ClientLedger) -> None:
    """The journal ends in what a crash leaves of a commit that nobody was told of: a part of it, or nonsense."""
    rounds, chance = sized(2, 50), random.Random(23)
    spools = Spools(api, postgres, ledger, events=100)
    file, journal = spools.file.read_bytes(), spools.journal.read_bytes()
    assert len(journal) > 10 * PAGE
    for _ in range(rounds):
        torn = bytearray(journal[-chance.randrange(1, 3 * PAGE) :])
        for _ in range(chance.randrange(4)):
            torn[chance.randrange(len(torn))] ^= 1 << chance.randrange(8)
        verdict, _ = spools.deliver(file, journal + bytes(torn[: chance.randrange(1, len(torn) + 1)]))
        assert verdict.problems == []
        assert verdict.rows == 100
    assert spools.damaged == []
    report("torn journal", f"{rounds} times", verdict)


def test_of_a_damaged_spool_all_that_is_readable_is_delivered(
    api: Api, postgres: Postgres, ledger: ClientLedger
) -> None:
    """Also a control: the checker finds exactly those acknowledgements lost that the damage hit."""
    rounds, chance = sized(1, 20), random.Random(24)
    spools = Spools(api, postgres, ledger, events=200)
    content = spools.checkpointed()
    keys = sorted(Account(ledger.path).acknowledged)
    # Several, where a page was split: the freed half still has what was moved.
    places = {key: [found.start() for found in re.finditer(f'"{key}"'.encode(), content)] for key in keys}
    for _ in range(rounds):
        hit = set(chance.sample(keys, 3))
        damaged = bytearray(content)
        for place in (place for key in sorted(hit) for place in places[key]):
            damaged[place + 1] ^= 1 << chance.randrange(8)
        verdict, stored = spools.deliver(bytes(damaged))
        assert stored == set(keys) - hit
        assert (verdict.missing, verdict.doubled, verdict.foreign) == (3, 0, 0)

        cut = chance.randrange(len(content) // 2, len(content))
        whole = {key for key in keys if max(places[key]) < cut // PAGE * PAGE}
        verdict, stored = spools.deliver(content[:cut])
        assert whole <= stored <= set(keys)
        assert (verdict.doubled, verdict.foreign) == (0, 0)
    reported = api.metric("tidemark_spool_damaged_total")
    report("damaged spool", f"{2 * rounds} files, {len(spools.damaged)} set aside, {reported:.0f} reported", verdict)
    assert len(spools.damaged) == 2 * rounds
    assert reported >= 2 * rounds
    assert api.log.read_text().count("spool damaged") == 2 * rounds
