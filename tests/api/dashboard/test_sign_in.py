"""Signing in and out: what opens a session, what ends it, and what a page of another site cannot do."""

from __future__ import annotations

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.cookies import SimpleCookie
from itertools import count
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
import pytest

from api.access.caller import Caller
from api.access.key_ring import LiveKey
from api.dashboard.one_time_link import LIFETIME_SECONDS, claim, links_folder, make_link
from api.dashboard.routers import ROUTERS
from api.dashboard.session import COOKIE, Sessions
from api.dashboard.session import LIFETIME_SECONDS as SESSION_SECONDS
from api.dashboard.throttle import BURST, MAX_ADDRESSES, REFILL_SECONDS, Throttle
from cli.run_commands import links
from cli.running_system import RunningSystem
from pipeline.access.keys import id_of_key, revoke_key
from pipeline.settings import Settings
from tests.api.conftest import TOKEN
from tests.api.dashboard.conftest import NOON, World
from tests.api.servers import NO_TLS, server_process
from tests.api.tenants import tenant_key
from tests.waiting import wait_until


def csrf_of(client: httpx.Client, path: str = "/overview") -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def test_the_root_leads_to_the_overview_and_that_to_the_sign_in(world: World) -> None:
    client = world.client(None)
    assert client.get("/").headers["location"] == "/overview"
    assert client.get("/overview").headers["location"] == "/login"
    led = client.get("/funnels?days=7&by=exp")
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=%2Ffunnels%3Fdays%3D7%26by%3Dexp")
    page = client.get(led.headers["location"])
    assert 'name="next" value="/funnels?days=7&amp;by=exp"' in page.text
    signed_in = client.post("/login", data={"token": TOKEN, "next": "/funnels?days=7&by=exp"})
    assert signed_in.headers["location"] == "/funnels?days=7&by=exp"


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/login",
        "\t//evil.example", "http:evil", "/x\r\nset-cookie: x=y", "/é", "x" * 3000, "/" + "x" * 3000, "http://[", "",
    ],
)  # fmt: skip
def test_the_way_back_leads_to_pages_of_ours_alone(world: World, place: str) -> None:
    answer = world.client(None).post("/login", data={"token": TOKEN, "next": place})
    assert (answer.status_code, answer.headers["location"]) == (303, "/overview")


@pytest.mark.parametrize("https", [False, True])
def test_the_cookie_is_for_the_server_alone(world: World, https: bool) -> None:
    headers = {"x-forwarded-proto": "https"} if https else {}
    answer = world.client(None).post("/login", data={"token": TOKEN}, headers=headers)
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "lax"
    assert cookie["path"] == "/"
    assert bool(cookie["secure"]) is https
    assert int(cookie["max-age"]) == SESSION_SECONDS
    assert TOKEN not in cookie.value


def test_only_the_token_and_keys_that_may_read_open_a_session(world: World) -> None:
    wrong_ones = ("", "x", TOKEN[:-1], f"{TOKEN}x", world.ingest_key, world.read_key[:-1], "é", "\N{SNOWMAN}" * 400)
    for number, wrong in enumerate(wrong_ones):
        client = world.client(None, f"203.0.113.{10 + number}")
        answer = client.post("/login", data={"token": wrong})
        assert answer.status_code == 401, wrong
        assert COOKIE not in answer.cookies
        assert "neither the dashboard token nor a key" in answer.text
        assert len(wrong) < 5 or wrong not in answer.text
    assert world.client(f"  {TOKEN} ").get("/overview").status_code == 200
    assert world.client(world.read_key).get("/overview").status_code == 200


def test_who_fails_too_often_waits_and_others_do_not(world: World) -> None:
    client = world.client(None, "203.0.113.77")
    statuses = [client.post("/login", data={"token": "guess"}).status_code for _ in range(BURST + 2)]
    assert statuses == [401] * BURST + [429] * 2
    refused = client.post("/login", data={"token": TOKEN})
    assert refused.status_code == 429, "a guesser that finds the secret does not learn of it"
    assert 0 < int(refused.headers["retry-after"]) <= REFILL_SECONDS
    assert world.client(address="203.0.113.78").get("/overview").status_code == 200


def test_the_throttle_lets_one_attempt_after_another_back_in_and_stays_small() -> None:
    now = 1_000.0
    throttle = Throttle(lambda: now)
    for _ in range(BURST):
        assert throttle.seconds_to_wait("a") == 0
        throttle.failed("a")
    assert throttle.seconds_to_wait("a") == REFILL_SECONDS
    now += REFILL_SECONDS
    assert throttle.seconds_to_wait("a") == 0
    throttle.failed("a")
    assert throttle.seconds_to_wait("a") == REFILL_SECONDS
    throttle.succeeded("a")
    assert throttle.seconds_to_wait("a") == 0
    for number in range(MAX_ADDRESSES + 10):
        throttle.failed(str(number))
    assert len(throttle._failures) == MAX_ADDRESSES


