"""The embedded Postgres starts, heals, and is shared, as root and as an ordinary user, wherever its home lies."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

import cli.postgres_binaries
from cli.embedded_postgres import EmbeddedPostgres, PostgresError
from cli.postgres_binaries import NoBinariesError, PostgresBinaries, find_binaries, runnable_by
from cli.postgres_folder import prepared_folder
from cli.postgres_lease import InUseError, keep_running, kept, leased, stop_keeping
from cli.service_account import AccountError, ServiceAccount, service_account
from pipeline.settings import REPOSITORY
from tests.cli.accounts import as_root, system_python
from tests.waiting import wait_until


@pytest.fixture
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that was never started yet."""
    server = EmbeddedPostgres(open_folder / "postgres", system_state=open_folder / "state")
    yield server
    server.stop()


def wheel_binaries() -> PostgresBinaries:
    return cli.postgres_binaries._wheel()[0]


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_first_start_kill_9_and_second_start_keep_the_data(server: EmbeddedPostgres) -> None:
    url = server.start()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.pid is None, "the server is gone")
    assert server.start() == url, "the same port, so that clients reconnect"
    assert value(url, "SELECT value FROM kept") == 42
    assert value(url, "SHOW fsync") == "on"
    assert value(url, "SHOW timezone") == "UTC"
    assert value(url, "SHOW max_prepared_transactions") == "0"
    server.stop()
    assert server.pid is None


def test_the_port_is_waited_for_and_given_up_when_somebody_keeps_it(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def is_free(port: int) -> bool:
        looks.append(port)
        return len(looks) > 3

    url = server.start()
    server.stop()
    monkeypatch.setattr("cli.embedded_postgres.is_free", is_free)
    assert server.start() == url
    assert len(looks) == 4
    server.stop()
    monkeypatch.setattr("cli.embedded_postgres.is_free", lambda port: False)
    monkeypatch.setattr("cli.embedded_postgres.PORT_SECONDS", 0.1)
    assert server.start() != url


def test_a_server_whose_starter_was_killed_is_waited_for_and_completed(server: EmbeddedPostgres) -> None:
    url = server.start()
    with psycopg.connect(url.rsplit("/", 1)[0] + "/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE tidemark WITH (FORCE)")
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.pid is None, "the server is gone")
    # As `pg_ctl start` does, without waiting: the starter was killed right after it.
    wait_until(lambda: begin_start(server), "its old processes have gone")
    assert value(server.start(), "SELECT 1") == 1


def begin_start(server: EmbeddedPostgres) -> bool:
    server._run(
        "pg_ctl", "start", "-W", "-D", server.data, "-l", server.folder / "log", "-o", server._server_arguments()
    )
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and server.pid is None:
        time.sleep(0.01)
    return server.pid is not None


def test_an_interrupted_first_start_is_made_again(server: EmbeddedPostgres) -> None:
    unfinished = server.folder / "data.new.interrupted"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("15\n")
    server.start()
    assert not unfinished.exists()


def test_a_data_folder_without_a_cluster_is_refused_not_removed(server: EmbeddedPostgres) -> None:
    precious = server.folder / "data" / "precious"
    precious.parent.mkdir()
    precious.touch()
    with pytest.raises(PostgresError, match="is no Postgres data folder; move it away"):
        server.start()
    assert precious.exists()


