"""The pages of experiments: list and changes are those of the API, and nobody changes what they may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from pipeline.access.keys import id_of_key
from tests.api.dashboard.conftest import NOON, World
from tests.api.dashboard.page_text import Page, csv_rows
from tests.api.servers import NO_TLS
from tests.api.tenants import key_header, tenant_key
from tests.makers import add_experiment
from tests.waiting import wait_until

TODAY = NOON.date()
STATUSES = ("RUNNING", "PAUSED", "ENDED", "DRAFT")
COUNT = 31
NEW = {
    "name": "Green button", "description": "Does green sell?", "status": "DRAFT", "share": "50",
    "key-0": "A", "name-0": "", "weight-0": "0.5", "config-0": "", "key-1": "B", "name-1": "Green", "weight-1": "0.5",
    "config-1": '{"button": {"color": "green"}}', "control": "0", "platform": "ios", "min_version": "1.4",
    "start": "2026-03-01 09:00", "end": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def keys(world: World) -> dict[str, str]:
    """Keys of tenant default that are known to the server: `all`, `read`; and `acme`, which may manage there."""
    found = {
        "all": tenant_key(world.connection, "default"),
        "read": tenant_key(world.connection, "default", ["read"]),
        "acme": tenant_key(world.connection, "acme", ["read", "manage"]),
    }
    for key in found.values():
        wait_until(lambda key=key: api(world, key, "").status_code == 200, "the key is known", 5)
    return found


@pytest.fixture(scope="module")
def many(world: World, keys: dict[str, str]) -> Iterator[None]:
    """More experiments than a page shows, of every status."""
    for number in range(COUNT):
        add_experiment(
            world.connection,
            f"many_{number:02}",
            {"A": 1, "B": 3},
            status=STATUSES[number % 4],
            start_at=None if number % 5 == 0 else NOON - timedelta(days=number % 7),
        )
    yield
    for table in ("experiment_variants", "experiment_changes", "experiment_versions", "experiments"):
        query = sql.SQL("DELETE FROM {} WHERE experiment_id LIKE 'many_%%'").format(sql.Identifier(table))
        world.connection.execute(query, ())


def api(world: World, key: str, place: str, **parameters: Any) -> httpx.Response:
    return httpx.get(
        f"{world.url}/api/experiments{place}", params=parameters, headers=key_header(key), timeout=30, verify=NO_TLS
    )


def listed(world: World, key: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = api(world, key, "", **parameters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def shown_ids(client: httpx.Client, **query: str) -> list[str]:
    page = Page(client.get("/experiments", params=query).text)
    return [
        attributes["value"] or ""
        for tag, attributes in page.elements
        if tag == "input" and attributes.get("name") == "id" and attributes.get("type") == "checkbox"
    ]


def csrf_of(client: httpx.Client, path: str = "/experiments") -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def order(client: httpx.Client, order: str, ids: list[str], **fields: str) -> httpx.Response:
    form = [("csrf", csrf_of(client)), ("order", order), *fields.items(), *(("id", text) for text in ids)]
    return client.post("/experiments/status", content=urlencode(form))


def send(client: httpx.Client, path: str, fields: dict[str, Any]) -> httpx.Response:
    return client.post(path, content=urlencode({**fields, "csrf": csrf_of(client)}, doseq=True))


def form_of(page: str) -> dict[str, Any]:
    """What a browser would send of the form of an experiment, if its `save` is pressed."""
    fields: dict[str, Any] = {"do": "save"}
    for tag, attributes in Page(page).elements:
        name = attributes.get("name")
        is_off = attributes.get("type") in ("radio", "checkbox") and "checked" not in attributes
        if tag == "input" and name and name != "csrf" and not is_off:
            fields[name] = attributes.get("value") or ""
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found
    return {**fields, "description": found[1]}


def wrong_fields(answer: httpx.Response) -> dict[str, str]:
    return dict(re.findall(r'<span class="wrong" id="wrong-([^"]+)">([^<]*)</span>', answer.text))


@pytest.mark.parametrize("sort", ["name", "-name", "status", "-startDate", "endDate", "createdAt", "-createdAt"])
def test_the_list_is_the_apis_in_every_order_and_whole(
    world: World, keys: dict[str, str], many: None, sort: str
) -> None:
    client = world.client()
    wanted = [one["id"] for one in listed(world, keys["all"], sort=sort, limit=100)]
    seen, path = [], f"/experiments?{urlencode({'sort': sort})}"
    for _ in range(3):
        answer = client.get(path)
        assert answer.status_code == 200
        page = Page(answer.text)
        seen += [value["value"] or "" for tag, value in page.elements if tag == "input" and value.get("name") == "id"]
        following = [href for text, href in page.links if text == "Next page"]
        if not following:
            break
        path = following[0]
    assert seen == wanted
    assert len(wanted) == COUNT + 1
    assert f"of {len(wanted)}</span>" in answer.text


@pytest.mark.parametrize("query", [{"q": "MANY_1"}, {"status": "PAUSED"}, {"q": "2", "status": "RUNNING"}, {"q": "%"}])
def test_search_and_status_find_what_the_api_finds(
    world: World, keys: dict[str, str], many: None, query: dict[str, str]
) -> None:
    assert shown_ids(world.client(), **query) == [one["id"] for one in listed(world, keys["all"], **query)]


@pytest.mark.parametrize("query", ["sort=weight", "status=GONE", "cursor=x", "q=%00", "q=" + "x" * 201, "days=3"])
def test_what_cannot_be_listed_is_explained(world: World, query: str) -> None:
    answer = world.client().get(f"/experiments?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")


def test_users_and_rates_are_the_published_ones_of_complete_days(world: World) -> None:
    run_id = world.connection.execute("SELECT run_id FROM experiment_metric_rollups LIMIT 1").fetchone()
    assert run_id is not None
    cohorts = {0: (50, 50), 1: (40, 40), 2: (30, 12), 3: (0, 0), 20: (7, 3), 28: (100, 100)}
    for back, (size, converted) in cohorts.items():
        world.connection.execute(
            "INSERT INTO experiment_metric_rollups (day, experiment_id, variant_id, metric_name, value, dimensions,"
            " run_id) VALUES (%s, 'exp', 'A', 'logging_rate_24h_by_variant', %s, %s, %s)",
            [TODAY - timedelta(days=back), converted / size if size else 0, Jsonb({"cohort_size": size}), run_id[0]],
        )
    for variant, back, users in (("A", 0, 4), ("A", 200, 10), ("B", 3, 16)):
        world.connection.execute(
            "INSERT INTO assigned_counts VALUES ('default', 'exp', %s, %s, %s)",
            [variant, TODAY - timedelta(days=back), users],
        )
    client = world.client()
    rows = {row["variant"]: row for row in csv_rows(client.get("/experiments?csv=experiments&q=exp"))}
    assert (rows["A"]["users"], rows["B"]["users"]) == ("14", "16")
    assert (float(rows["A"]["rate"]), rows["A"]["cohort_size"]) == (15 / 37, "37"), "today and yesterday left out"
    assert (rows["B"]["rate"], rows["B"]["cohort_size"]) == ("", ""), "nothing published: no number"
    assert ">n/a<" in client.get("/experiments?q=exp").text
    page = client.get("/experiments/exp")
    assert "24 h logging: A 40.5% of 37." in page.text
    split = {row["variant"]: row for row in csv_rows(client.get("/experiments/exp?csv=split"))}
    assert float(split["A"]["expected_share"]) == 0.5
    assert float(split["A"]["actual_share"]) == 14 / 30
    assert float(split["A"]["difference"]) == pytest.approx(14 / 30 - 0.5)
    parts = csv_rows(client.get("/provenance?metric=variant_users_total&experiment=exp&variant=A&csv=parts"))
    assert sum(int(row["users"]) for row in parts) == 14
    address = "/provenance?metric=logging_rate_24h_by_variant_pooled&experiment=exp&variant=A"
    found = csv_rows(client.get(f"{address}&csv=parts"))
    assert round(sum(float(row["rate"]) * int(row["cohort_size"]) for row in found)) == 15
    assert "FROM assigned_counts" in re.sub("<[^>]*>", "", client.get(
        "/provenance?metric=variant_users_total&experiment=exp&variant=A").text)  # fmt: skip


def test_the_metrics_of_the_page_are_the_endpoints(world: World, keys: dict[str, str]) -> None:
    answer = httpx.get(f"{world.url}/v1/metrics/experiments", params={"experiment_id": "exp", "window_days": 28},
                       headers=key_header(keys["read"]), timeout=30, verify=NO_TLS)  # fmt: skip
    series = answer.json()["experiments"][0]["series"]
    client = world.client()
    for name in ("users_assigned", "users_active_d1", "sessions_submitted_d7"):
        wanted = {(row["day"], row["variant_id"]): row["value"] for row in series if row["metric_name"] == name}
        assert len(wanted) == 56
        shown = csv_rows(client.get(f"/experiments/exp?csv={name}"))
        assert {(row["day"], variant): float(row[variant]) for row in shown for variant in ("A", "B")} == wanted
    funnel = csv_rows(client.get("/experiments/exp?csv=funnel"))
    assert funnel == csv_rows(client.get("/funnels?by=exp&csv=funnel"))


@pytest.mark.parametrize(
    ("path", "name"),
    [("/experiments/exp", "users_assigned"), ("/experiments/exp", "users_active_d1"),
     ("/ingestion", "lag"), ("/experiments/exp", "split")],
)  # fmt: skip
def test_the_numbers_behind_a_chart_are_a_part_of_the_page_and_a_page(world: World, path: str, name: str) -> None:
    client = world.client()
    whole = client.get(f"{path}?days=14&numbers={name}")
    part = client.get(f"{path}?days=14&numbers={name}", headers={"hx-request": "true"})
    assert (whole.status_code, part.status_code) == (200, 200)
    page, [table] = Page(whole.text), Page(part.text).tables
    assert page.tables == [table]
    assert "<html" in whole.text
    assert "<html" not in part.text
    assert len(table) - 1 == len(csv_rows(client.get(f"{path}?days=14&csv={name}"))) > 0
    assert page.asks() == Page(part.text).asks() != []
    assert dict(page.links)["Back to the page"] == f"{path}?days=14"
    assert f"{path}?days=14&numbers={name}&csv={name}" in {href for _, href in page.links}


def test_nothing_changes_before_it_is_confirmed_and_then_all_that_can(
    world: World, keys: dict[str, str], many: None
) -> None:
    client = world.client()
    ids = [f"many_{number:02}" for number in range(4)]  # RUNNING, PAUSED, ENDED, DRAFT
    asked = order(client, "pause", ids)
    assert asked.status_code == 200
    assert "Pause 1 experiment?" in asked.text
    assert "A DRAFT experiment cannot become PAUSED" in asked.text
    assert [api(world, keys["all"], f"/{one}").json()["status"] for one in ids] == list(STATUSES)
    done = order(client, "pause", ids, confirmed="yes", next="/experiments?q=many")
    assert done.status_code == 409, "some of them stayed"
    assert "ENDED is final" in done.text
    assert "1 experiment is paused now" in done.text
    after = [api(world, keys["all"], f"/{one}").json()["status"] for one in ids]
    assert after == ["PAUSED", "PAUSED", "ENDED", "DRAFT"]
    [entry] = api(world, keys["all"], "/many_00/changes").json()
    assert (entry["by"], entry["changes"]) == ("dashboard", {"status": {"before": "RUNNING", "after": "PAUSED"}})


def test_a_change_is_told_and_can_be_undone_once_and_not_after_somebody_elses(
    world: World, keys: dict[str, str], many: None
) -> None:
    client = world.client()
    ids = ["many_04", "many_08"]
    done = order(client, "pause", ids, confirmed="yes", next="/experiments?q=many&days=7")
    assert done.status_code == 303
    place = done.headers["location"]
    assert place.startswith("/experiments?q=many&days=7&done=")
    page = client.get(place)
    assert "2 experiments are paused now" in page.text
    assert "Undo" in page.text
    told = {name: re.search(f'name="{name}" value="([^"]*)"', page.text)[1] for name in ("done", "of")}  # type: ignore[index]
    assert send(client, "/experiments/undo", {**told, "next": "/experiments"}).status_code == 303
    assert [api(world, keys["all"], f"/{one}").json()["status"] for one in ids] == ["RUNNING", "RUNNING"]
    again = send(client, "/experiments/undo", told)
    assert again.status_code == 409
    assert "It was changed meanwhile" in again.text
    assert [api(world, keys["all"], f"/{one}").json()["status"] for one in ids] == ["RUNNING", "RUNNING"]
    other = world.client(keys["acme"], "203.0.113.2")
    assert send(other, "/experiments/undo", told).status_code == 404, "another tenant's change"
    ended = order(client, "end", ["many_08"], confirmed="yes")
    assert "Undo" not in client.get(ended.headers["location"]).text, "ENDED is final"
    for bad in ({"done": "x", "of": "1"}, {"done": told["done"], "of": "0"}, {"done": told["done"], "of": "101"}, {}):
        assert send(client, "/experiments/undo", bad).status_code == 400


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"order": "delete", "id": "exp"}, 400), ({"order": "pause"}, 400), ({"order": "pause", "id": "\x07"}, 404),
        ({"order": "pause", "id": [f"x{number}" for number in range(101)]}, 400),
        ({"order": "pause", "id": "nothing", "confirmed": "yes"}, 409),
    ],
)  # fmt: skip
def test_orders_that_make_no_sense_are_refused(world: World, form: dict[str, Any], status: int) -> None:
    assert send(world.client(), "/experiments/status", form).status_code == status


def test_who_may_only_read_sees_no_way_to_change_and_has_none(world: World, keys: dict[str, str]) -> None:
    client = world.client(keys["read"], "203.0.113.3")
    for path in ("/experiments", "/experiments/exp"):
        page = client.get(path).text
        assert "/experiments/edit" not in page
        assert 'value="pause"' not in page
        assert "New experiment" not in page
        assert 'type="checkbox"' not in page
    for path in ("/experiments/new", "/experiments/edit?id=exp"):
        assert client.get(path).status_code == 403
        assert send(client, path, NEW).status_code == 403
    assert order(client, "pause", ["exp"], confirmed="yes").status_code == 403
    assert send(client, "/experiments/undo", {"done": "x", "of": "1"}).status_code == 403
    manager = world.client()
    for path in ("/experiments/new", "/experiments/edit?id=exp", "/experiments/status", "/experiments/undo"):
        assert manager.post(path, data={**NEW, "csrf": "x"}).status_code == 403, "without the session's token"
    assert api(world, keys["all"], "/exp").json()["status"] == "RUNNING"


def test_a_tenant_reaches_no_other_tenants_experiments(world: World, keys: dict[str, str]) -> None:
    client = world.client(keys["acme"], "203.0.113.4")
    assert shown_ids(client) == ["secret_exp"]
    for path in ("/experiments/exp", "/experiments/by-id?id=exp", "/experiments/edit?id=exp"):
        assert client.get(path).status_code == 404, path
    assert send(client, "/experiments/edit?id=exp", NEW).status_code == 404
    answer = order(client, "end", ["exp"], confirmed="yes")
    assert answer.status_code == 409
    assert "There is no such experiment" in answer.text
    assert api(world, keys["all"], "/exp").json()["status"] == "RUNNING"
    parts = csv_rows(client.get("/provenance?metric=variant_users_total&experiment=exp&variant=A&csv=parts"))
    assert parts == []


def test_what_a_form_creates_is_what_the_api_shows(world: World, keys: dict[str, str]) -> None:
    client = world.client(keys["all"], "203.0.113.5")
    created = send(client, "/experiments/new", NEW)
    assert created.status_code == 303, wrong_fields(created)
    place = created.headers["location"]
    assert "The experiment is created" in client.get(place).text
    experiment_id = place.split("?")[0].rsplit("/", 1)[1]
    shown = api(world, keys["all"], f"/{experiment_id}").json()
    assert {name: shown[name] for name in ("name", "description", "status", "targeting", "startDate", "endDate",
                                           "trafficAllocation", "layer")} == {
        "name": "Green button", "description": "Does green sell?", "status": "DRAFT",
        "targeting": {"platform": ["ios"], "min_app_version": "1.4"}, "startDate": "2026-03-01T09:00:00.000Z",
        "endDate": None, "trafficAllocation": 0.5, "layer": None,
    }  # fmt: skip
    assert shown["variants"] == [
        {"key": "A", "name": "A", "weight": 0.5, "isControl": True, "config": {}},
        {"key": "B", "name": "Green", "weight": 0.5, "isControl": False, "config": {"button": {"color": "green"}}},
    ]
    [entry] = api(world, keys["all"], f"/{experiment_id}/changes").json()
    assert entry["by"] == id_of_key(keys["all"])
    log = csv_rows(client.get(f"/experiments/{experiment_id}?csv=log"))
    assert {row["field"] for row in log} == set(entry["changes"])


def test_each_wrong_field_is_explained_and_nothing_that_was_filled_in_is_lost(
    world: World, keys: dict[str, str]
) -> None:
    client = world.client()
    before = len(listed(world, keys["all"], limit=200))
    fields = {
        **NEW, "name": "", "weight-0": "half", "key-1": "A" * 65, "config-1": "{oops", "start": "soon", "share": "120",
        "more": "[1]", "layer_name": "No Capitals", "layer_from": "80", "layer_to": "20", "description": "kept <b>",
    }  # fmt: skip
    answer = send(client, "/experiments/new", fields)
    assert answer.status_code == 400
    wrong = wrong_fields(answer)
    assert wrong.keys() >= {"name", "weight-0", "key-1", "config-1", "start", "share", "targeting", "layer"}
    assert wrong["name"] == "must not be empty"
    assert wrong["weight-0"] == "must be a number"
    assert "65" not in wrong["key-1"]
    assert wrong["config-1"].startswith("must be a JSON object")
    assert wrong["share"] == "must be a number between 0 and 1"
    for text in ("half", "A" * 65, "{oops", "soon", "120", "[1]", "No Capitals", "kept &lt;b&gt;"):
        assert text in answer.text, text
    assert answer.text.count('aria-invalid="true"') >= 7
    twice = send(client, "/experiments/new", {**NEW, "key-1": "A"})
    assert "must have keys that differ" in wrong_fields(twice)["variants"]
    dates = send(client, "/experiments/new", {**NEW, "start": "2026-03-02", "end": "2026-03-01"})
    assert "must not be before startDate" in wrong_fields(dates)["end"]
    assert len(listed(world, keys["all"], limit=200)) == before


def test_a_row_for_one_more_variant_needs_no_script(world: World) -> None:
    client = world.client()
    answer = send(client, "/experiments/new", {**NEW, "do": "add"})
    assert answer.status_code == 200
    assert 'name="key-2"' in answer.text
    assert "Does green sell?" in answer.text
    rows = {
        **NEW,
        "key-0": "",
        "weight-0": "",
        "key-2": "C",
        "name-2": "",
        "weight-2": "1",
        "config-2": "",
        "control": "2",
    }
    created = send(client, "/experiments/new", rows)
    assert created.status_code == 303
    variants = csv_rows(client.get(f"{created.headers['location'].split('?')[0]}?csv=variants"))
    assert [(row["variant"], row["control"]) for row in variants] == [("C", "control"), ("B", "")]


def test_an_edit_changes_what_differs_and_a_form_that_was_only_opened_changes_nothing(
    world: World, keys: dict[str, str]
) -> None:
    client = world.client()
    place = send(client, "/experiments/new", {**NEW, "layer_name": "checkout", "layer_from": "0", "layer_to": "33.3"})
    experiment_id = place.headers["location"].split("?")[0].rsplit("/", 1)[1]
    path = f"/experiments/edit?id={experiment_id}"
    fields = form_of(client.get(path).text)
    same = send(client, path, fields)
    assert same.headers["location"].endswith("said=same")
    assert api(world, keys["all"], f"/{experiment_id}").headers["etag"] == '"1"'
    saved = send(client, path, {**fields, "weight-1": "2", "description": "Two to one"})
    assert saved.headers["location"].endswith("said=saved")
    [entry, _] = api(world, keys["all"], f"/{experiment_id}/changes").json()
    assert entry["changes"].keys() == {"description", "variants"}
    assert api(world, keys["all"], f"/{experiment_id}").json()["layer"] == {"name": "checkout", "from": 0, "to": 0.333}
    taken = send(client, "/experiments/new", {**NEW, "layer_name": "checkout", "layer_from": "30", "layer_to": "60"})
    assert taken.status_code == 409
    assert experiment_id in wrong_fields(taken)["layer"]


def test_a_form_that_is_out_of_date_shows_the_newer_values_and_then_lets_the_person_decide(
    world: World, keys: dict[str, str]
) -> None:
    client = world.client()
    created = send(client, "/experiments/new", NEW)
    experiment_id = created.headers["location"].split("?")[0].rsplit("/", 1)[1]
    path = f"/experiments/edit?id={experiment_id}"
    mine = form_of(client.get(path).text)
    theirs = httpx.patch(f"{world.url}/api/experiments/{experiment_id}", json={"name": "Their name"},
                         headers=key_header(keys["all"]), verify=NO_TLS)  # fmt: skip
    assert theirs.status_code == 200
    answer = send(client, path, {**mine, "name": "My name"})
    assert answer.status_code == 412
    assert "It was changed while this form was open" in answer.text
    assert "Their name" in answer.text
    assert 'value="My name"' in answer.text
    assert api(world, keys["all"], f"/{experiment_id}").json()["name"] == "Their name"
    again = form_of(answer.text)
    assert again["etag"] == '"2"'
    assert send(client, path, again).status_code == 303
    assert api(world, keys["all"], f"/{experiment_id}").json()["name"] == "My name"


def test_what_the_lifecycle_keeps_cannot_be_edited(world: World, keys: dict[str, str]) -> None:
    client = world.client()
    created = send(client, "/experiments/new", {**NEW, "status": "RUNNING"})
    experiment_id = created.headers["location"].split("?")[0].rsplit("/", 1)[1]
    path = f"/experiments/edit?id={experiment_id}"
    page = client.get(path).text
    assert "Fixed once an experiment has left draft" in page
    order(client, "end", [experiment_id], confirmed="yes")
    fields = form_of(client.get(path).text)
    answer = send(client, path, {**fields, "name": "Ended well", "weight-0": "9", "share": "1"})
    assert answer.status_code == 303
    shown = api(world, keys["all"], f"/{experiment_id}").json()
    assert (shown["name"], shown["variants"][0]["weight"], shown["trafficAllocation"]) == ("Ended well", 0.5, 0.5)


@pytest.mark.parametrize(
    "experiment_id", ["new", "by-id", "..", "a/b", "a?b#c", "é ü", '"><script>x</script>', "%2e%2e"]
)
def test_every_id_has_a_page(world: World, keys: dict[str, str], experiment_id: str) -> None:
    add_experiment(world.connection, experiment_id, {"A": 1})
    try:
        client = world.client()
        page = Page(client.get("/experiments").text)
        [place] = [href for text, href in page.links if text == experiment_id]
        shown = client.get(place)
        assert shown.status_code == 200
        assert "<script>x</script>" not in shown.text
        assert csv_rows(client.get(f"{place}&csv=variants" if "?" in place else f"{place}?csv=variants"))
        edit = next(href for text, href in Page(shown.text).links if text == "Edit")
        assert client.get(edit).status_code == 200
        direct = client.get(f"/experiments/{urlencode({'': experiment_id})[1:]}", follow_redirects=True)
        assert direct.status_code in (200, 404)
    finally:
        world.connection.execute("DELETE FROM experiment_variants WHERE experiment_id = %s", [experiment_id])
        world.connection.execute("DELETE FROM experiments WHERE experiment_id = %s", [experiment_id])


def test_campaign_experiments_that_nobody_registered_are_listed_as_such(world: World) -> None:
    for experiment_id, day, events in (("spring_sale", 0, 30), ("spring_sale", 3, 5), ("exp", 0, 9), ("old", 60, 8)):
        world.connection.execute(
            "INSERT INTO campaign_counts VALUES ('default', %s, %s, '', %s, 2, 1, 1, '{1}', '{1}')",
            [experiment_id, TODAY - timedelta(days=day), events],
        )
    client = world.client()
    rows = csv_rows(client.get("/experiments?csv=unregistered"))
    assert rows == [{"experiment_id": "spring_sale", "events": "35", "conversions": "4", "last_day": str(TODAY)}]
    parts = csv_rows(client.get("/provenance?metric=campaign_events_total&experiment=spring_sale&csv=parts"))
    assert [row["events"] for row in parts] == ["30", "5"]
    assert "spring_sale" not in world.client(world.read_key).get("/experiments").text


def test_without_experiments_the_page_says_how_to_get_one(world: World) -> None:
    client = world.client()
    client.post("/tenant", data={"csrf": csrf_of(client), "tenant": "empty"})
    page = client.get("/experiments").text
    assert "./tidemark seed" in page
    assert 'href="/experiments/new"' in page
    assert "No experiment matches" in client.get("/experiments?q=x").text


def test_the_frame_of_a_page_that_asks_leads_somewhere(world: World) -> None:
    client = world.client()
    asked = order(client, "pause", ["exp"])
    links = {href for text, href in Page(asked.text).links if text.startswith("7")}
    assert links == {"/experiments/status?days=7"}
    for path in (*links, "/experiments/undo?days=7"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/experiments?days=7")
