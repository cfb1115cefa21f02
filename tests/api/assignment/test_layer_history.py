"""Whatever becomes of the experiments of a layer, no user is ever in two: as served, and as events are stamped."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import psycopg
import pytest

from api.assignment.allocation import layer_point
from api.assignment.decision import Answer, Subject
from api.assignment.experiment_cache import ExperimentCache
from api.assignment.settlement import Question, settle
from api.database import Database
from pipeline.experiments.definition import STATUSES, Definition, LayerSlice, Variant
from pipeline.experiments.lifecycle import RefusedError
from pipeline.experiments.store import change_experiment, create_experiment, read_experiment
from tests.makers import NOW
from tests.pipeline.experiments.stores import author

USERS = [f"user_{number}" for number in range(150)]
HALVES = (Variant("A", "A", 0.5, True, {}), Variant("B", "B", 0.5, False, {}))
# What events are stamped with: rows of experiments that run.
IN_TWO = """
    SELECT anonymous_user_id, layer, count(*)
    FROM assignments INNER JOIN experiments USING (tenant_id, experiment_id)
    WHERE status = 'RUNNING' AND layer IS NOT NULL
    GROUP BY 1, 2 HAVING count(*) > 1
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_user_is_ever_in_two_experiments_of_a_layer(
    database_url: str, connection: psycopg.Connection, seed: int
) -> None:
    """Experiments come, start, pause, go on, end and change their slices and shares, in any order that is allowed."""
    chance = random.Random(seed)
    happened: Counter[str] = Counter()
    first: dict[tuple[str, str], str] = {}

    async def create(one: psycopg.AsyncConnection, number: int) -> None:
        bounds = sorted(chance.sample(range(11), 2))
        layer = LayerSlice(chance.choice(["checkout", "search"]), bounds[0] / 10, bounds[1] / 10)
        definition = Definition(HALVES, name="x", status=chance.choice(["DRAFT", "RUNNING"]), layer=layer)
        await create_experiment(one, "default", f"exp_{number}", definition, author())

    async def change(one: psycopg.AsyncConnection, number: int) -> None:
        experiment_id = f"exp_{chance.randrange(number)}"
        present = (await read_experiment(one, "default", experiment_id)).definition
        assert present.layer is not None
        shifted = LayerSlice(present.layer.name, 0.0, chance.randrange(1, 11) / 10)
        wanted = chance.choice(
            [
                *(present.with_status(status) for status in STATUSES),
                Definition(HALVES, present.name, status=present.status, layer=shifted),
                Definition(HALVES, present.name, status=present.status, layer=present.layer, traffic_allocation=0.3),
            ]
        )
        await change_experiment(one, "default", experiment_id, lambda _: wanted, author())

    async def ask(one: psycopg.AsyncConnection, cache: ExperimentCache) -> None:
        users = chance.sample(USERS, 60)
        questions = [Question(Subject(user, None, None), NOW) for user in users]
        for user, answer in zip(users, await settle(one, cache, "default", questions), strict=True):
            assert isinstance(answer, Answer)
            layers = []
            for given in answer.assignments:
                layer = layer_of[given.experiment_id] = (
                    layer_of.get(given.experiment_id)
                    or (await read_experiment(one, "default", given.experiment_id)).definition.layer
                )
                assert layer is not None
                assert layer.start <= layer_point(user, layer.name) < layer.end
                layers.append(layer.name)
                key = (user, given.experiment_id)
                assert first.setdefault(key, given.variant.variant_id) == given.variant.variant_id, "sticky"
            assert len(set(layers)) == len(layers), (user, answer.assignments)
            happened["served"] += len(layers)

    layer_of: dict[str, LayerSlice | None] = {}

    async def history() -> None:
        cache = ExperimentCache(Database(None))
        number = 0
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as one:
            for _ in range(90):
                try:
                    if number == 0 or chance.random() < 0.3:
                        number += 1
                        await create(one, number - 1)
                        happened["created"] += 1
                    else:
                        await change(one, number)
                        happened["changed"] += 1
                except RefusedError:
                    happened["refused"] += 1
                    number = len(await (await one.execute("SELECT FROM experiments")).fetchall())
                await ask(one, cache)
                assert connection.execute(IN_TWO).fetchall() == []

    asyncio.run(history())
    ended = connection.execute(
        "SELECT count(DISTINCT experiment_id) FROM assignments JOIN experiments USING (tenant_id, experiment_id)"
        " WHERE status = 'ENDED'"
    ).fetchone()
    assert ended is not None
    assert min(happened["created"], happened["changed"], happened["refused"], ended[0]) >= 3, (happened, ended)
    assert happened["served"] > 500
