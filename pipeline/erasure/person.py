"""The person to be erased: who is meant, how the id may be written, and how a record knows it without naming it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

# From this length on, and with a letter in it, an id is looked for within texts; a shorter one would be found in texts
# that have nothing to do with the person, and is looked for as a whole JSON string.
DISTINCT_CHARACTERS = 12
REPLACEMENT = "erased"
# Where protocols have a user's id; web shops may send a number.
USER_FIELDS = ("anonymous_user_id", "user_id")


class PersonError(Exception):
    """Nobody can be erased under this name."""


@dataclass(frozen=True)
class Person:
    """A user of one tenant. The same id in another tenant is another person."""

    tenant_id: str
    user_id: str

    def __post_init__(self) -> None:
        if not self.user_id.strip():
            raise PersonError("an empty user id is nobody; give the id of one person")
        if "\x00" in self.user_id:
            raise PersonError("the user id has a character that no stored id can have")

    @property
    def distinct(self) -> bool:
        """Whether the id is long enough to be this person's wherever its characters stand."""
        return len(self.user_id) >= DISTINCT_CHARACTERS and any(character.isalpha() for character in self.user_id)

    @property
    def needle(self) -> str:
        """What to look for in JSON as Postgres prints it, and so as the lake has it."""
        return self._inner if self.distinct else f'"{self._inner}"'

    @property
    def replacement(self) -> str:
        """What stands where `needle` stood."""
        return REPLACEMENT if self.distinct else f'"{REPLACEMENT}"'

    @cached_property
    def spellings(self) -> tuple[bytes, ...]:
        """The id's bytes as files may have them: as it is, and escaped for JSON."""
        ascii_only = json.dumps(self.user_id)[1:-1]
        found = {self.user_id, self._inner, ascii_only, ascii_only.replace("/", "\\/")}
        return tuple(sorted(text.encode() for text in found))

    def named_in(self, content: bytes) -> bool:
        """Whether JSON text names the person, in whatever spelling: as a string, a key, or a number as a user id."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            return any(spelling in content for spelling in self.spellings)
        return any(self._is_meant(text) for text in _texts(document))

    def digest(self, salt: bytes) -> str:
        """Return what only somebody with the id and the salt can compute, as hexadecimal digits."""
        named = json.dumps([self.tenant_id, self.user_id]).encode()
        return hmac.new(salt, named, hashlib.sha256).hexdigest()

    @property
    def _inner(self) -> str:
        return json.dumps(self.user_id, ensure_ascii=False)[1:-1]

    def _is_meant(self, text: str) -> bool:
        return text.strip() == self.user_id.strip() or (self.distinct and self.user_id in text)


def _texts(document: object) -> Iterator[str]:
    """Yield every string and key of a JSON document, and the digits of numbers that are users' ids."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
            numbers = (value.get(name) for name in USER_FIELDS)
            yield from (str(number) for number in numbers if isinstance(number, int))
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            yield value
