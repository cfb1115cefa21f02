"""Files beside the database and the lake: logs are masked in place, rejected rows go, the last look finds all."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.erasure.files import PIECE_BYTES, clean_files, search_bytes, search_parquet
from pipeline.erasure.person import Person
from pipeline.settings import Settings

LONG = Person("default", "person-0f3c9a77")
SHORT = Person("default", "77")


def test_a_log_is_masked_while_its_process_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "api.log"
    path.parent.mkdir()
    with path.open("a") as writer:
        writer.write(f"one {LONG.user_id} two\n")
        writer.flush()
        assert clean_files(Settings(home=tmp_path), LONG) == {"lines in logs": 1}
        writer.write("three\n")
    assert path.read_text() == f"one {'*' * len(LONG.user_id)} two\nthree\n"


def test_a_short_id_in_a_log_is_masked_where_it_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    path.write_text('{"anonymous_user_id": "77", "milliseconds": 0.77, "id": "a77"}\n')
    clean_files(Settings(home=tmp_path), SHORT)
    assert path.read_text() == '{"anonymous_user_id": "**", "milliseconds": 0.77, "id": "a77"}\n'


def test_lines_of_rejected_rows_go_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "old.csv.rejects.ndjson"
    path.write_text('{"row": {"anonymous_user_id": "person-0f3c9a77"}}\n{"row": {"anonymous_user_id": "u"}}\n')
    assert clean_files(Settings(home=tmp_path), LONG) == {"lines of rejected rows": 1}
    assert path.read_text() == '{"row": {"anonymous_user_id": "u"}}\n'


def test_a_damaged_spool_that_names_the_person_goes(tmp_path: Path) -> None:
    damaged = tmp_path / "spool" / "damaged"
    damaged.mkdir(parents=True)
    (damaged / "1.sqlite").write_bytes(b"...person-0f3c9a77...")
    (damaged / "2.sqlite").write_bytes(b"...someone-else...")
    assert clean_files(Settings(home=tmp_path), LONG) == {"damaged spools": 1}
    assert [path.name for path in damaged.iterdir()] == ["2.sqlite"]


def test_an_explanation_that_names_the_person_goes_and_other_parquet_files_are_found(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    of_explanation = settings.explanations / "run" / "assignments-1.parquet"
    of_explanation.parent.mkdir(parents=True)
    mine = tmp_path / "mine.parquet"
    for path in (of_explanation, mine):
        pq.write_table(pa.table({"anonymous_user_id": ["u"] * 9 + [LONG.user_id], "n": range(10)}), path)
    assert set(search_parquet(settings, LONG)) == {mine, of_explanation}
    assert clean_files(settings, LONG) == {"files of explanations": 1}
    assert search_parquet(settings, LONG) == [mine]
    assert search_parquet(settings, SHORT) == []


def test_the_last_look_finds_an_id_across_pieces_and_behind_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    (home / "postgres").symlink_to(elsewhere)
    (elsewhere / "heap").write_bytes(b"." * (PIECE_BYTES - 5) + LONG.user_id.encode())
    (home / "other").write_bytes(b"person-0f3c9a7")
    assert search_bytes(Settings(home=home), LONG) == [elsewhere / "heap"]
    assert search_bytes(Settings(home=home), SHORT) == []