def test_a_stale_pid_file_with_the_pid_of_another_program_is_no_obstacle(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n1\n5432\n\n127.0.0.1\n")
    server.account.own(server.data / "postmaster.pid")
    assert server.pid is None
    assert value(server.start(), "SELECT 1") == 1


def test_the_folders_of_a_home_keep_their_permissions(server: EmbeddedPostgres, open_folder: Path) -> None:
    before = [(parent, parent.stat().st_mode) for parent in open_folder.parents]
    server.start()
    assert [(parent, parent.stat().st_mode) for parent in open_folder.parents] == before
    assert (server.folder / "password").stat().st_mode & 0o777 == 0o600


def test_the_wheel_s_binaries_make_and_serve_a_cluster(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder / "postgres", binaries=wheel_binaries().folder)
    url = server.start()
    try:
        assert str(value(url, "SHOW server_version")).startswith(str(wheel_binaries().major))
    finally:
        server.stop()


def test_data_of_another_version_names_the_version_to_install(server: EmbeddedPostgres) -> None:
    (server.folder / "data").mkdir()
    (server.folder / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(NoBinariesError, match="the data was made by Postgres 9, and the versions found here are: "):
        server.start()


def test_a_folder_without_binaries_is_refused_by_the_name_of_its_variable(tmp_path: Path) -> None:
    with pytest.raises(NoBinariesError, match="TIDEMARK_POSTGRES_BINARIES"):
        find_binaries(forced=tmp_path)


def test_the_last_of_two_users_stops_the_server(server: EmbeddedPostgres) -> None:
    with leased(server) as url:
        with leased(server) as same:
            assert same == url
        assert value(url, "SELECT 1") == 1, "one user remains"
    assert server.pid is None


def test_a_killed_user_does_not_keep_the_server_up_for_ever(server: EmbeddedPostgres) -> None:
    program = (
        "import pathlib, signal, sys\nfrom cli.embedded_postgres import EmbeddedPostgres\n"
        "from cli.postgres_lease import leased\nfolder = pathlib.Path(sys.argv[1])\n"
        "with leased(EmbeddedPostgres(folder)) as url:\n    (folder / 'ready').touch()\n    signal.pause()"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", program, str(server.home)], env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
    )
    wait_until((server.home / "ready").exists, "the other user is ready")
    user.kill()
    user.wait()
    assert server.pid is not None, "nobody was left to stop it"
    with leased(server) as url:
        assert value(url, "SELECT 1") == 1
    assert server.pid is None


def test_a_kept_server_outlives_its_users_until_told(server: EmbeddedPostgres) -> None:
    keep_running(server)
    with leased(server):
        pass
    assert server.pid is not None
    assert kept(server)
    with leased(server):
        with pytest.raises(InUseError, match="it stops when the last of them ends"):
            stop_keeping(server)
        assert server.pid is not None
    assert server.pid is None


@as_root
def test_a_folder_that_only_root_enters_has_its_data_elsewhere_and_stays_closed(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "data" / "postgres", system_state=open_folder / "state")
    with leased(server) as url:
        assert value(url, "SELECT 1") == 1
    assert server.home.is_symlink()
    assert server.folder.is_relative_to(open_folder / "state")
    assert closed.stat().st_mode & 0o777 == 0o700
    again = EmbeddedPostgres(closed / "data" / "postgres", system_state=open_folder / "state")
    assert again.exists
    assert again.folder == server.folder


@as_root
def test_two_homes_of_one_name_have_folders_of_their_own(open_folder: Path) -> None:
    account = service_account(open_folder / "none")
    folders = set()
    for name in ("a b", "a-b"):
        closed = open_folder / name
        closed.mkdir(mode=0o700)
        folders.add(prepared_folder(closed / "postgres", account, open_folder / "state"))
    assert len(folders) == 2


@as_root
def test_a_wheel_that_only_root_reaches_is_copied_once_and_runs(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = wheel_binaries()
    package = wheel.folder.parent.parent
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    for source in (wheel.folder.parent, package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, closed / source.relative_to(package.parent), symlinks=True)
    monkeypatch.setattr(cli.postgres_binaries, "_wheel_package", lambda: closed / package.name)
    account = service_account(open_folder / "none")
    hidden = PostgresBinaries(closed / wheel.folder.relative_to(package.parent), wheel.major)
    copied = runnable_by(account, hidden, open_folder / "runtime")
    assert copied.folder.is_relative_to(open_folder / "runtime")
    assert account.can_run(copied.folder / "initdb")
    assert runnable_by(account, hidden, open_folder / "runtime") == copied
    assert [path.name.count(".new.") for path in (open_folder / "runtime").iterdir()] == [0]


@as_root
def test_an_ordinary_user_has_a_server_of_their_own(open_folder: Path) -> None:
    python = system_python()
    if python is None:
        pytest.skip("no Python of this version outside folders that only root enters")
    nobody = pwd.getpwnam("nobody")
    home = open_folder / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    program = (
        "import pathlib, psutil, sys\nfrom cli.embedded_postgres import EmbeddedPostgres\n"
        "from cli.postgres_lease import leased\nserver = EmbeddedPostgres(pathlib.Path(sys.argv[1]) / 'postgres')\n"
        "with leased(server): print(psutil.Process(server.pid).uids().real)\nprint(server.pid)"
    )
    done = subprocess.run(
        [python, "-B", "-c", program, str(home)],
        user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/", capture_output=True, text=True, check=False,
        env={"PATH": os.defpath, "PYTHONPATH": f"{REPOSITORY}:{sysconfig.get_path('purelib')}"},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.split() == [str(nobody.pw_uid), "None"]


@as_root
def test_the_folder_of_another_user_is_refused_by_name(open_folder: Path) -> None:
    python = system_python()
    if python is None:
        pytest.skip("no Python of this version outside folders that only root enters")
    (open_folder / "data").mkdir()
    nobody = pwd.getpwnam("nobody")
    program = (
        "import pathlib, sys\nfrom cli.service_account import AccountError, service_account\n"
        "try: service_account(pathlib.Path(sys.argv[1]))\nexcept AccountError as error: print(error)"
    )
    done = subprocess.run(
        [python, "-B", "-c", program, str(open_folder / "data")],
        user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/", capture_output=True, text=True, check=False,
        env={"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert "belongs to another user (root); run as that user, or set TIDEMARK_HOME" in done.stdout, done.stderr


@as_root
def test_root_runs_the_server_as_the_owner_of_existing_data(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    data = open_folder / "data"
    data.mkdir()
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    assert service_account(data) == ServiceAccount(nobody.pw_uid, nobody.pw_gid)


@as_root
def test_root_without_a_service_account_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cli.service_account.ACCOUNT_NAMES", ("nobody-of-this-name",))
    with pytest.raises(AccountError, match="create one, run Tidemark as an ordinary user, or set DATABASE_URL"):
        service_account(tmp_path / "none")


@as_root
def test_a_full_disk_is_named_and_what_was_begun_heals(open_folder: Path) -> None:
    small = open_folder / "small disk"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    try:
        server = EmbeddedPostgres(small / "postgres")
        with pytest.raises(PostgresError, match=r"the disk of .* is full; free space there, or set TIDEMARK_HOME"):
            server.start()
        subprocess.run(["mount", "-o", "remount,size=400m", small], check=True)
        assert value(server.start(), "SELECT 1") == 1
        server.stop()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_no_server_of_these_tests_is_left(server: EmbeddedPostgres) -> None:
    with leased(server):
        pid = server.pid
    assert pid is not None
    wait_until(lambda: not psutil.pid_exists(pid), "the server's process is gone")
