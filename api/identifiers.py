"""Identifiers as clients send them: how they are trimmed, how long they may be, how logs show them."""

from __future__ import annotations

import re

from api.json_text import text_problem

# Endpoints without an API key act for this tenant.
DEFAULT_TENANT = "default"
PLATFORMS = ("ios", "android")
MAX_IDENTIFIER_CHARACTERS = 512
# What JavaScript's trim removes; Python's strip differs in five characters, and ids decide buckets.
JAVASCRIPT_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
# What Postgres cannot hold, and control characters but white space, which some clients have within their ids.
_REFUSED = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
# For the documentation: what is not refused, and what is left after trimming.
ID_PATTERN = r"^[^\u0000-\u0008\u000e-\u001f\u007f]*$"
GIVEN_ID_PATTERN = (
    r"^[^\u0000-\u0008\u000e-\u001f\u007f]*[^\u0000-\u0020\u007f\s\ufeff][^\u0000-\u0008\u000e-\u001f\u007f]*$"
)


def trim(text: str) -> str:
    """Remove white space at both ends, exactly as JavaScript's trim does."""
    return text.strip(JAVASCRIPT_SPACE)


def mask(text: str) -> str:
    """Shorten an id for logs: longer than 12 characters shows as its first 8, `...` and its last 4."""
    return text if len(text) <= 12 else f"{text[:8]}...{text[-4:]}"


def identifier_problem(name: str, text: str) -> str | None:
    """Say why an identifier is refused; None when it is not."""
    if len(text) > MAX_IDENTIFIER_CHARACTERS:
        return f"{name} must be <= {MAX_IDENTIFIER_CHARACTERS} chars"
    if _REFUSED.search(text) is None:
        return None
    return f"{name} {text_problem(text) or 'contains a control character'}"
