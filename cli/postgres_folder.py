"""Where the files of the embedded Postgres lie: under TIDEMARK_HOME, or outside it when its account cannot go there.

A home below a folder that only root can enter (such as /root) is closed to the account that Postgres runs as. Its
files then lie under /var/lib/tidemark, and `TIDEMARK_HOME/postgres` is a symbolic link to them.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from cli.service_account import ServiceAccount

SYSTEM_STATE = Path("/var/lib/tidemark")


class FolderError(Exception):
    """No folder in which the embedded Postgres could keep its files."""


def prepared_folder(wanted: Path, account: ServiceAccount, system_state: Path = SYSTEM_STATE) -> Path:
    """Make the folder `wanted`, or the one it links to, usable by `account` and return it without links.

    Idempotent. Raises FolderError when a folder full of data has become unreachable.
    """
    if wanted.is_symlink():
        return _made_aside(wanted.readlink(), account)
    if (wanted / "data").exists():
        if not account.can_write_in(wanted):
            raise FolderError(
                f"the user that Postgres runs as can no longer enter {wanted}; restore the permissions of its folders,"
                " or move the whole folder to where it can and leave a symbolic link"
            )
        return wanted.resolve()
    wanted.parent.mkdir(parents=True, exist_ok=True)
    made = _made(wanted, account)
    if account.can_write_in(made):
        return made
    if account.user is None:
        raise FolderError(f"no permission to write in {wanted}; set TIDEMARK_HOME to a folder of your own")
    wanted.rmdir()
    elsewhere = _made_aside(system_state / _slug(wanted.parent) / "postgres", account)
    if not account.can_write_in(elsewhere):
        raise FolderError(f"the user that Postgres runs as can enter neither {wanted} nor {elsewhere}")
    wanted.symlink_to(elsewhere)
    return elsewhere


def _made_aside(folder: Path, account: ServiceAccount) -> Path:
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)  # ours from the start: open to the account whatever the umask is
    return _made(folder, account)


def _made(folder: Path, account: ServiceAccount) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    if not (folder / "data").exists():
        account.own(folder)
    return folder.resolve()


def _slug(home: Path) -> str:
    """Return a folder name that says which home it belongs to and is different for each."""
    path = str(home.resolve())
    readable = re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")[-60:]
    return f"{readable}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"
