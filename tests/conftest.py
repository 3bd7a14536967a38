"""Makes ``formula`` (the reference cases) importable from every test, and starts the files that take longest first."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "reference"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By their marks ``long(seconds)``: of two workers, none is left alone with a long file at the end."""
    items.sort(key=_seconds, reverse=True)  # stable: all else stays in its order


def _seconds(item: pytest.Item) -> float:
    module = item.getparent(pytest.Module)
    mark = None if module is None else module.get_closest_marker("long")
    return float(mark.args[0]) if mark else 0.0
