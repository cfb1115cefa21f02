"""For schemathesis: times as the API's documentation means them, which `date-time` alone does not say."""

from __future__ import annotations

from datetime import UTC, datetime

import schemathesis
from hypothesis import strategies as st

times = st.datetimes(datetime(1970, 1, 2), datetime(2026, 1, 1), timezones=st.just(UTC))
schemathesis.openapi.format("date-time", times.map(datetime.isoformat))
