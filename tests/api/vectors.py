"""The mobile contract's vectors, and how to read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "data" / "mobile_vectors.json").read_text(encoding="utf-8")
)


# Whose ids the vectors of single events were made with.
EVENT_CASES_USER = "u1"


def event(**fields: Any) -> dict[str, Any]:
    """An event that is accepted at the vectors' time, some minutes old."""
    return {"event_name": "app_opened", "occurred_at": "2026-02-18T23:58:00Z", **fields}


def envelope_body(body: Any) -> Any:
    """Write out the vectors' shorthand for many events."""
    shorthand = re.fullmatch(r"<(\d+) x ok event>", str(body["events"])) if body and "events" in body else None
    return {**body, "events": [event()] * int(shorthand[1])} if shorthand else body


def expected_result(case: dict[str, Any]) -> dict[str, Any]:
    """The result of a vector; where we do better than the original, ours."""
    result = dict(case["result"])
    sent = case["event"]
    if isinstance(sent, dict) and result.get("error", "").startswith("Expected"):
        wrong = next(
            name
            for name, kind in (("event_name", str), ("occurred_at", str), ("properties", dict), ("context", dict))
            if name in sent and not isinstance(sent[name], kind)
        )
        result["error"] = f"{wrong}: {result['error']}"
    if isinstance(sent, dict) and sent.get("occurred_at") == "2026-02-30T00:00:00Z":
        result["error"] = "occurred_at must be an ISO datetime string"
    return result
