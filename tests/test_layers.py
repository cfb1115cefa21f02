"""The layers hold: cli -> everything; dagster_project -> pipeline; api -> pipeline; pipeline -> sql files only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"api", "cli", "dagster_project", "pipeline"}
ALLOWED = {
    "pipeline": {"pipeline"},
    "api": {"api", "pipeline"},
    "dagster_project": {"dagster_project", "pipeline"},
    "cli": PACKAGES,
}
FORBIDDEN_LIBRARIES = {"pipeline": {"fastapi", "starlette", "dagster", "typer"}, "api": {"dagster", "typer"}}


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide the layer they reach into"
            yield node.module


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_imports_only_the_layers_below_it(package: str) -> None:
    modules = list((ROOT / package).rglob("*.py"))
    assert modules
    for path in modules:
        reached = {module.split(".")[0] for module in imported_modules(path)}
        assert reached & PACKAGES <= ALLOWED[package], f"{path.relative_to(ROOT)} reaches {reached & PACKAGES}"
        assert not reached & FORBIDDEN_LIBRARIES.get(package, set()), path.relative_to(ROOT)


def test_every_pipeline_module_imports_without_the_heavy_frameworks() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "pipeline").rglob("*.py")
        if path.name != "__init__.py"
    ]
    program = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        "print(sorted({'dagster', 'fastapi', 'polars', 'pandas', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


def test_sql_is_never_built_from_format_strings() -> None:
    executing = {"execute", "executemany", "copy", "sql", "query", "fetchall"}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                    continue
                if node.func.attr in executing:
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    assert not isinstance(node.args[0], ast.JoinedStr | ast.BinOp), f"{where} builds SQL from strings"


def test_every_sql_file_says_what_it_is_for() -> None:
    for path in (ROOT / "sql").rglob("*.sql"):
        lines = path.read_text(encoding="utf-8").splitlines()
        header = [line for line in lines[:3] if line.startswith("--")]
        assert len(header) >= (2 if path.parent.name == "migrations" else 3), path.relative_to(ROOT)
