"""The link that signs its reader in once: a file under TIDEMARK_HOME that is removed by its use.

The file's removal is what counts as the use, so that of several API processes one alone can accept a link. The file is
named by a hash of the link's secret: who can list the folder learns nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

LIFETIME_SECONDS = 24 * 3_600.0
PARAMETER = "once"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def links_folder(home: Path) -> Path:
    """Return the folder of the links that have not been used."""
    return home / "run" / "sign_in_links"


def make_link(home: Path, base_url: str) -> str:
    """Return a new link to the dashboard at `base_url` that signs the operator in once, within a day."""
    folder = links_folder(home)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    for path in folder.iterdir():
        if _is_old(path):
            path.unlink(missing_ok=True)
    secret = secrets.token_urlsafe(32)
    (folder / _name(secret)).touch(0o600)
    return f"{base_url}/login?{PARAMETER}={secret}"


def claim(home: Path, secret: str) -> bool:
    """Use a link up; say whether it was good, that is made here, not used before, and no older than a day."""
    if not _SECRET.fullmatch(secret):
        return False
    path = links_folder(home) / _name(secret)
    with suppress(OSError):
        old = _is_old(path)
        path.unlink()
        return not old
    return False


def _name(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > LIFETIME_SECONDS
    except FileNotFoundError:
        return False
