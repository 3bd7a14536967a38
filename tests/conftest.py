"""What all tests share: ``formula`` (the reference cases), ``plain`` (textbook implementations of the benchmarks), the
order of files, a place for screenshots."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "reference"))
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files marked ``forks`` come first: once autograd has started threads, as for tensors that pretend to lie on
    a GPU, a fork can no longer train. All others by their marks ``long(seconds)``: of two workers, none is left alone
    with a long file at the end."""
    items.sort(key=_seconds, reverse=True)  # stable: all else stays in its order


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where browser tests leave what was on the screen, for people to look at. Git ignores it."""
    folder = Path(__file__).parents[1] / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _seconds(item: pytest.Item) -> float:
    module = item.getparent(pytest.Module)
    if module is not None and module.get_closest_marker("forks"):
        return float("inf")
    mark = None if module is None else module.get_closest_marker("long")
    return float(mark.args[0]) if mark else 0.0
