"""Columns of the lake's `events` table: those of `event_logs`, and the partition column `day`.

JSON columns stay text, as Postgres prints jsonb. `day` is the UTC date of occurred_at; it is in the files' paths
(`day=YYYY-MM-DD`) and in the table's log, not in the files.
"""

from __future__ import annotations

import pyarrow as pa
from deltalake import Schema

PARTITION_COLUMN = "day"
UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")
ENCODED_TEXT = pa.dictionary(pa.int32(), pa.string())

FILE_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string()),
        pa.field("tenant_id", pa.string()),
        pa.field("anonymous_user_id", pa.string()),
        pa.field("session_id", pa.string()),
        pa.field("install_id", pa.string()),
        pa.field("platform", pa.string()),
        pa.field("app_version", pa.string()),
        pa.field("event_name", pa.string()),
        pa.field("occurred_at", UTC_MICROSECONDS),
        pa.field("received_at", UTC_MICROSECONDS),
        pa.field("sent_at", UTC_MICROSECONDS),
        pa.field("properties", pa.string()),
        pa.field("context", pa.string()),
        pa.field("assignments", pa.string()),
        pa.field("assignment_version", pa.int32()),
        pa.field("experiment_map", pa.map_(pa.string(), pa.string())),
        pa.field("schema_version", pa.int32()),
    ]
)
# Texts that repeat from row to row: an export carries them as numbers and a dictionary, and writes them so.
REPEATING_COLUMNS = (
    "tenant_id",
    "anonymous_user_id",
    "session_id",
    "install_id",
    "platform",
    "app_version",
    "event_name",
    "context",
    "assignments",
)
OPTIONAL_COLUMNS = ("session_id", "install_id", "platform", "app_version", "sent_at", "assignment_version")


def _written(field: pa.Field) -> pa.Field:
    if pa.types.is_map(field.type):
        field = field.with_type(pa.map_(ENCODED_TEXT, ENCODED_TEXT))
    elif field.name in REPEATING_COLUMNS:
        field = field.with_type(ENCODED_TEXT)
    return field.with_nullable(field.name in OPTIONAL_COLUMNS)


# FILE_SCHEMA as the writer of a file wants it. A reader sees FILE_SCHEMA, and that most columns are never null.
WRITE_SCHEMA = pa.schema([_written(field) for field in FILE_SCHEMA])
TABLE_SCHEMA = Schema.from_arrow(FILE_SCHEMA.append(pa.field(PARTITION_COLUMN, pa.date32())))
