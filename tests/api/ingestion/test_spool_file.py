from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.ingestion import spool_file
from api.ingestion.spool_file import SpoolFile, SpoolFullError, SpoolSealedError, SpoolUnavailableError
from tests.api.ingestion.deliveries import MOMENT, adopt_all, drain, make_delivery, number_of, numbers_in
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def file(folder: Path) -> Iterator[SpoolFile]:
    made = SpoolFile.create(folder)
    yield made
    made.close()


def left_by_a_killed_process(file: SpoolFile, folder: Path) -> Path:
    """Copy the files as they are, as if their process had been killed now, and return the copy's folder."""
    folder.mkdir()
    for path in file.path.parent.glob(f"{file.spool_id}.sqlite*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, folder)
    return folder


# What it holds


def test_groups_are_read_in_order_and_unchanged(file: SpoolFile) -> None:
    assert [file.append([make_delivery(0), make_delivery(1)]), file.append([make_delivery(2)])] == [1, 2]
    groups = file.read()
    assert [(group.seq, group.deliveries) for group in groups] == [
        (1, [make_delivery(0), make_delivery(1)]),
        (2, [make_delivery(2)]),
    ]
    assert [group.seq for group in file.read(1)] == [2]
    assert file.read(2) == []


def test_a_read_is_limited_but_for_its_first_group(file: SpoolFile) -> None:
    for first in range(0, 30, 10):
        file.append([make_delivery(number, 1000) for number in range(first, first + 10)])
    assert [group.seq for group in file.read(max_deliveries=20)] == [1, 2]
    assert [group.seq for group in file.read(max_deliveries=1)] == [1]
    assert [group.seq for group in file.read(max_bytes=25_000)] == [1, 2]
    assert [group.seq for group in file.read(1, max_bytes=1)] == [2]


def test_forgotten_groups_are_gone_and_counted(file: SpoolFile) -> None:
    assert (file.entries, file.bytes, file.oldest_received_at, file.drained) == (0, 0, None, True)
    for number in range(5):
        file.append([make_delivery(number), make_delivery(number + 100)])
    assert (file.entries, file.oldest_received_at) == (10, MOMENT)
    size = file.bytes
    assert size > 1000
    assert file.forget(2) == 4
    assert file.forget(2) == 0
    assert file.forget(1) == 0
    assert (file.entries, file.forgotten) == (6, 2)
    assert file.bytes == size * 6 // 10
    assert file.oldest_received_at == make_delivery(2).received_at
    assert [group.seq for group in file.read()] == [3, 4, 5]
    assert file.forget(99) == 6
    assert (file.entries, file.bytes, file.oldest_received_at, file.drained) == (0, 0, None, True)
    assert file.append([make_delivery(7)]) == 6
    assert file.oldest_received_at == make_delivery(7).received_at


def test_a_group_beyond_the_room_is_refused_whole(file: SpoolFile) -> None:
    file.append([make_delivery(0, 500)], room=700)
    with pytest.raises(SpoolFullError) as full:
        file.append([make_delivery(1, 500)], room=499)
    assert (full.value.status, full.value.headers) == (503, {"retry-after": "2"})
    assert numbers_in(file) == [0]
    assert file.entries == 1


def test_a_sealed_file_takes_no_more(file: SpoolFile) -> None:
    file.append([make_delivery(0)])
    file.seal()
    with pytest.raises(SpoolSealedError):
        file.append([make_delivery(1)])
    assert drain(file) == [0]


def test_reading_and_forgetting_go_on_while_another_thread_appends(file: SpoolFile) -> None:
    def append_all() -> None:
        for number in range(500):
            file.append([make_delivery(number, 3000)])

    appending = threading.Thread(target=append_all)
    appending.start()
    numbers: list[int] = []
    wait_until(lambda: numbers.extend(drain(file)) or len(numbers) >= 500, "all were read")
    appending.join()
    assert numbers == list(range(500))
    assert (file.entries, file.bytes, file.damaged) == (0, 0, 0)


# Its space


def test_forgotten_space_is_used_again_and_the_journal_is_bounded(file: SpoolFile) -> None:
    sizes = []
    for turn in range(20):
        for number in range(20):
            file.append([make_delivery(turn * 20 + number, 50_000)])
        assert len(drain(file)) == 20
        sizes.append(file.path.stat().st_size)
    assert sizes[-1] <= sizes[4]  # 20 MB went through
    assert Path(f"{file.path}-wal").stat().st_size < 16 * 2**20


def test_a_file_that_became_large_shrinks_once_it_is_empty(file: SpoolFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_file, "SHRINK_BYTES", 2**20)
    for number in range(300):
        file.append([make_delivery(number, 50_000)])
    file.forget(150)
    assert file.path.stat().st_size > 8 * 2**20
    file.forget(300)
    assert file.path.stat().st_size < 2**16
    assert Path(f"{file.path}-wal").stat().st_size == 0
    assert file.append([make_delivery(1)]) == 301
    assert drain(file) == [1]


# Its owner


def test_nobody_adopts_a_file_whose_owner_lives(file: SpoolFile, folder: Path) -> None:
    file.append([make_delivery(0)])
    assert SpoolFile.adopt(folder) is None


def test_what_is_left_is_adopted_with_its_counts(file: SpoolFile, folder: Path) -> None:
    for number in range(6):
        file.append([make_delivery(number), make_delivery(number + 100)])
    file.forget(2)
    size = file.bytes
    file.close()
    (adopted,) = adopt_all(folder)
    assert adopted.spool_id == file.spool_id
    assert (adopted.entries, adopted.bytes, adopted.forgotten) == (8, size, 2)
    assert adopted.oldest_received_at == make_delivery(2).received_at
    with pytest.raises(SpoolSealedError):
        adopted.append([make_delivery(9)])
    assert drain(adopted) == [2, 102, 3, 103, 4, 104, 5, 105]
    adopted.close()
    assert list(folder.iterdir()) == []


def test_an_adopted_file_can_be_left_again(file: SpoolFile, folder: Path) -> None:
    for number in range(4):
        file.append([make_delivery(number)])
    file.close()
    (adopted,) = adopt_all(folder)
    adopted.forget(3)
    adopted.close()
    (again,) = adopt_all(folder)
    assert [group.seq for group in again.read()] == [4]
    again.close()


def test_an_empty_file_is_removed_with_all_that_belongs_to_it(file: SpoolFile, folder: Path) -> None:
    file.append([make_delivery(0)])
    file.forget(1)
    left = left_by_a_killed_process(file, folder.with_name("left"))
    file.close()
    assert list(folder.iterdir()) == []
    assert SpoolFile.adopt(left) is None
    assert list(left.iterdir()) == []


def test_what_a_process_left_while_making_a_file_is_cleared_away(folder: Path) -> None:
    folder.mkdir()
    name = "0b6a8f0e-8f0c-4b57-9c1e-3f1d2a7f0001"
    (folder / f"{name}.lock").touch()
    assert SpoolFile.adopt(folder) is None
    (folder / f"{name}.sqlite").touch()
    assert SpoolFile.adopt(folder) is None
    (folder / "notes.sqlite").write_text("not ours")
    assert SpoolFile.adopt(folder) is None
    assert [path.name for path in folder.iterdir()] == ["notes.sqlite"]


def test_no_folder_means_nothing_to_adopt(folder: Path) -> None:
    assert SpoolFile.adopt(folder) is None
    assert not folder.exists()


def test_files_are_closed_to_other_users(file: SpoolFile, folder: Path) -> None:
    file.append([make_delivery(0)])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_two_processes_share_the_files_of_the_dead_and_never_one_file(folder: Path) -> None:
    for number in range(40):
        dead = SpoolFile.create(folder)
        dead.append([make_delivery(number)])
        dead.close()
    program = (
        "import sys, pathlib\n"
        "from api.ingestion.spool_file import SpoolFile\n"
        "sys.stdin.readline()\n"
        "held = []\n"
        "while file := SpoolFile.adopt(pathlib.Path(sys.argv[1])):\n"
        "    held.append(file)\n"
        "    print(file.spool_id, flush=True)\n"
        "print('done', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    adopters = [
        subprocess.Popen(
            [sys.executable, "-c", program, folder], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    taken: list[list[str]] = []
    try:
        for adopter in adopters:
            assert adopter.stdin
            adopter.stdin.write("go\n")
            adopter.stdin.flush()
        for adopter in adopters:
            assert adopter.stdout
            taken.append(list(iter(lambda stream=adopter.stdout: stream.readline().strip(), "done")))
    finally:
        for adopter in adopters:
            adopter.kill()
            adopter.communicate()
    assert len(taken[0]) + len(taken[1]) == len(set(taken[0] + taken[1])) == 40
    assert sorted(number for left in adopt_all(folder) for number in drain(left)) == list(range(40))


# Trouble with the disk


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnavailableError) as unavailable:
        SpoolFile.create(tmp_path / "file" / "spool")
    assert (unavailable.value.status, unavailable.value.headers) == (503, {"retry-after": "2"})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small disk here")
    yield small
    subprocess.run(["umount", "-l", small], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as out:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    out.write(b"x" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk_refuses_and_a_freed_one_works_again_without_a_new_file(small_disk: Path) -> None:
    file = SpoolFile.create(small_disk / "spool")
    acknowledged = []
    for turn in range(5):
        ballast = None
        for number in range(turn * 1000, turn * 1000 + 40):
            if number % 1000 == 10:
                ballast = fill(small_disk)
            try:
                file.append([make_delivery(number, 9_000)])
                acknowledged.append(number)
            except SpoolUnavailableError:
                assert number % 1000 >= 10
        assert acknowledged[-1] % 1000 < 39, "the disk was not full"
        assert ballast
        ballast.unlink()
        file.append([make_delivery(turn * 1000 + 500)])
        acknowledged.append(turn * 1000 + 500)
        assert not file.worn
        assert numbers_in(file, file.forgotten) == acknowledged
        file.forget(file.read(file.forgotten)[-1].seq)
        acknowledged.clear()
    file.close()


def test_a_full_disk_does_not_keep_what_is_stored_from_being_let_go(small_disk: Path) -> None:
    file = SpoolFile.create(small_disk / "spool")
    for number in range(50):
        file.append([make_delivery(number, 9_000)])
    fill(small_disk)
    with pytest.raises(SpoolUnavailableError):
        for number in range(50, 500):
            file.append([make_delivery(number, 9_000)])
    written = file.entries
    assert drain(file) == list(range(written))
    assert file.drained
    assert file.read(0) == []
    file.close()
    assert list((small_disk / "spool").iterdir()) == []


# Damage


def test_a_journal_cut_off_anywhere_in_its_last_group_loses_no_earlier_one(file: SpoolFile, tmp_path: Path) -> None:
    for number in range(8):
        file.append([make_delivery(number)])
    journal = Path(f"{file.path}-wal")
    before = journal.stat().st_size
    file.append([make_delivery(8)])
    whole = file.path.read_bytes(), journal.read_bytes()
    end = len(whole[1])
    assert end > before
    places = sorted({before, before + 1, end - 1, *range(before, before + 40), *range(before, end, 29)})
    counts = {"cut": 0, "flipped": 0}
    for place in places:
        for kind in counts:
            folder = tmp_path / f"{kind}-{place}"
            folder.mkdir()
            journal_bytes = bytearray(whole[1])
            if kind == "cut":
                del journal_bytes[place:]
            else:
                journal_bytes[min(place, end - 1)] ^= 0xFF
            (folder / file.path.name).write_bytes(whole[0])
            (folder / journal.name).write_bytes(journal_bytes)
            adopted = SpoolFile.adopt(folder)
            assert adopted is not None
            assert drain(adopted) == list(range(8)), f"{kind} at {place}"
            assert adopted.damaged == 0
            adopted.close()
            counts[kind] += 1
    sys.stdout.write(f"torn journals: {counts}, all 8 earlier groups read each time\n")
    assert sum(counts.values()) >= 300
    intact = left_by_a_killed_process(file, tmp_path / "intact")
    (adopted,) = adopt_all(intact)
    assert drain(adopted) == list(range(9))
    adopted.close()


def leave(folder: Path, groups: int, size: int) -> Path:
    """Leave a file with groups of one delivery each, merged into the database, and return its path."""
    file = SpoolFile.create(folder)
    for number in range(groups):
        file.append([make_delivery(number, size)])
    file.close()
    assert not Path(f"{file.path}-wal").exists()
    return file.path


def change_row(path: Path, change: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE groups SET payload = zeroblob(100) WHERE seq = 3",
        "UPDATE groups SET checksum = checksum + 1 WHERE seq = 3",
        "UPDATE groups SET payload = 'text' WHERE seq = 3",
        "UPDATE groups SET seq = 100 WHERE seq = 3",
    ],
)
def test_a_group_that_is_not_what_was_written_is_passed_over_and_the_file_set_aside(folder: Path, change: str) -> None:
    path = leave(folder, 6, 100)
    change_row(path, change)
    (file,) = adopt_all(folder)
    assert drain(file) == [0, 1, 3, 4, 5]
    assert (file.damaged, file.drained) == (1, True)
    aside = file.close()
    assert aside == folder / "damaged" / path.name
    assert sqlite3.connect(aside).execute("SELECT count(*) FROM groups").fetchone() == (6,)
    assert [name.name for name in folder.iterdir()] == ["damaged"]


def test_a_damaged_file_is_read_by_the_next_process_when_the_first_ends_early(folder: Path) -> None:
    change_row(leave(folder, 6, 100), "UPDATE groups SET checksum = 0 WHERE seq = 2")
    (file,) = adopt_all(folder)
    groups = file.read(0, max_deliveries=3)
    file.forget(groups[-1].seq)
    file.close()
    (again,) = adopt_all(folder)
    assert drain(again) == [0, 2, 3, 4, 5]  # those before are known by their receipt
    assert again.close() is not None


def test_whatever_page_is_destroyed_the_groups_on_all_others_are_read(folder: Path, tmp_path: Path) -> None:
    path = leave(folder, 120, 1_500)
    whole = path.read_bytes()
    pages = len(whole) // 4096
    assert pages > 40
    lost = []
    for page in range(pages):
        there = tmp_path / f"page-{page}"
        there.mkdir()
        (there / path.name).write_bytes(whole[: page * 4096] + b"\xa5" * 4096 + whole[(page + 1) * 4096 :])
        (file,) = adopt_all(there)
        numbers = drain(file)
        assert numbers == sorted(set(numbers))
        assert file.damaged >= 1
        lost.append(120 - len(numbers))
        assert file.drained
        aside = file.close()
        assert aside is not None
        assert aside.exists()
    sys.stdout.write(f"{pages} pages destroyed in turn, groups lost each time: {lost}\n")
    assert sorted(lost)[-3] <= 4  # but for the first page and the root, only those on the page itself


def test_a_file_cut_off_in_the_middle_gives_what_is_there(folder: Path) -> None:
    path = leave(folder, 120, 1_500)
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    (file,) = adopt_all(folder)
    numbers = drain(file)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 40
    assert file.damaged >= 1
    assert file.close() is not None


@pytest.mark.parametrize("groups", [3, 60])
def test_a_file_whose_last_page_is_torn_is_never_taken_for_an_empty_one(folder: Path, groups: int) -> None:
    """SQLite reads the missing part of a page as zeros, without an error."""
    path = leave(folder, groups, 100)
    whole = path.read_bytes()
    elsewhere = [number for number in range(groups) if f"delivery-{number:06}".encode() in whole[:-4096]]
    for cut in range(len(whole) - 4096 + 1, len(whole), 61):
        path.write_bytes(whole[:cut])
        (file,) = adopt_all(folder)
        numbers = drain(file)
        assert numbers[: len(elsewhere)] == elsewhere
        assert file.close() is not None


@pytest.mark.parametrize("seed", [3, 7])  # with keys that are none, keys in circles, and a type that is another
def test_rubbish_never_raises_and_is_never_deleted(folder: Path, tmp_path: Path, seed: int) -> None:
    random.seed(seed)
    path = leave(folder, 60, 700)
    whole = path.read_bytes()
    for turn in range(200):
        there = tmp_path / f"turn-{turn}"
        there.mkdir()
        changed = bytearray(whole)
        for _ in range(random.choice([1, 3, 30])):
            changed[random.randrange(len(changed))] = random.randrange(256)
        (there / path.name).write_bytes(changed)
        for file in adopt_all(there):
            numbers = drain(file)
            assert numbers == sorted(set(numbers)), turn
            if len(numbers) < 60:
                assert file.damaged >= 1, turn
                assert file.close() is not None
            else:
                file.close()
        assert list(there.glob("*.sqlite")) == []


def test_damage_in_the_file_being_written_seals_it_and_nothing_is_lost(file: SpoolFile, folder: Path) -> None:
    for number in range(5):
        file.append([make_delivery(number)])
    change_row(file.path, "UPDATE groups SET checksum = 0 WHERE seq = 4")
    assert drain(file) == [0, 1, 2, 4]
    assert file.worn
    assert file.drained
    with pytest.raises(SpoolSealedError):
        file.append([make_delivery(6)])
    assert file.close() == folder / "damaged" / file.path.name


def test_number_of_tells_deliveries_apart() -> None:
    assert number_of(make_delivery(12, 50)) == 12
