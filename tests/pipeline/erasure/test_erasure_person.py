"""Whom an erasure means: spellings in JSON and in bytes, short ids, and the digest that stands for the id."""

from __future__ import annotations

import json

import pytest

from pipeline.erasure.person import Person, PersonError

LONG = Person("default", 'a-"long"/id-é')
SHORT = Person("default", "77")


@pytest.mark.parametrize(
    ("person", "content", "named"),
    [
        (LONG, json.dumps({"anonymous_user_id": LONG.user_id}), True),
        (LONG, json.dumps({"anonymous_user_id": f" {LONG.user_id}\t"}, ensure_ascii=False), True),
        (LONG, '["' + "".join(f"\\u{ord(character):04X}" for character in LONG.user_id) + '"]', True),
        (LONG, json.dumps({"url": f"/users/{LONG.user_id}/photo"}), True),
        (LONG, json.dumps({LONG.user_id: 1}), True),
        (LONG, '{"broken": "' + json.dumps(LONG.user_id)[1:-1], True),
        (LONG, json.dumps({"anonymous_user_id": LONG.user_id[:-1]}), False),
        (SHORT, '{"user_id": 77}', True),
        (SHORT, '{"events": [{"user_id": "77"}]}', True),
        (SHORT, '{"price": 77, "size": "a77"}', False),
        (SHORT, '{"user_id": 770}', False),
    ],
)
def test_json_names_a_person(person: Person, content: str, named: bool) -> None:
    assert person.named_in(content.encode()) is named


def test_a_short_id_is_a_whole_string_and_a_long_one_is_looked_for_within() -> None:
    assert (SHORT.needle, SHORT.replacement) == ('"77"', '"erased"')
    assert (LONG.needle, LONG.replacement) == ('a-\\"long\\"/id-é', "erased")
    assert not Person("default", "123456789012345").distinct  # digits alone may be part of any number


def test_the_bytes_of_an_id_have_every_spelling_of_json() -> None:
    texts = {json.dumps(LONG.user_id), json.dumps(LONG.user_id, ensure_ascii=False), LONG.user_id}
    assert all(any(spelling in text.encode() for spelling in LONG.spellings) for text in texts)


def test_the_digest_is_of_one_tenant_and_one_salt() -> None:
    digests = {
        person.digest(salt)
        for person in (LONG, Person("other", LONG.user_id), SHORT)
        for salt in (b"one salt", b"another")
    }
    assert len(digests) == 6


@pytest.mark.parametrize("user", ["", "  ", "a\x00b"])
def test_nobody_is_refused(user: str) -> None:
    with pytest.raises(PersonError):
        Person("default", user)
