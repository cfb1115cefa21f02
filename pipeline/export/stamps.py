"""What the stamps of events stand for: their assignments and experiment_map, asked of Postgres once per stamp.

Thousands of events bear the same stamp, and printing jsonb is what an export would spend most of its time on.
Two values with one stamp are equal as JSON.
"""

from __future__ import annotations

import json
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from pipeline.lake.schema import FILE_SCHEMA
from pipeline.statements import statement

MAP_TYPE = FILE_SCHEMA.field("experiment_map").type
# More are forgotten, so that memory does not follow the number of different stamps.
KNOWN_STAMPS = 50_000


class Stamps:
    """The stamps met by one export, seen through the snapshot of its transaction."""

    def __init__(self, database_url: str, snapshot: str) -> None:
        self._database_url = database_url
        self._snapshot = snapshot
        self._known: dict[int, tuple[str, list[tuple[str, str | None]]]] = {}

    def columns(self, rows: pa.Table) -> tuple[pa.DictionaryArray, pa.MapArray]:
        """Return the columns assignments and experiment_map of rows with tenant_id, event_id and an encoded stamp."""
        encoded = rows["stamp"].combine_chunks()
        wanted = encoded.dictionary.to_pylist()
        if any(stamp not in self._known for stamp in wanted):
            self._learn(rows)
        texts = pa.array([self._known[stamp][0] for stamp in wanted], pa.string()).dictionary_encode()
        maps = _encoded(pa.array([self._known[stamp][1] for stamp in wanted], MAP_TYPE))
        assignments = pa.DictionaryArray.from_arrays(texts.indices.take(encoded.indices), texts.dictionary)
        return assignments, maps.take(encoded.indices)

    def _learn(self, rows: pa.Table) -> None:
        if len(self._known) > KNOWN_STAMPS:
            self._known.clear()
        stamps = rows["stamp"].cast(pa.int64())
        known = pc.is_in(stamps, value_set=pa.array(self._known.keys(), pa.int64()))
        examples = (
            pa.table({"stamp": stamps, "tenant_id": rows["tenant_id"].cast(pa.string()), "event_id": rows["event_id"]})
            .filter(pc.invert(known))
            .group_by("stamp", use_threads=False)
            .aggregate([("tenant_id", "first"), ("event_id", "first")])
        )
        keys = {
            "tenant_ids": examples["tenant_id_first"].to_pylist(),
            "event_ids": [UUID(bytes=event_id) for event_id in examples["event_id_first"].to_pylist()],
        }
        with psycopg.connect(self._database_url, connect_timeout=5) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            snapshot = sql.SQL(statement("export/import_snapshot")).format(snapshot=sql.Literal(self._snapshot))
            connection.execute(snapshot)
            for stamp, assignments, experiment_map in connection.execute(statement("export/stamps"), keys):
                self._known[stamp] = (assignments, _pairs(experiment_map))


def _encoded(maps: pa.MapArray) -> pa.MapArray:
    return pa.MapArray.from_arrays(maps.offsets, maps.keys.dictionary_encode(), maps.items.dictionary_encode())


def _pairs(experiment_map: dict[str, object]) -> list[tuple[str, str | None]]:
    """Return a map's entries; a value that is no string keeps its JSON text."""
    return [
        (key, value if isinstance(value, str) or value is None else json.dumps(value))
        for key, value in experiment_map.items()
    ]
