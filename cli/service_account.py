"""The operating system account that the embedded Postgres runs as.

Postgres refuses to run as root. Started by root it runs as an unprivileged account instead, and whether that account
can enter a folder or run a program is found out by trying it: permissions, ACLs and mounts all count. No permission
of a folder that exists already is ever changed.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT_NAMES = ("postgres", "nobody")
PROBE = 'cd -- "$1" && : > .probe && rm .probe'


class AccountError(Exception):
    """No account that the embedded Postgres could run as."""


@dataclass(frozen=True)
class ServiceAccount:
    """An account by numbers; None in both places is the account of this process."""

    user: int | None = None
    group: int | None = None

    def popen_options(self) -> dict[str, Any]:
        """Return the arguments of `subprocess` calls that run something as this account."""
        if self.user is None:
            return {}
        return {"user": self.user, "group": self.group, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make this account the owner of a file or folder that we created."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)

    def can_write_in(self, folder: Path) -> bool:
        """Say whether the account can reach `folder` and create files in it."""
        return self._succeeds("/bin/sh", "-c", PROBE, "sh", str(folder))

    def can_run(self, program: Path) -> bool:
        """Say whether the account can reach and execute `program`."""
        return self._succeeds(str(program), "--version")

    def _succeeds(self, *command: str) -> bool:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd="/",
                timeout=20,
                check=False,
                **self.popen_options(),
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def service_account(data: Path) -> ServiceAccount:
    """Return the account to run the server of the data folder `data` as: its owner, if it exists already.

    Raises AccountError when the folder belongs to somebody else, or when root finds no account to use.
    """
    owner = data.stat().st_uid if data.exists() else None
    mine = os.geteuid()
    if mine != 0:
        if owner not in (None, mine):
            raise AccountError(
                f"{data} belongs to another user ({_name(owner)}); run as that user, or set TIDEMARK_HOME to a folder"
                " of your own"
            )
        return ServiceAccount()
    if owner:
        return ServiceAccount(owner, data.stat().st_gid)
    for name in ACCOUNT_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServiceAccount(entry.pw_uid, entry.pw_gid)
    raise AccountError(
        "Postgres cannot run as root, and no user `postgres` or `nobody` exists; create one, run Tidemark as an"
        " ordinary user, or set DATABASE_URL to a server"
    )


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return str(uid)
