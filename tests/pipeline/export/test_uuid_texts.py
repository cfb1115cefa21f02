"""UUIDs become the text that Postgres prints, whatever part of a column they are."""

from __future__ import annotations

from uuid import UUID

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.export.uuid_texts import uuid_texts


@given(ids=st.lists(st.uuids(), max_size=50), skipped=st.integers(0, 5))
def test_texts_are_those_of_python_and_postgres(ids: list[UUID], skipped: int) -> None:
    column = pa.array([each.bytes for each in ids], pa.binary(16)).slice(skipped)
    texts = uuid_texts(column)
    assert texts.type == pa.string()
    assert texts.to_pylist() == [str(each) for each in ids[skipped:]]