def test_a_session_ends_by_signing_out_with_its_token_and_by_itself(world: World) -> None:
    client = world.client()
    assert client.post("/logout").status_code == 403
    assert client.post("/logout", data={"csrf": "x" * 59}).status_code == 403
    other = csrf_of(world.client())
    assert client.post("/logout", data={"csrf": other}).status_code == 403, "another session's token"
    assert client.get("/overview").status_code == 200
    answer = client.post("/logout", data={"csrf": csrf_of(client)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert client.get("/overview").status_code == 303
    late = world.client()
    try:
        world.clock.now = NOON + timedelta(seconds=SESSION_SECONDS - 1)
        assert late.get("/overview").status_code == 200
        world.clock.now = NOON + timedelta(seconds=SESSION_SECONDS)
        assert late.get("/overview").status_code == 303
    finally:
        world.clock.now = NOON


def test_a_revoked_key_ends_its_sessions_within_five_seconds(world: World) -> None:
    key = tenant_key(world.connection, "acme", ["read"])
    client = world.client(None)
    addresses = (f"198.51.100.{number}" for number in count())  # a try from each: who fails often waits for longer

    def is_known() -> bool:
        headers = {"x-forwarded-for": next(addresses)}
        return client.post("/login", data={"token": key}, headers=headers).status_code == 303

    wait_until(is_known, "the key is known", 5)
    assert client.get("/overview").status_code == 200
    revoke_key(world.connection, id_of_key(key))
    wait_until(lambda: client.get("/overview").status_code == 303, "the session has ended", 5)


def test_no_cookie_but_ours_is_a_session(world: World) -> None:
    client = world.client(world.read_key)
    content, signature = client.cookies[COOKIE].split(".")
    fields = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))

    def encoded(**changes: object) -> str:
        return base64.urlsafe_b64encode(json.dumps({**fields, **changes}).encode()).decode().rstrip("=")

    changed = [
        {"tenant_id": "default"}, {"kind": "operator", "key_id": None}, {"expires": 2**40}, {"kind": "other"},
        {"more": 1}, {"key_id": ["x"]}, {"serial": None},
    ]  # fmt: skip
    forged = [f"{encoded(**changes)}.{signature}" for changes in changed]
    forged += ["", ".", "x.y", content, f"{content}.", f".{signature}", f"{content}.{signature[:-1]}"]
    forged += [f"{content}.{signature}x", f"{base64.urlsafe_b64encode(b'[' * 400).decode()}.{signature}", "a" * 5_000]
    for cookie in forged:
        answer = httpx.get(f"{world.url}/overview", headers={"cookie": f"{COOKIE}={cookie}"}, timeout=30, verify=NO_TLS)
        assert answer.status_code == 303, cookie
    assert client.get("/overview").status_code == 200


def test_forms_of_another_site_are_refused(world: World) -> None:
    client = world.client()
    csrf = csrf_of(client)
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"},
                    {"origin": "null"}):  # fmt: skip
        for path, fields in (("/login", {"token": TOKEN}), ("/logout", {"csrf": csrf}), ("/theme", {"theme": "dark"})):
            assert client.post(path, data=fields, headers=headers).status_code == 403, (path, headers)
    for headers in ({"sec-fetch-site": "same-origin", "origin": "http://behind.a.proxy"}, {"origin": world.url}):
        assert client.post("/theme", data={"theme": "dark"}, headers=headers).status_code == 303
    for body in (b"%ff=%ff", b"a=%00", b"&".join([b"a=1"] * 3_000), "é=1".encode()):
        assert client.post("/theme", content=body).status_code == 400


def test_the_csrf_token_differs_from_page_to_page(world: World) -> None:
    client = world.client()
    assert csrf_of(client) != csrf_of(client)


def test_an_operator_switches_between_tenants_that_exist_and_a_tenant_does_not(world: World) -> None:
    client = world.client()
    assert 'option value="acme"' in client.get("/overview").text
    switched = client.post("/tenant", data={"csrf": csrf_of(client), "tenant": "acme", "next": "/funnels"})
    assert (switched.status_code, switched.headers["location"]) == (303, "/funnels")
    assert 'option value="acme" selected' in client.get("/overview").text
    assert client.post("/tenant", data={"csrf": csrf_of(client), "tenant": "nobody"}).status_code == 400
    assert client.post("/tenant", data={"tenant": "default"}).status_code == 403
    tenant = world.client(world.read_key)
    page = tenant.get("/overview").text
    assert "default" not in re.sub(r"<script.*?</script>", "", page), "another tenant's name"
    assert tenant.post("/tenant", data={"csrf": csrf_of(tenant), "tenant": "default"}).status_code == 403


def test_every_answer_carries_the_policy(world: World) -> None:
    client, stranger = world.client(), world.client(None)
    answers = []
    for route in (route for router in ROUTERS for route in router.routes):
        path = route.path.replace("{name:path}", "app.css").replace("{experiment_id}", "exp")  # type: ignore[attr-defined]
        method = next(iter(route.methods))  # type: ignore[attr-defined]
        answers += [who.request(method, path) for who in (client, stranger)]
    answers += [client.get(path) for path in ("/overview?csv=daily", "/overview?days=8", "/static/nothing.css",
                                              "/provenance?metric=x", "/login?once=x")]  # fmt: skip
    assert {answer.status_code for answer in answers} >= {200, 303, 400, 401, 403, 404}
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.status_code == 200 or answer.headers["cache-control"] == "no-store"


