from __future__ import annotations

import asyncio
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from api.errors import OverloadedError
from api.ingestion import spool as spool_module
from api.ingestion.spool import Spool
from api.ingestion.spool_errors import SpoolFullError, SpoolUnavailableError
from api.request_log import make_logger
from tests.api.ingestion.deliveries import MOMENT, adopt_all, drain, make_delivery, number_of, numbers_in
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


def make_spool(folder: Path, max_bytes: int = 2**30, **options: int) -> Spool:
    made = Spool(folder, make_logger("ERROR"), max_bytes=max_bytes, **options)
    made.start()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    made = make_spool(folder)
    yield made
    made.close()


def keep(spool: Spool, *numbers: int, size: int = 100) -> list[Exception | None]:
    """Keep deliveries at the same time and return how that ended for each."""

    async def keep_all() -> list[Exception | None]:
        return await asyncio.gather(
            *(spool.keep(make_delivery(number, size)) for number in numbers), return_exceptions=True
        )

    return asyncio.run(keep_all())


def drain_all(spool: Spool) -> list[int]:
    """Empty the spool as the drain does and return the numbers in the order in which they came."""
    spool.adopt()
    found = []
    for file in spool.files():
        while groups := file.read(file.forgotten):
            found += [number_of(delivery) for group in groups for delivery in group.deliveries]
            spool.forget(file, groups[-1].seq)
        spool.release(file)
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name.partition(".")[2] for path in folder.iterdir())


# The queue


def test_what_is_kept_is_drained_in_order(spool: Spool) -> None:
    for number in range(20):
        assert keep(spool, number) == [None]
    assert drain_all(spool) == list(range(20))
    assert drain_all(spool) == []


def test_what_waits_together_is_written_together(spool: Spool) -> None:
    assert keep(spool, *range(500)) == [None] * 500
    groups = spool.files()[0].read()
    assert len(groups) < 50
    assert [number_of(delivery) for group in groups for delivery in group.deliveries] == list(range(500))


def test_a_process_that_never_spools_makes_no_file(folder: Path) -> None:
    spool = make_spool(folder)
    assert spool.adopt() == 0
    assert (spool.files(), spool.entries, spool.bytes, spool.oldest_received_at, spool.problem) == (
        [],
        0,
        0,
        None,
        None,
    )
    spool.close()
    spool.close()
    assert not folder.exists()


def test_an_empty_spool_leaves_nothing_behind(folder: Path) -> None:
    spool = make_spool(folder)
    keep(spool, 1, 2, 3)
    assert names(folder) == ["lock", "sqlite", "sqlite-shm", "sqlite-wal"]
    drain_all(spool)
    spool.close()
    assert names(folder) == []


def test_its_numbers_tell_what_it_holds_and_did(spool: Spool) -> None:
    keep(spool, *range(10))
    assert (spool.entries, spool.appended, spool.drained, spool.damaged) == (10, 10, 0, 0)
    assert spool.oldest_received_at == MOMENT
    assert spool.bytes > 1000
    wait_until(spool.arrived.is_set, "the drain is told")
    drain_all(spool)
    assert (spool.entries, spool.bytes, spool.appended, spool.drained) == (0, 0, 10, 10)
    assert spool.oldest_received_at is None


def test_a_file_left_behind_is_drained_before_our_own(folder: Path) -> None:
    first = make_spool(folder)
    keep(first, 0, 1)
    first.close()
    second = make_spool(folder)
    keep(second, 2)
    assert second.adopt() == 1
    assert (second.entries, second.oldest_received_at) == (3, MOMENT)
    assert drain_all(second) == [0, 1, 2]
    assert second.drained == 3
    assert names(folder) == ["lock", "sqlite", "sqlite-shm", "sqlite-wal"]
    second.close()
    assert names(folder) == []


