"""The house: no module imports itself by a detour, no room is too full to guess from, no file or function too long.

Import-linter keeps the order of the floors; circles inside a floor, and imports made inside functions, are seen here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gigatok"
MODULES_IN_A_ROOM = 14
COMMANDS = "gigatok/cli/commands"
"""One file a subcommand: as many as there are commands, and each is found by its command's name."""
LINES = 300
FUNCTION_LINES = 60


def sources() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """``gigatok/models/ar.py`` -> ``gigatok.models.ar``; a package's file -> the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, modules: set[str]) -> Iterator[str]:
    """Modules of the package that ``path`` imports when it runs, wherever the statement stands."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only or not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            found = inner if inner in modules else node.module
            if found in modules and found != name_of(path):
                yield found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected groups of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_no_module_imports_itself_by_a_detour() -> None:
    modules = {name_of(path) for path in sources()}
    graph = {name_of(path): set(imports(path, modules)) for path in sources()}
    assert circles(graph) == []


def test_no_room_is_too_full_to_guess_from() -> None:
    rooms: dict[str, int] = {}
    for path in sources():
        room = str(path.parent.relative_to(ROOT))
        rooms[room] = rooms.get(room, 0) + (path.name != "__init__.py")
    assert {room: count for room, count in rooms.items() if count > MODULES_IN_A_ROOM and room != COMMANDS} == {}


def test_no_file_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {path: lines for path, lines in lengths.items() if lines > LINES} == {}


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


@pytest.mark.parametrize(
    ("module", "absent"),
    [("gigatok.evaluation", ("torch", "scipy")), ("gigatok.cli.app", ("torch", "numpy", "pydantic", "yaml"))],
)
def test_a_package_loads_nothing_that_it_does_not_need(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(sorted(set({absent!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def forks(path: Path) -> bool:
    """Whether a file's tests fork their own process: by ``os.fork``, by ``forked.py``, or as workers."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    start = any(isinstance(node, ast.Constant) and node.value == "fork" for node in nodes)
    return "forked" in imported or "os.fork" in called or start


def test_tests_that_fork_are_marked_so_that_they_come_first() -> None:
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if path != Path(__file__)]
    found = {str(path.relative_to(ROOT)) for path in files if forks(path)}
    marked = {str(path.relative_to(ROOT)) for path in files if "pytest.mark.forks" in path.read_text()}
    assert found == marked
    assert "tests/training/distributed/test_presence.py" in found
