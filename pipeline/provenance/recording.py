"""Records what a computation does with DuckDB: its statements with their parameters, and the tables it was given.

A recording is enough to do the work again with the statements as they were. It keeps no row that names a user: of such
inputs it has the number and a digest, and where they were read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.statements import statement

USER_COLUMN = "anonymous_user_id"
MADE_COLUMN = "assigned_at"
KEPT_ROWS = 50_000
_COMMENT = re.compile(r"--[^\n]*")
_WORD = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)
_TARGET = re.compile(
    r"^\s*(?:CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+)?(?:TABLE|VIEW)|INSERT\s+INTO|DELETE\s+FROM"
    r"|DROP\s+TABLE(?:\s+IF\s+EXISTS)?|UPDATE|TRUNCATE)\s+(\w+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Step:
    """One statement that was run, by name and text, and its parameters as they were given."""

    name: str
    text: str
    parameters: Mapping[str, Any]

    @property
    def target(self) -> str | None:
        """The table that it makes or changes; None when it only reads."""
        match = _TARGET.match(_COMMENT.sub("", self.text))
        return match[1] if match else None

    @property
    def makes_target(self) -> bool:
        """Whether it makes its target, rather than to change it."""
        return _COMMENT.sub("", self.text).lstrip().upper().startswith("CREATE")

    @property
    def words(self) -> set[str]:
        """Every word of it, the tables it reads among them."""
        return set(_WORD.findall(_COMMENT.sub("", self.text)))


@dataclass
class Digest:
    """Number and sum of rows, whatever their order; `newest` is the latest assigned_at of assignments.

    Sums are comparable within one version of DuckDB.
    """

    rows: int = 0
    row_sum: int = 0
    newest: datetime | None = None

    @property
    def text(self) -> str:
        """The sum as it is compared and stored."""
        return f"{self.row_sum:x}"


@dataclass
class Digester:
    """Digests rows on an engine of its own: another may be reading them at that moment."""

    _engine: duckdb.DuckDBPyConnection | None = None

    def passing(self, batches: Iterable[pa.RecordBatch], digest: Digest) -> Iterator[pa.RecordBatch]:
        """Yield batches as they are, and add them to a digest on the way."""
        for batch in batches:
            self.add(batch, digest)
            yield batch

    def add(self, batch: pa.RecordBatch, digest: Digest) -> None:
        """Add rows to a digest."""
        if self._engine is None:
            self._engine = duckdb.connect(":memory:", config={"threads": 1})
            self._engine.execute("SET TimeZone = 'UTC'")
        self._engine.register("batch", pa.Table.from_batches([batch]))
        ((rows, row_sum),) = self._engine.execute(statement("provenance/digest_batch")).fetchall()
        self._engine.unregister("batch")
        digest.rows += int(rows)
        digest.row_sum = (digest.row_sum + int(row_sum)) % 2**128
        if MADE_COLUMN in batch.schema.names:
            newest = pc.max(batch.column(MADE_COLUMN)).as_py()
            digest.newest = max(filter(None, (digest.newest, newest)), default=None)


@dataclass(frozen=True)
class Input:
    """A table that was given to the computation: its digest, its rows unless they name users, and who read it."""

    name: str
    source: str | None
    digest: Digest
    table: pa.Table | None


@dataclass(frozen=True)
class Recording:
    """What one result took: inputs, the statements before it in order, and last the statement that gives it."""

    inputs: Sequence[Input]
    steps: Sequence[Step]


@dataclass
class Recorder:
    """Runs statements on an engine and keeps a record of them. Not safe for use by several threads."""

    engine: duckdb.DuckDBPyConnection
    _steps: list[Step] = field(default_factory=list)
    _inputs: dict[str, Input] = field(default_factory=dict)
    _digester: Digester = field(default_factory=Digester)

    def run(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - what DuckDB takes
        """Run the statement `sql/<name>.sql` and return its rows."""
        step = Step(name, statement(name), parameters)
        # Fetched whole: an open result keeps the connection from anything else.
        rows = self.engine.execute(step.text, dict(parameters)).fetchall()
        self._steps.append(step)
        return rows

    def read(self, name: str) -> pa.Table:
        """Run the statement `sql/<name>.sql`, which takes no parameters, and return its result."""
        step = Step(name, statement(name), {})
        rows = pa.table(self.engine.sql(step.text).to_arrow_table())
        self._steps.append(step)
        return rows

    def give(self, name: str, table: pa.Table, source: str | None = None) -> None:
        """Let statements read a table under a name; `source` is the statement that read it from Postgres."""
        digest = Digest()
        for batch in table.to_batches():
            self._digester.add(batch, digest)
        keeps = USER_COLUMN not in table.column_names and table.num_rows <= KEPT_ROWS
        self._inputs[name] = Input(name, source, digest, table if keeps else None)
        self.engine.register(name, table)

    @contextmanager
    def giving(self, name: str, reader: pa.RecordBatchReader, source: str) -> Iterator[None]:
        """Let one statement of the block read a stream under a name; none of it is kept."""
        digest = Digest()
        batches = self._digester.passing(reader, digest)
        self.engine.register(name, pa.RecordBatchReader.from_batches(reader.schema, batches))
        try:
            yield
        finally:
            self.engine.unregister(name)
        self._inputs[name] = Input(name, source, digest, None)

    @property
    def newest_step(self) -> int:
        """The number of the statement that was run last."""
        return len(self._steps) - 1

    def recording(self, result: str, also: Collection[int] = ()) -> Recording:
        """Return what the statement `result`, run last under this name, needed; and the statements numbered `also`.

        What was in a table before it was made is needed by nobody.
        """
        last = max(number for number, step in enumerate(self._steps) if step.name == result)
        needed: set[str | None] = set(self._steps[last].words)
        chosen = []
        for number in sorted(set(range(last)) | set(also), reverse=True):
            step = self._steps[number]
            if step.target in needed or number in also:
                needed |= step.words
                if step.makes_target:
                    needed -= {step.target}
                chosen.append(step)
        inputs = [given for given in self._inputs.values() if given.name in needed]
        return Recording(inputs, [*reversed(chosen), self._steps[last]])