def test_without_a_token_there_is_no_operator_and_keys_still_open() -> None:
    live = LiveKey(Caller("acme", frozenset(("read",)), "tm_1"), b"d" * 32, None)

    class Keys:
        def find(self, key: str) -> Caller | None:
            return live.caller if key == "tm_1-x" else None

        def current(self, key_id: str) -> LiveKey | None:
            return live if key_id == "tm_1" else None

    sessions = Sessions(None, Keys())  # type: ignore[arg-type]
    assert sessions.open("", NOON) is None
    assert sessions.open_for_operator(NOON) is None
    opened = sessions.open("tm_1-x", NOON)
    assert opened is not None
    assert sessions.read(sessions.cookie(opened), NOON) == opened
    forged = Sessions("a token", Keys()).cookie(Sessions("a token", Keys()).open("a token", NOON))  # type: ignore[arg-type]
    assert sessions.read(forged, NOON) is None


def test_a_one_time_link_signs_in_once_and_never_again(world: World) -> None:
    link = make_link(world.home, world.url)
    client = world.client(None)
    answer = client.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/overview")
    assert client.get("/overview").status_code == 200
    again = world.client(None).get(link)
    assert again.status_code == 401
    assert "has been used" in again.text
    assert not list(links_folder(world.home).iterdir())


def test_a_link_dies_after_a_day_and_is_known_by_no_file_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = make_link(world.home, "").rsplit("=", 1)[1]
    [path] = links_folder(world.home).iterdir()
    assert secret not in path.name
    assert path.parent.stat().st_mode & 0o777 == 0o700
    began = path.stat().st_mtime
    monkeypatch.setattr("time.time", lambda: began + LIFETIME_SECONDS + 1)
    assert not claim(world.home, secret)
    assert not path.exists()
    old = make_link(world.home, "")
    monkeypatch.setattr("time.time", lambda: began + 3 * LIFETIME_SECONDS)
    make_link(world.home, "")
    assert len(list(links_folder(world.home).iterdir())) == 1, f"{old} is cleared away"
    for wrong in ("", "../../x", "x" * 43, "\0" * 43):
        assert not claim(world.home, wrong)


def test_of_many_who_claim_a_link_at_once_one_gets_in(world: World) -> None:
    for _ in range(20):
        secret = make_link(world.home, "").rsplit("=", 1)[1]
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(lambda _, given=secret: claim(world.home, given), range(8))) == 1


def test_no_secret_is_in_the_log(capfd: pytest.CaptureFixture[str], world: World) -> None:
    link = make_link(world.home, world.url)
    client = world.client(None)
    client.get(link)
    client.get("/login?once=an-unknown-secret")
    client.get(f"/nowhere?{TOKEN}")
    logged = ""

    def is_complete() -> bool:
        nonlocal logged
        logged += capfd.readouterr().err
        return logged.count('"/login"') >= 2 and "nowhere" in logged

    wait_until(is_complete, "the requests are logged")
    assert link.rsplit("=", 1)[1] not in logged
    assert "an-unknown-secret" not in logged
    assert TOKEN not in logged


def test_the_theme_is_remembered_without_script(world: World) -> None:
    client = world.client(None)
    assert 'data-theme="system"' in client.get("/login").text
    assert client.post("/theme", data={"theme": "dark", "next": "/funnels"}).headers["location"] == "/funnels"
    assert 'data-theme="dark"' in client.get("/login").text
    assert client.post("/theme", data={"theme": '"><script>'}).status_code == 400


def test_a_link_and_its_session_hold_for_all_worker_processes(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_TOKEN", TOKEN)
    with server_process(database_url, tmp_path / "log", workers=2) as (url, parent):
        processes = psutil.Process(parent.pid)
        link = make_link(tmp_path, url)
        answers = [httpx.get(link, timeout=30, verify=NO_TLS).status_code for _ in range(6)]
        assert sorted(answers) == [303, *[401] * 5]
        cookie = httpx.get(make_link(tmp_path, url), timeout=30, verify=NO_TLS).headers["set-cookie"].split(";")[0]
        # Each request comes on a connection of its own; which of the processes takes it is chance.
        for _ in range(20):
            answer = httpx.get(f"{url}/metrics-catalogue", headers={"cookie": cookie}, timeout=30, verify=NO_TLS)
            assert answer.status_code == 200
        assert len([child for child in processes.children() if "spawn_main" in " ".join(child.cmdline())]) == 2


def test_what_runs_prints_a_link_that_works(world: World) -> None:
    system = RunningSystem(
        Settings.model_validate({"home": world.home, "dashboard_token": TOKEN}),
        {},
        cast("Any", None),
        cast("Any", None),
    )
    [line] = [line for line in links(system) if line.startswith("Dashboard:")]
    address = line.split()[1]
    assert address.startswith(f"{system.url}/login?once=")
    assert world.client(None).get(address.removeprefix(system.url)).headers["location"] == "/overview"
