"""The manifest of A/B tests (`tests.json`): reads it, checks it, and loads it into the experiment tables.

The manifest decides for the experiments it names; experiments that left it stay as they are, with their history.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import psycopg
from psycopg.types.json import Jsonb
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.statements import statement

TENANT = "default"


class ManifestError(Exception):
    """The manifest cannot be used; the message names the file, the place and the problem."""


@dataclass(frozen=True)
class SeedResult:
    """What the manifest holds and what loading it changed; `changed` is 0 when everything was in place already."""

    experiments: int
    variants: int
    changed: int
    removed_variants: tuple[str, ...]
    kept_variants: tuple[str, ...]


def seed(database_url: str, manifest: Path) -> SeedResult:
    """Load the manifest's experiments and variants for the default tenant; idempotent, all or nothing.

    A variant that left the manifest is removed, unless somebody is assigned to it: then it stays for them and takes no
    new users. Concurrent calls run one after the other.
    Raises ManifestError for a manifest that is not right, psycopg.OperationalError when the database is away.
    """
    content = read_manifest(manifest)
    with (
        connect(database_url, application="tidemark-seed", autocommit=True) as connection,
        advisory_lock(connection, AdvisoryLock.SEED),
        connection.transaction(),
    ):
        loads = [_load(connection, experiment, content.allocation_version) for experiment in content.experiments]
    return SeedResult(
        experiments=len(content.experiments),
        variants=sum(len(experiment.variants) for experiment in content.experiments),
        changed=sum(load.changed for load in loads),
        removed_variants=tuple(variant for load in loads for variant in load.removed),
        kept_variants=tuple(variant for load in loads for variant in load.kept),
    )


def read_manifest(manifest: Path) -> Manifest:
    """Read and check a manifest. Raises ManifestError naming the file, the experiment's index and the field."""
    try:
        document = json.loads(manifest.read_text(encoding="utf-8-sig"), parse_constant=_refuse_constant)
        return Manifest.model_validate(document)
    except OSError as error:
        raise ManifestError(f"{manifest}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = _place(problem["loc"])
        raise ManifestError(f"{manifest}: {place}{problem['msg'].removeprefix('Value error, ')}") from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{manifest}: not valid JSON ({error})") from error


def _time(value: object) -> object:
    """Read an ISO 8601 time; without an offset it is UTC, whatever this machine's zone."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 time or null")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"must be an ISO 8601 time or null, not {value!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _storable(value: object) -> object:
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must not hold a lone surrogate") from error
    if "\\u0000" in text.replace("\\\\", ""):
        raise ValueError("must not hold U+0000")
    return value


Identifier = Annotated[str, BeforeValidator(_storable), Field(min_length=1, max_length=512)]
Time = Annotated[datetime | None, BeforeValidator(_time)]
Json = Annotated[Any, BeforeValidator(_storable)]


class _Strict(BaseModel):
    """No conversions: a weight of "1" is a mistake. Unknown fields are notes for people, and ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class ManifestVariant(_Strict):
    """One variant of an experiment; `config_override` is merged into the app's configuration."""

    variant_id: Identifier
    variant_name: Identifier
    is_control: bool = False
    weight: Annotated[float, Field(allow_inf_nan=False)]
    config_override: Annotated[dict[str, Any], BeforeValidator(_storable)] = Field(default_factory=dict)


class ManifestExperiment(_Strict):
    """One experiment; times are aware, both ends of its run are included."""

    experiment_id: Identifier
    status: Literal["DRAFT", "RUNNING", "PAUSED", "ENDED"]
    start_at: Time = None
    end_at: Time = None
    targeting: Json = None
    variants: list[ManifestVariant]

    @model_validator(mode="after")
    def _check(self) -> ManifestExperiment:
        _refuse_repetition("variant_id", [variant.variant_id for variant in self.variants])
        if self.start_at and self.end_at and self.start_at > self.end_at:
            raise ValueError("start_at must not be after end_at")
        return self


class Manifest(_Strict):
    """The whole file."""

    version: int
    assignment_unit: Literal["anonymous_user_id"]
    allocation_version: int
    experiments: list[ManifestExperiment]

    @model_validator(mode="after")
    def _check(self) -> Manifest:
        _refuse_repetition("experiment_id", [experiment.experiment_id for experiment in self.experiments])
        return self


@dataclass(frozen=True)
class _Load:
    changed: int
    removed: list[str]
    kept: list[str]


def _load(connection: psycopg.Connection, experiment: ManifestExperiment, allocation_version: int) -> _Load:
    key = {"tenant_id": TENANT, "experiment_id": experiment.experiment_id}
    changed = connection.execute(
        statement("seed/upsert_experiment"),
        {
            **key,
            "status": experiment.status,
            "start_at": experiment.start_at,
            "end_at": experiment.end_at,
            "targeting": None if experiment.targeting is None else Jsonb(experiment.targeting),
            "allocation_version": allocation_version,
        },
    ).rowcount
    for variant in experiment.variants:
        values = {**key, **variant.model_dump(), "config_override": Jsonb(variant.config_override)}
        changed += connection.execute(statement("seed/upsert_variant"), values).rowcount
    named = {**key, "variant_ids": [variant.variant_id for variant in experiment.variants]}
    removed = [_path(experiment, row[0]) for row in connection.execute(statement("seed/remove_variants"), named)]
    retired = connection.execute(statement("seed/retire_variants"), named).fetchall()
    kept = [_path(experiment, variant_id) for variant_id, _ in retired]
    return _Load(changed + len(removed) + sum(is_new for _, is_new in retired), removed, kept)


def _path(experiment: ManifestExperiment, variant_id: str) -> str:
    return f"{experiment.experiment_id}/{variant_id}"


def _place(location: tuple[int | str, ...]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    return f"{place}: " if place else ""


def _refuse_repetition(field: str, values: list[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{field} {value!r} occurs twice")
        seen.add(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