def test_what_waits_is_written_at_the_end_and_nothing_is_taken_after_it(folder: Path) -> None:
    spool = make_spool(folder)

    async def close_while_keeping() -> list[object]:
        waiting = [asyncio.ensure_future(spool.keep(make_delivery(number))) for number in range(200)]
        await asyncio.sleep(0)
        await asyncio.to_thread(spool.close)
        outcomes: list[object] = await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(OverloadedError):
            await spool.keep(make_delivery(999))
        return outcomes

    assert asyncio.run(close_while_keeping()) == [None] * 200
    (left,) = adopt_all(folder)
    assert drain(left) == list(range(200))
    left.close()


def test_a_request_that_was_given_up_before_its_turn_is_not_written(folder: Path) -> None:
    spool = Spool(folder, make_logger("ERROR"), max_bytes=2**30)

    async def give_up_one() -> None:
        waiting = [asyncio.ensure_future(spool.keep(make_delivery(number))) for number in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.wait([waiting[1]])
        spool.start()
        await asyncio.gather(waiting[0], waiting[2])

    asyncio.run(give_up_one())
    assert drain_all(spool) == [0, 2]
    spool.close()


# Its limits


def test_a_queue_beyond_its_bytes_refuses_and_what_it_took_is_kept(folder: Path) -> None:
    spool = make_spool(folder, queue_bytes=20_000)
    outcomes = keep(spool, *range(100), size=1_500)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 10 + [OverloadedError] * 90
    assert keep(spool, 100, size=1_500) == [None]
    assert drain_all(spool) == [*range(10), 100]
    spool.close()


def test_files_beyond_their_bytes_refuse_until_they_are_drained(folder: Path) -> None:
    first = make_spool(folder, max_bytes=60_000)
    for number in range(5):
        assert keep(first, number, size=10_000) == [None]
    (outcome,) = keep(first, 5, size=10_000)
    assert isinstance(outcome, SpoolFullError)
    first.close()
    spool = make_spool(folder, max_bytes=60_000)
    spool.adopt()
    (outcome,) = keep(spool, 6, size=10_000)
    assert isinstance(outcome, SpoolFullError), "what was adopted counts"
    assert drain_all(spool) == [0, 1, 2, 3, 4]
    assert keep(spool, 7, size=10_000) == [None]
    assert drain_all(spool) == [7]
    spool.close()


# Trouble


def test_a_folder_that_cannot_be_written_is_named_until_it_can(folder: Path) -> None:
    spool = make_spool(folder)
    folder.touch()
    (outcome,) = keep(spool, 1)
    assert isinstance(outcome, SpoolUnavailableError)
    assert spool.problem is not None
    assert "spool" in spool.problem
    assert spool.entries == 0
    folder.unlink()
    assert keep(spool, 2) == [None]
    assert spool.problem is None
    assert drain_all(spool) == [2]
    spool.close()


def test_an_old_problem_is_worth_another_try(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = make_spool(folder)
    folder.touch()
    keep(spool, 1)
    assert spool.problem is not None
    monkeypatch.setattr(spool_module, "PROBLEM_SECONDS", 0.0)
    assert spool.problem is None
    spool.close()


def test_damage_is_set_aside_and_the_rest_goes_on_in_a_new_file(spool: Spool, folder: Path) -> None:
    for number in range(6):
        keep(spool, number)
    (file,) = spool.files()
    with sqlite3.connect(file.path) as connection:
        connection.execute("UPDATE groups SET payload = x'00' WHERE seq = 3")
    connection.close()
    assert file.read(0, max_deliveries=1)[0].seq == 1
    assert keep(spool, 6) == [None]
    found = drain_all(spool)
    assert keep(spool, 7) == [None]
    wait_until(lambda: found.extend(drain_all(spool)) or 7 in found, "the rest")
    assert found == [0, 1, 3, 4, 5, 6, 7]
    assert spool.damaged == 1
    assert [path.name for path in (folder / "damaged").iterdir()] == [file.path.name]
    assert [other.spool_id for other in spool.files()] != [file.spool_id]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small disk here")
    yield small
    subprocess.run(["umount", "-l", small], check=True)


def test_a_full_disk_refuses_draining_frees_it_and_nothing_kept_is_lost(small_disk: Path) -> None:
    spool = make_spool(small_disk / "spool")
    kept: list[int] = []
    refused = 0
    found: list[int] = []
    for turn in range(5):
        refused_before = refused
        for first in range(turn * 1000, turn * 1000 + 1000, 8):
            numbers = range(first, first + 8)
            for number, outcome in zip(numbers, keep(spool, *numbers, size=2_000), strict=True):
                assert outcome is None or isinstance(outcome, SpoolUnavailableError)
                if outcome is None:
                    kept.append(number)
                else:
                    refused += 1
        assert refused > refused_before, "the disk was not full"
        found += drain_all(spool)
        assert spool.entries == 0
    assert keep(spool, 9999) == [None]
    assert drain_all(spool) == [9999]
    sys.stdout.write(f"full disk: {len(kept)} kept, {refused} refused, {len(found)} drained\n")
    assert found == kept
    spool.close()
    assert names(small_disk / "spool") == []


def test_keeping_and_draining_at_once_loses_and_doubles_nothing(spool: Spool) -> None:
    found: list[int] = []
    done = threading.Event()

    def drain_until_done() -> None:
        while True:
            last = done.is_set()
            spool.arrived.wait(0.05)
            spool.arrived.clear()
            found.extend(drain_all(spool))
            if last:
                return

    draining = threading.Thread(target=drain_until_done)
    draining.start()

    async def keep_all() -> None:
        async def keep_some(task: int) -> None:
            for number in range(task, 20_000, 64):
                await spool.keep(make_delivery(number))

        await asyncio.gather(*(keep_some(task) for task in range(64)))

    asyncio.run(keep_all())
    done.set()
    draining.join()
    assert sorted(found) == list(range(20_000))
    assert (spool.appended, spool.drained, spool.entries) == (20_000, 20_000, 0)


# Processes that end, disks that fail


class Writer:
    """A process of `spool_writer`, and what it said until it was killed."""

    def __init__(self, *arguments: object, under: tuple[object, ...] = ()) -> None:
        self.kept: set[int] = set()
        self.lost: set[int] = set()
        self._process = subprocess.Popen(
            [*map(str, under), sys.executable, "-m", "tests.api.ingestion.spool_writer", *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def listen(self, until: int | None = None) -> None:
        """Take down what it says, to the end or until it has kept so many."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line == b"done\n":
                return
            word, number = line.split()
            (self.kept if word == b"kept" else self.lost).add(int(number))
            if until and len(self.kept) >= until:
                return

    def kill(self) -> None:
        """End it by kill -9; what it said before that counts too."""
        tracer = psutil.Process(self._process.pid)
        for process in tracer.children() or [tracer]:
            process.kill()
        self.listen()
        self._process.communicate()

    def end(self) -> None:
        """Let it end, without closing anything."""
        self._process.communicate(timeout=60)


@pytest.mark.slow
def test_whatever_a_killed_process_acknowledged_is_adopted_exactly_once(folder: Path) -> None:
    random.seed(11)
    acknowledged = foreign = unacknowledged = 0
    for turn in range(8):
        writer = Writer(folder, 100_000, 32, 150)
        writer.listen(until=random.randrange(1, 3_000))
        writer.kill()
        files = adopt_all(folder)
        found = [number for file in files for number in drain(file)]
        for file in files:
            assert file.damaged == 0
            file.close()
        assert len(found) == len(set(found)), turn
        assert writer.kept <= set(found), turn
        acknowledged += len(writer.kept)
        unacknowledged += len(set(found) - writer.kept)
        foreign += len(set(found) - set(range(100_000)))
        assert names(folder) == []
    sys.stdout.write(f"8 kills: {acknowledged} acknowledged, 0 missing, {unacknowledged} found beyond them\n")
    assert foreign == 0
    assert unacknowledged <= 8 * 64  # at most what was on its way


def traced(tmp_path: Path, *arguments: object, options: tuple[str, ...] = ()) -> tuple[Writer, Path]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (Debian: apt-get install strace)")
    trace = tmp_path / f"trace-{len(list(tmp_path.iterdir()))}"
    writer = Writer(*arguments, under=("strace", "-f", "-y", "-qq", "-s", "5000", "-o", trace, *options))
    writer.listen()
    if not writer.kept:
        pytest.skip("strace cannot trace here")
    return writer, trace


def replies_before_their_sync(trace: Path) -> tuple[int, int]:
    """Return how many replies there are, and how many came before a sync of the journal that holds their delivery."""
    written: set[int] = set()
    synced: set[int] = set()
    begun: dict[str, set[int]] = {}
    replies = early = 0
    for line in trace.read_text(errors="replace").splitlines():
        thread, call = line.split(None, 1)
        if call.startswith("pwrite64(") and ".sqlite-wal>" in call:
            written |= {int(number) for number in re.findall(r"delivery-(\d{6})", call)}
        elif re.match(r"f(data)?sync\(\d+<[^>]*\.sqlite-wal>", call):
            begun[thread] = set(written)
            if call.endswith("= 0"):
                synced |= begun.pop(thread)
        elif re.match(r"<\.\.\. f(data)?sync resumed>.*= 0$", call) and thread in begun:
            synced |= begun.pop(thread)
        elif reply := re.match(r'write\(1<[^>]*>, "kept (\d+)', call):
            replies += 1
            early += int(reply[1]) not in synced
    return replies, early


TRACE = ("-e", "trace=fdatasync,fsync,write,pwrite64")


@pytest.mark.slow
def test_each_reply_comes_after_a_sync_of_what_it_promises(folder: Path, tmp_path: Path) -> None:
    writer, trace = traced(tmp_path, folder, 1000, 8, 60, options=TRACE)
    writer.end()
    replies, early = replies_before_their_sync(trace)
    sys.stdout.write(f"strace: {replies} replies, {early} before their sync\n")
    assert (replies, early) == (1000, 0)
    writer, trace = traced(tmp_path, folder, 100, 8, 60, "unsynced", options=TRACE)
    writer.end()
    assert replies_before_their_sync(trace) == (100, 100), "the trace shows when there is no sync"


@pytest.mark.slow
@pytest.mark.parametrize("failing", [6, 8, 30])  # the first in the journal are those of making the file
def test_what_a_failed_sync_leaves_is_never_delivered(folder: Path, tmp_path: Path, failing: int) -> None:
    outcomes = {}
    for broken in ("", "redeemable"):
        there = folder / (broken or "whole")
        options = ("-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={failing}")
        writer, trace = traced(tmp_path, there, 400, 4, 60, broken, options=options)
        writer.kill()
        assert "INJECTED" in trace.read_text()
        files = adopt_all(there)
        found = [number for file in files for number in numbers_in(file)]
        for file in files:
            file.close()
        assert len(found) == len(set(found))
        assert writer.kept | writer.lost == set(range(400))
        assert writer.kept <= set(found)
        outcomes[broken] = (len(writer.lost), len(set(found) & writer.lost))
    sys.stdout.write(f"sync {failing} fails: (refused, found all the same): {outcomes}\n")
    assert outcomes[""][0] > 0
    assert outcomes[""][1] == 0
    assert outcomes["redeemable"][1] > 0, "left alone, recovery would find it"


@pytest.mark.slow
@pytest.mark.parametrize("failing", [1, 3, 4])
def test_a_file_whose_making_could_not_be_synced_is_not_used(folder: Path, tmp_path: Path, failing: int) -> None:
    options = ("-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={failing}")
    writer, trace = traced(tmp_path, folder, 100, 4, 60, options=options)
    writer.kill()
    assert "INJECTED" in trace.read_text()
    assert writer.lost
    files = adopt_all(folder)
    assert {number for file in files for number in drain(file)} == writer.kept
    for file in files:
        file.close()
    assert names(folder) == []
