"""The manifest of A/B tests (`tests.json`): reads it, checks it, and loads it into the experiment tables.

The manifest decides for the experiments it names; experiments that left it stay as they are, with their history.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn
from uuid import uuid4

import psycopg
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.experiments.definition import Definition, Status, Variant
from pipeline.experiments.lifecycle import RefusedError
from pipeline.experiments.planning import Author, plan_creation
from pipeline.experiments.seeding import Seeding, execute, plan_seeding

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

    Changes are planned and logged as those of the API are, by `manifest`. A variant that left the manifest is removed,
    unless somebody is assigned to it: then it stays for them and takes no new users. Concurrent calls run one after the
    other. Raises ManifestError for a manifest that is not right, psycopg.OperationalError when the database is away.
    """
    content = read_manifest(manifest)
    with (
        connect(database_url, application="tidemark-seed", autocommit=True) as connection,
        advisory_lock(connection, AdvisoryLock.SEED),
        connection.transaction(),
    ):
        seedings = _plan(connection, manifest, content, lock=True)
        for seeding in seedings:
            execute(connection, seeding)
    plans = [(seeding.experiment_id, seeding.plan) for seeding in seedings if seeding.plan]
    return SeedResult(
        experiments=len(content.experiments),
        variants=sum(len(experiment.variants) for experiment in content.experiments),
        changed=sum(plan.rows_changed for _, plan in plans),
        removed_variants=tuple(f"{experiment_id}/{key}" for experiment_id, plan in plans for key in plan.removed),
        kept_variants=tuple(f"{seeding.experiment_id}/{key}" for seeding in seedings for key in seeding.kept),
    )


def compare(database_url: str, manifest: Path) -> list[Seeding]:
    """Return what `seed` would do to each of the manifest's experiments, in its order; writes nothing.

    A database without any schema counts as an empty one. Raises as `seed` does, and ManifestError when the schema is
    older than this code.
    """
    content = read_manifest(manifest)
    with connect(database_url, application="tidemark-seed", autocommit=True) as connection:
        connection.read_only = True
        try:
            with connection.transaction():
                return _plan(connection, manifest, content, lock=False)
        except psycopg.errors.UndefinedTable:
            return [
                Seeding(
                    each.experiment_id, True, plan_creation(TENANT, each.experiment_id, wanted, Author("", uuid4()))
                )
                for each, wanted in _wanted(content)
            ]
        except psycopg.errors.UndefinedColumn as error:
            raise ManifestError("the database's schema is older than this version; run ./tidemark migrate") from error


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
    # Cut to the millisecond, as it is shown and compared.
    moment = moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
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
    status: Status
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


def _plan(connection: psycopg.Connection, manifest: Path, content: Manifest, *, lock: bool) -> list[Seeding]:
    seedings = []
    for index, (experiment, wanted) in enumerate(_wanted(content)):
        try:
            seedings.append(plan_seeding(connection, TENANT, experiment.experiment_id, wanted, lock=lock))
        except RefusedError as error:
            raise ManifestError(f"{manifest}: experiments[{index}].status: {error}") from error
    return seedings


def _wanted(content: Manifest) -> Iterator[tuple[ManifestExperiment, Definition]]:
    for experiment in content.experiments:
        yield (
            experiment,
            Definition(
                variants=tuple(
                    Variant(one.variant_id, one.variant_name, one.weight, one.is_control, one.config_override)
                    for one in experiment.variants
                ),
                status=experiment.status,
                targeting=experiment.targeting,
                start_at=experiment.start_at,
                end_at=experiment.end_at,
                allocation_version=content.allocation_version,
            ),
        )


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
