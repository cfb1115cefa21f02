"""The `tidemark` command: its sub-commands, and how each kind of failure ends.

Exit code 0 is success, 1 a failure, 2 wrong usage, 128 + n a stop by signal n. Failures are one line on stderr;
`TIDEMARK_DEBUG=1` adds the traceback.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import tomllib
import traceback
from importlib.metadata import PackageNotFoundError
from types import FrameType
from typing import Annotated, NoReturn

import psycopg
import typer
from pydantic import ValidationError

from cli.output import print_line
from cli.stop_signals import StopRequested
from pipeline.settings import REPOSITORY, Settings

# Each has a `register(app)`; none imports anything heavy before its command runs, which keeps `--help` fast.
COMMAND_MODULES = (
    "cli.run_commands",
    "cli.database_commands",
    "cli.access_commands",
    "cli.lake_commands",
    "cli.lake_reading_commands",
    "cli.rollup_commands",
    "cli.refresh_command",
    "cli.funnel_commands",
    "cli.run_history_commands",
    "cli.dead_letter_commands",
    "cli.maintenance_commands",
    "cli.erasure_commands",
    "cli.demo.command",
)
OUR_PACKAGES = {"api", "cli", "dagster_project", "pipeline"}
WRONG_USAGE = 2


def create_app() -> typer.Typer:
    """Return the Typer application with every command registered."""
    app = typer.Typer(
        name="tidemark",
        help="Self-hosted event analytics and A/B testing whose numbers can be traced and trusted.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def tidemark(
        version: Annotated[
            bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
        ] = False,
    ) -> None:
        pass

    for name in COMMAND_MODULES:
        importlib.import_module(name).register(app)
    return app


def main() -> NoReturn:
    """Run the command named in sys.argv and exit with its code."""
    signal.signal(signal.SIGTERM, _unwind)
    try:
        typer.main.get_command(create_app()).main(prog_name="tidemark")
    except StopRequested as request:
        _exit(request.exit_code)
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        _exit(1)
    except Exception as error:
        if os.environ.get("TIDEMARK_DEBUG"):
            traceback.print_exception(error)
        print_line(f"tidemark: {explain(error)}")
        sys.exit(WRONG_USAGE if isinstance(error, ValidationError) else 1)
    sys.exit(0)


def explain(error: Exception) -> str:
    """Return one line that says what went wrong, for an exception that ended a command."""
    if isinstance(error, ValidationError) and error.title == Settings.__name__:
        text = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
    elif isinstance(error, OSError) and error.errno is not None:
        text = _file_problem(error)
    elif _is_refused_by_database(error):
        text = f"the database refused: {error}"
    elif type(error).__module__.split(".")[0] in OUR_PACKAGES:
        text = str(error) or type(error).__name__
    else:
        text = f"unexpected {type(error).__name__}: {error} (TIDEMARK_DEBUG=1 shows where)"
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _file_problem(error: OSError) -> str:
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{place}; free space, or set TIDEMARK_HOME to a folder on another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write{place}; run as its owner, or set TIDEMARK_HOME to a folder of your own"
    return f"{os.strerror(error.errno or 0)}{place}"


def _is_refused_by_database(error: Exception) -> bool:
    """Say whether the error is psycopg's, or ADBC's: loaded by the commands that read with it, not by every start."""
    adbc = sys.modules.get("adbc_driver_manager")
    return isinstance(error, psycopg.Error) or (adbc is not None and isinstance(error, adbc.Error))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tidemark {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return importlib.metadata.version("tidemark")
    except PackageNotFoundError:  # run from a checkout, as `./tidemark` does
        with (REPOSITORY / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])


def _unwind(number: int, _: FrameType | None) -> NoReturn:
    """Turn SIGTERM into an exception, so that what a command started is stopped on its way out."""
    raise StopRequested(number)


def _exit(code: int) -> NoReturn:
    """Exit without flushing into a pipe that may be closed."""
    sys.stderr.flush()
    os._exit(code)
