"""Settings come from the environment alone, and their documentation says what the class says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import AliasChoices, ValidationError

from pipeline.settings import REPOSITORY, Settings


def variables() -> dict[str, str]:
    """Every environment variable and its description."""
    names = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"TIDEMARK_{name.upper()}"
        names[variable] = field.description or ""
    return names


def test_the_guide_lists_every_setting_with_its_description_and_no_other() -> None:
    guide = (REPOSITORY / "docs/guides/settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| .*? \| (.*?) \|$", guide, flags=re.MULTILINE))
    assert rows == variables()


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "4000")
    monkeypatch.setenv("TIDEMARK_HOME", "/somewhere/else")
    monkeypatch.setenv("DATABASE_URL", "")
    settings = Settings()
    assert settings.port == 4000
    assert settings.lake == Path("/somewhere/else/lake")
    assert settings.database_url is None, "an empty variable counts as unset"


def test_a_wrong_port_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "seventy")
    with pytest.raises(ValidationError, match="PORT"):
        Settings()


def test_secrets_do_not_show_in_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("DASHBOARD_TOKEN", "hunter3")
    assert "hunter" not in repr(Settings())
