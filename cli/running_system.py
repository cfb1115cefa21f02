"""The whole system as one context: Postgres, migrations, seed, API, Dagster; all of it stops when the block ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from cli.api_process import api_process, base_url
from cli.dagster_processes import (
    code_server,
    daemon,
    dagster_environment,
    prepare_instance,
    webserver,
    write_workspace,
)
from cli.dashboard_token import with_dashboard_token
from cli.database import check_reachable, embedded_postgres
from cli.embedded_postgres import EmbeddedPostgres
from cli.file_lock import FileLock
from cli.output import print_line
from cli.ports import check_port, free_port
from cli.postgres_lease import leased
from cli.process_records import ProcessRecords
from cli.progress import step
from cli.stop_signals import StopRequested, StopSignals
from cli.supervisor import Supervisor
from pipeline.access.keys import DEMO_KEY, has_demo_key, id_of_key
from pipeline.database import connect
from pipeline.manifest import seed
from pipeline.migrations import migrate
from pipeline.settings import REPOSITORY, Settings


class DemoKeyError(Exception):
    """The database has the key of the demo, which everybody knows."""


class AlreadyRunningError(Exception):
    """Another supervisor runs with the same home."""


@dataclass(frozen=True)
class RunningSystem:
    """What runs: its settings (database URL and dashboard token filled in), and the environment of its processes."""

    settings: Settings
    environment: Mapping[str, str]
    supervisor: Supervisor
    signals: StopSignals

    @property
    def database_url(self) -> str:
        """URL of the database in use."""
        return _secret(self.settings.database_url)

    @property
    def url(self) -> str:
        """URL of the API, without a slash at its end."""
        return base_url(self.settings)

    @property
    def dagster_url(self) -> str:
        """URL of the Dagster UI."""
        return f"http://127.0.0.1:{self.settings.dagster_port}"

    def start_api(self) -> None:
        """Start the API and wait until /health answers 200."""
        with step("Starting the API"):
            self.supervisor.start_stage([api_process(self.settings, self.environment)])

    def start_dagster(self) -> None:
        """Start Dagster's code server, UI and daemon, and wait until the UI answers."""
        port = free_port()
        workspace = self.settings.home / "run" / "workspace.yaml"
        write_workspace(workspace, port)
        prepare_instance(self.settings)
        with step("Starting Dagster"):
            self.supervisor.start_stage([code_server(self.environment, port)])
            self.supervisor.start_stage(
                [
                    webserver(self.environment, workspace, self.settings.dagster_port),
                    daemon(self.environment, workspace),
                ],
            )

    def run_until_signal(self) -> None:
        """Wait until somebody asks us to stop."""
        try:
            self.signals.wait()
        except StopRequested:
            print_line("\nStopping ...")


@contextmanager
def running_system(settings: Settings, *, dagster: bool = True, demo: bool = False) -> Iterator[RunningSystem]:
    """Run the whole system during the block: ready when the block begins, gone when it ends.

    With `dagster` false, Dagster waits until the caller says `start_dagster`; its port is checked all the same. Only a
    `demo` may have the demo's key: it raises DemoKeyError otherwise.
    StopRequested is raised in the block when a signal asks for the end. Raises AlreadyRunningError, PortError and
    SupervisorError beside what the database raises.
    """
    run = settings.home / "run"
    with StopSignals() as signals, ExitStack() as stack:
        stack.enter_context(_only_one(run))
        check_port(settings.host, settings.port, "PORT")
        check_port("127.0.0.1", settings.dagster_port, "DAGSTER_PORT")
        url, revive = stack.enter_context(_postgres(settings, signals))
        with step("Preparing the database"):
            migrate(url)
            if not demo:
                _refuse_demo_key(url)
            seed(url, REPOSITORY / "tests.json")
        settings = with_dashboard_token(settings).model_copy(update={"database_url": SecretStr(url)})
        records = ProcessRecords(run)
        environment = {**child_environment(settings), **dagster_environment(settings), **records.mark}
        supervisor = Supervisor(records, settings.home / "logs", signals, on_watch=revive)
        stack.callback(supervisor.stop)
        system = RunningSystem(settings, environment, supervisor, signals)
        system.start_api()
        if dagster:
            system.start_dagster()
        yield system


@contextmanager
def running_api(settings: Settings) -> Iterator[RunningSystem]:
    """Run the API alone during the block, with its output on ours; several may run on different ports of one home.

    Raises what `running_system` raises.
    """
    run = settings.home / "run" / f"serve-{settings.port}"
    with StopSignals() as signals, ExitStack() as stack:
        stack.enter_context(_only_one(run))
        check_port(settings.host, settings.port, "PORT")
        url, revive = stack.enter_context(_postgres(settings, signals))
        migrate(url)
        _refuse_demo_key(url)
        settings = settings.model_copy(update={"database_url": SecretStr(url)})
        supervisor = Supervisor(ProcessRecords(run), None, signals, on_watch=revive)
        stack.callback(supervisor.stop)
        system = RunningSystem(settings, child_environment(settings), supervisor, signals)
        system.start_api()
        yield system


def child_environment(settings: Settings) -> dict[str, str]:
    """Return our environment with these settings in it, for processes that read Settings themselves."""
    given = {
        "TIDEMARK_HOME": str(settings.home),
        "DATABASE_URL": _secret(settings.database_url),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        "PORT": str(settings.port),
        "DAGSTER_PORT": str(settings.dagster_port),
    }
    if settings.dashboard_token is not None:
        given["DASHBOARD_TOKEN"] = _secret(settings.dashboard_token)
    return {**os.environ, **given}


def _refuse_demo_key(url: str) -> None:
    with connect(url, application="tidemark-start") as connection:
        if has_demo_key(connection):
            raise DemoKeyError(
                f"this database has the demo's API key, {DEMO_KEY}, which everybody knows; revoke it first:"
                f" ./tidemark key revoke {id_of_key(DEMO_KEY)}"
            )


@contextmanager
def _only_one(run: Path) -> Iterator[None]:
    """Be the only supervisor of the folder `run`, and stop what a killed one left behind."""
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / "supervisor.lock")
    owner = run / "supervisor.pid"
    if not lock.try_acquire():
        pid = owner.read_text().strip() if owner.exists() else "unknown"
        raise AlreadyRunningError(
            f"Tidemark runs already with this home (process {pid}, {run.parent}); stop it first, or set TIDEMARK_HOME"
            " to another folder"
        )
    try:
        owner.write_text(f"{os.getpid()}\n")
        stopped = ProcessRecords(run).stop_leftovers()
        if stopped:
            print_line(f"Stopped {len(stopped)} processes that an earlier run left behind")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


@contextmanager
def _postgres(settings: Settings, signals: StopSignals) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the URL of a running Postgres, and what to call now and then to keep the embedded one running."""
    if settings.database_url is not None:
        url = _secret(settings.database_url)
        check_reachable(url)
        yield url, lambda: None
        return
    server = embedded_postgres(settings)
    with ExitStack() as stack:
        with signals.deferred(), step("Starting Postgres"):
            url = stack.enter_context(leased(server))
        yield url, lambda: _revive(server)


def _revive(server: EmbeddedPostgres) -> None:
    """Start the server again if it crashed; it keeps its port, so clients reconnect by themselves."""
    if server.pid is None:
        print_line("tidemark: Postgres ended, starting it again")
        server.start()


def _secret(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
