"""Odd and hostile input as bytes, by name: what clients have sent to servers like this one, and what they might."""

from __future__ import annotations

import gzip
import json
import zlib

from tests.api.vectors import event

TIME = b'"occurred_at":"2026-02-18"'


def with_property(value: bytes) -> bytes:
    return b'{"event_name":"e",' + TIME + b',"properties":{"p":' + value + b"}}"


def with_time(text: str) -> bytes:
    return json.dumps(event(occurred_at=text)).encode()


def with_id(text: object) -> bytes:
    return json.dumps(event(event_id=text)).encode()


def with_name(text: object) -> bytes:
    return json.dumps(event(event_name=text)).encode()


# Events that are refused alone, each with the beginning of its reason.
REFUSED_EVENTS: dict[str, tuple[bytes, str]] = {
    "1e400": (with_property(b"1e400"), "properties.p is a number out of range"),
    "-1e400": (with_property(b"-1E+400"), "properties.p is a number out of range"),
    "1e-400": (with_property(b"1e-400"), "properties.p is a number out of range"),
    "5000 digits": (with_property(b"7" * 5000), "properties.p is a number out of range"),
    "million digits": (with_property(b"0." + b"7" * 900_000), "properties.p is a number out of range"),
    "endless exponent": (with_property(b"1e" + b"9" * 5000), "properties.p is a number out of range"),
    "U+0000 in a value": (with_property(rb'"a\u0000b"'), "properties.p contains U+0000"),
    "U+0000 in a key": (with_property(rb'{"a\u0000":1}'), "properties.p: a key contains U+0000"),
    "U+0000 deep": (with_property(rb'[1,[{"q":"\u0000"}]]'), "properties.p[1][0].q contains U+0000"),
    "high surrogate": (with_property(rb'"\ud83d"'), "properties.p contains a lone surrogate"),
    "low surrogate": (with_property(rb'"\ude00 \ud83d"'), "properties.p contains a lone surrogate"),
    "surrogate in a key": (with_property(rb'{"\udfff":1}'), "properties.p: a key contains a lone surrogate"),
    "flaw below a long key": (
        with_property(b'{"' + b"k" * 400_000 + b'":[' + b"1," * 200_000 + rb'"\u0000"]}'), "properties.p.kkk"
    ),
    "101 lists": (with_property(b"[" * 101 + b"]" * 101), "properties is nested more than 100 levels deep"),
    "100,000 lists": (with_property(b"[" * 100_000 + b"]" * 100_000), "properties is nested more than 100 levels"),
    "100,000 objects": (
        with_property(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "properties is nested more than 100 levels deep"
    ),
    "100,000 of both": (
        with_property(b'[{"a":' * 50_000 + b"1" + b"}]" * 50_000), "properties is nested more than 100 levels deep"
    ),
    "properties a list": (b'{"event_name":"e",' + TIME + b',"properties":[]}', "properties: Expected object"),
    "properties text": (b'{"event_name":"e",' + TIME + b',"properties":"{}"}', "properties: Expected object"),
    "context null": (b'{"event_name":"e",' + TIME + b',"context":null}', "context: Expected object, received null"),
    "context a number": (b'{"event_name":"e",' + TIME + b',"context":-0}', "context: Expected object, received number"),
    "no event": (b"null", "Expected object, received null"),
    "event a list": (b"[]", "Expected object, received array"),
    "event a number": (b"1e400", "Expected object, received number"),
    "event a text": (rb'"\ud800"', "Expected object, received string"),
    "event very deep": (b"[" * 100_000 + b"]" * 100_000, "Expected object, received"),
    "empty event": (b"{}", "Required"),
    "name null": (with_name(None), "event_name: Expected string, received null"),
    "name a number": (with_name(5), "event_name: Expected string, received number"),
    "name empty": (with_name(""), "event_name is required"),
    "name with a space": (with_name("a b"), "event_name has invalid characters"),
    "name with a line's end": (with_name("abc\n"), "event_name has invalid characters"),
    "name with other digits": (with_name("a\u0661"), "event_name has invalid characters"),
    "name with a right-to-left mark": (with_name("a\u202e"), "event_name has invalid characters"),
    "name with a zero": (with_name("a\0"), "event_name contains U+0000"),
    "name with a surrogate": (with_name("a\ud800"), "event_name contains a lone surrogate"),
    "name of 10,000": (with_name("a" * 10_000), "event_name must be <= 80 chars"),
    "time null": (b'{"event_name":"e","occurred_at":null}', "occurred_at: Expected string, received null"),
    "time a number": (b'{"event_name":"e","occurred_at":1700000000}', "occurred_at: Expected string, received number"),
    "time empty": (with_time(""), "occurred_at is required"),
    "id null": (with_id(None), "event_id: Expected string, received null"),
    "id a number": (with_id(7), "event_id: Expected string, received number"),
    "id in braces": (with_id("{0d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b11}"), "event_id must be a valid uuid"),
    "id a urn": (with_id("urn:uuid:0d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b11"), "event_id must be a valid uuid"),
    "id without dashes": (with_id("0d9a41a251f34a6c9f0e0c4a7f6d3b11"), "event_id must be a valid uuid"),
    "id short": (with_id("0d9a41a2-51f3-4a6c-9f0e"), "event_id must be a valid uuid"),
    "id with a line's end": (with_id("0d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b11\n"), "event_id must be a valid uuid"),
    "id of other digits": (with_id("\u0660d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b11"), "event_id must be a valid uuid"),
    "id of 10,000": (with_id("0" * 10_000), "event_id must be a valid uuid"),
    "id with a zero": (with_id("\0"), "event_id contains U+0000"),
    "id with a surrogate": (with_id("\udfff"), "event_id contains a lone surrogate"),
}  # fmt: skip

BAD_TIMES = [
    "x", " ", "now", "today", "infinity", "-infinity", "epoch", "NaN", "1700000000", "1700000000000", "-1", "1e9", "0",
    "2026", "2026-02", "2026-2-1", "26-02-18", "20260218", "2026-049", "2026-W08-3", "2026/02/18", "18.02.2026",
    "02/18/2026", "Nov 20 2026", "Wed, 18 Feb 2026 10:00:00 GMT", "2026-02-30", "2026-02-29", "2026-00-10",
    "2026-13-01", "2026-01-32", "2026-02-18T24:00:01Z", "2026-02-18T25:00:00Z", "2026-02-18T10:60:00Z",
    "2016-12-31T23:59:60Z", "2026-02-18T10:00:61Z", "2026-02-18T10", "2026-02-18T10:00:00.Z", "2026-02-18T10:00:00,5Z",
    "2026-02-18T10:00:00+24:00", "2026-02-18T10:00:00+25:00", "2026-02-18T10:00:00+01:60", "2026-02-18T10:00:00+1",
    "2026-02-18T10:00:00ZZ", "2026-02-18T10:00:00 Z", "2026-02-18T10:00:00 Europe/Berlin", "2026-02-18T10:00:00[UTC]",
    "2026-02-18Z", "+2026-02-18", "-0001-01-01", "-200000-01-01", "+010000-01-01", "10000-01-01", "99999-01-01",
    "2026-02-18T10:00:00Z\n", "\t2026-02-18", "2026-02-18\u00a0", "\uff12026-02-18", "\u0662026-02-18",
    "2026\u201102\u201118", "2026-02-18T10:00:00Z" + "0" * 10_000, "2026-02-18T10:00:00." + "9" * 10_000,
    "0000-01-01", "0001-01-01", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00+00:01",
    "2026-02-19T00:05:00.001Z", "2027-01-01", "9999-12-31T23:59:59-14:00", "9999-12-31T24:00:00Z",
]  # fmt: skip
REFUSED_EVENTS |= {f"time {text[:40]!a}": (with_time(text), "occurred_at ") for text in BAD_TIMES}

# Unusual, but right.
TAKEN_EVENTS: dict[str, bytes] = {
    "2**64": with_property(b"18446744073709551616"),
    "400 digits": with_property(b"1" + b"0" * 300),
    "-0": with_property(b"[-0,-0.0,0e0,0E-999]"),
    "1e308": with_property(b"1.7976931348623157e308"),
    "2**63": with_property(b"[9223372036854775807,-9223372036854775808,9223372036854775808]"),
    "equal keys": b'{"event_name":5,"event_name":"e",' + TIME + b',"properties":{"a":{"b":1},"a":2}}',
    "empty key": with_property(b'{"":{"":[]}}'),
    "100 levels": with_property(b"[" * 99 + b"]" * 99),
    "surrogate pair": with_property(rb'"\ud83d\ude00"'),
    "escaped backslash": with_property(rb'"\\u0000 \\ud800"'),
    "no characters": with_property(rb'"\uffff\ufffe\ufeff\u0001\u007f\u2028"'),
    "long text": with_property(b'"' + b"x" * 500_000 + b'"'),
    "many keys": with_property(b"{" + b",".join(b'"k%d":%d' % (number, number) for number in range(20_000)) + b"}"),
    "postgres' own words": with_property(rb'["\\N","\\.","NULL","\t\n","\\x00",",\"{}"]'),
    "unknown fields": b'{"event_name":"e",' + TIME + b',"__proto__":{"a":[1e400,"\\u0000"]},"tenant_id":"other"}',
    "nil id": with_id("00000000-0000-0000-0000-000000000000"),
    "upper case id": with_id("0D9A41A2-51F3-4A6C-9F0E-0C4A7F6D3B1F"),
    "first moment": with_time("1970-01-01"),
    "eastern edge": with_time("2026-02-18T10:00:00+23:59"),
    "midnight at the end": with_time("2026-02-17T24:00:00Z"),
    "nanoseconds": with_time("2026-02-18T10:00:00.123456789Z"),
    "five minutes ahead": with_time("2026-02-19T00:05:00Z"),
    "leap day": with_time("2024-02-29"),
    "space and no zone": with_time("2026-02-18 10:00"),
}

# No JSON in UTF-8 at all: the same answer everywhere.
MALFORMED_BODIES: dict[str, bytes] = {
    "zero": b"\0",
    "cut off": b'{"anonymous_user_id":"u"',
    "trailing text": b'{"anonymous_user_id":"u"} x',
    "trailing zero": b'{"anonymous_user_id":"u"}\0',
    "two texts": b'{"anonymous_user_id":"u"}{"anonymous_user_id":"u"}',
    "lines": b'{"anonymous_user_id":"u"}\n{"anonymous_user_id":"u"}',
    "trailing comma": b'{"anonymous_user_id":"u",}',
    "comment": b'{"anonymous_user_id":"u"/* me */}',
    "single quotes": b"{'anonymous_user_id':'u'}",
    "no quotes": b'{anonymous_user_id:"u"}',
    "raw zero in text": b'{"anonymous_user_id":"a\0b"}',
    "raw tab in text": b'{"anonymous_user_id":"a\tb"}',
    "bad escape": rb'{"anonymous_user_id":"\x41"}',
    "half an escape": rb'{"anonymous_user_id":"\u00"}',
    "NaN": b'{"anonymous_user_id":"u","n":NaN}',
    "Infinity": b'{"anonymous_user_id":"u","n":-Infinity}',
    "hexadecimal": b'{"anonymous_user_id":"u","n":0x10}',
    "leading zero": b'{"anonymous_user_id":"u","n":01}',
    "plus": b'{"anonymous_user_id":"u","n":+1}',
    "point": b'{"anonymous_user_id":"u","n":.5}',
    "python": b'{"anonymous_user_id":None}',
    "yaml": b"anonymous_user_id: u",
    "form": b"anonymous_user_id=u",
    "xml": b"<anonymous_user_id>u</anonymous_user_id>",
    "invalid utf-8": b'{"anonymous_user_id":"\xff"}',
    "overlong utf-8": b'{"anonymous_user_id":"\xc0\xaf"}',
    "cut utf-8": b'{"anonymous_user_id":"\xe2\x82"}',
    "utf-8 surrogate": b'{"anonymous_user_id":"\xed\xa0\x80"}',
    "beyond unicode": b'{"anonymous_user_id":"\xf4\x90\x80\x80"}',
    "invalid where nobody looks": b'{"anonymous_user_id":"u","extra":"\xff"}',
    "latin-1": '{"anonymous_user_id":"é"}'.encode("latin-1"),
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"anonymous_user_id":"u"}',
    **{f"{name} with a mark": '{"anonymous_user_id":"u"}'.encode(name) for name in ("utf-16", "utf-32")},
    **{name: '{"anonymous_user_id":"u"}'.encode(name) for name in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")},
    "gzip without saying so": gzip.compress(b'{"anonymous_user_id":"u"}', mtime=0),
    "open lists": b"[" * 200_000,
    "open objects": b'{"a":' * 100_000,
    "wrong ends": b"[" * 100_000 + b"}" * 100_000,
    "quotes below the cut": b"[" * 3000 + b'\\"' * 400_000,
    "escapes below the cut": b"[" * 3000 + b'"' + b"\\" * 800_000,
}

# JSON, but no object.
OTHER_BODIES: dict[str, bytes] = {
    "null": b"null", "true": b"true", "text": b'"x"', "list": b"[]", "number": b"-0", "large": b"9" * 5000,
    "list of lists": b"[[" * 60_000 + b"]]" * 60_000,
}  # fmt: skip
EMPTY_BODIES: dict[str, bytes] = {"nothing": b"", "space": b" \r\n\t ", "byte order mark": b"\xef\xbb\xbf"}

# Texts that are no id: with what the reason says after the field's name.
REFUSED_IDS: dict[str, tuple[bytes, str]] = {
    "zero": (rb'"a\u0000b"', "contains U+0000"),
    "high surrogate": (rb'"\ud800"', "contains a lone surrogate"),
    "low surrogate": (rb'"a\udfffb"', "contains a lone surrogate"),
    "bell": (rb'"a\u0007b"', "contains a control character"),
    "escape": (rb'"\u001b[31mred"', "contains a control character"),
    "delete": (rb'"a\u007f"', "contains a control character"),
    "raw delete": (b'"a\x7f"', "contains a control character"),
    "10,000": (b'"' + b"x" * 10_000 + b'"', "must be <="),
    "513": (json.dumps("é" * 513, ensure_ascii=False).encode(), "must be <="),
}
WRONG_TYPES: dict[str, bytes] = {
    "number": b"5", "float": b"1e400", "true": b"true", "list": b'["u"]', "object": b'{"$ne":null}',
}  # fmt: skip
# Odd, but some client's id.
TAKEN_IDS = [
    "😀", "e\u0301", "\u202eabc", "\u200fabc", "a\u200db", "\U000e0001", "\ufffd", "a b", "a\tb",
    "'; DROP TABLE users;--",
    "../../etc/passwd", "%00", "\\N", "\\.", "${jndi:ldap://x}", "<script>", "null", "a,b\"c'd", "x" * 512,
    "\u0130",
]  # fmt: skip
BLANK_IDS = ["", " ", "\t\n\v\f\r ", "\u00a0\u2003\u3000\ufeff", "\u2028"]


def gzip_bomb(size: int) -> bytes:
    """A gzip body that opens to at least `size` zeros, made without writing them all."""
    block = 2**20
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    head = packer.compress(b"0" * block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b"0" * block) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + again * (size // block)
