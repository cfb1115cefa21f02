"""What a home remembers of its demo: the plan, the history files, and whether it was finished."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cli.demo.plan import DEFAULT_DAYS, DEFAULT_SEED, DEFAULT_USERS, Plan
from pipeline.clock import Clock


class DemoError(Exception):
    """The demo cannot run here; the message says why and what to do."""


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for; None where it leaves the choice to the demo."""

    users: int | None = None
    days: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class DemoFolder:
    """`TIDEMARK_HOME/demo`."""

    path: Path

    @property
    def history(self) -> Path:
        """Where the history files lie."""
        return self.path / "history"

    def is_done(self) -> bool:
        """Tell whether the demo ran to its end here."""
        return (self.path / "done.json").exists()

    def plan(self) -> Plan | None:
        """Return the plan made here, or None. Raises DemoError when its file cannot be read."""
        file = self.path / "plan.json"
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            return Plan(kept["users"], kept["days"], kept["seed"], datetime.fromisoformat(kept["now"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DemoError(f"{file} is damaged ({error}); use another TIDEMARK_HOME") from error

    def keep_plan(self, plan: Plan) -> None:
        """Write the plan, before anything it describes exists; forgets what an earlier plan left."""
        for name in ("done.json", "history/events.ndjson.gz", "history/assignments.ndjson"):
            (self.path / name).unlink(missing_ok=True)
        kept = {"users": plan.users, "days": plan.days, "seed": plan.seed, "now": plan.now.isoformat()}
        self._write("plan.json", kept)

    def mark_done(self, seconds: dict[str, float]) -> None:
        """Write the last file of a demo, with the seconds each stage took."""
        self._write("done.json", {"seconds": seconds})

    def seconds(self) -> dict[str, float]:
        """Return the seconds each stage of the finished demo took."""
        kept: dict[str, float] = json.loads((self.path / "done.json").read_text(encoding="utf-8"))["seconds"]
        return kept

    def _write(self, name: str, value: object) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        partial = self.path / f"{name}.partial"
        with partial.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / name)


def choose_plan(folder: DemoFolder, wishes: Wishes, has_data: bool, clock: Clock) -> Plan:
    """Return the plan to follow: the one made here before, or a new one that is kept at once.

    A plan of which nothing is stored yet is made anew, so that its month ends now. Raises DemoError when the home
    holds data that is not a demo's, or a demo of another size than asked for.
    """
    plan = folder.plan()
    if not has_data:
        plan = Plan(
            users=wishes.users or DEFAULT_USERS,
            days=wishes.days or DEFAULT_DAYS,
            seed=DEFAULT_SEED if wishes.seed is None else wishes.seed,
            now=clock(),
        )
        folder.keep_plan(plan)
        return plan
    if plan is None:
        raise DemoError(
            "the database already holds data that is not a demo's, and the demo would mix its own with it;"
            " give it a home of its own: TIDEMARK_HOME=./demo-data ./tidemark demo (with DATABASE_URL unset or another)"
        )
    for name, wish in (("users", wishes.users), ("days", wishes.days), ("seed", wishes.seed)):
        if wish is not None and wish != getattr(plan, name):
            raise DemoError(
                f"this home already has a demo with --{name} {getattr(plan, name)}; run `./tidemark demo` without"
                f" --{name} to see it, or set TIDEMARK_HOME to an empty folder for one with --{name} {wish}"
            )
    return plan
