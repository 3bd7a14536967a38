"""What code means: a hash of the syntax tree, without comments, docstrings and formatting.

A result depends on the modules that its program can reach by imports. Names are followed through the ``__init__`` of
a package to the module that defines them, so that a run of a tokenizer does not depend on the AR model beside it.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import gigatok
from gigatok.config import GigatokError

_DIGITS = 16
_SPELLING = ("kind", "type_comment", "type_ignores")
"""Fields of syntax trees that change nothing of what a program does."""


def code_fingerprint(packages: Sequence[str]) -> str:
    """Hex sha256 over what all modules of the given sub-packages or files mean: ``["models", "data/images.py"]``.

    Raises:
        GigatokError: there is no such sub-package.
    """
    root = Path(gigatok.__file__).parent
    digest = hashlib.sha256()
    for package in sorted(set(packages)):
        place = root / package
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        if not files:
            raise GigatokError(f"gigatok has no sub-package {package!r} to fingerprint")
        for file in files:
            digest.update(f"{file.relative_to(root).as_posix()}\0{code_meaning(file.read_bytes())}\0".encode())
    return digest.hexdigest()


def module_meanings(entries: Sequence[str], without: Sequence[str] = ()) -> dict[str, str]:
    """The modules of this package that ``entries`` can reach, each with its ``code_meaning``.

    Imports inside functions count, those for the type checker only do not.

    Args:
        entries: modules, e.g. ``gigatok.training.train_tokenizer``.
        without: packages and modules that change no result; what only they reach is left out too.

    Raises:
        GigatokError: there is no such module.
    """
    found: dict[str, str] = {}
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        if name in found or _is_left_out(name, without):
            continue
        path = module_path(name)
        if path is None:
            raise GigatokError(f"{name} is no module of {gigatok.__name__}: nothing can be said of its code")
        found[name] = code_meaning(path.read_bytes())
        waiting += _imported(_tree(path.read_bytes()), found[name], package=path.name == "__init__.py")
    return {name: meaning for name, meaning in sorted(found.items()) if meaning}


def _is_left_out(name: str, without: Sequence[str]) -> bool:
    return any(name == each or (name.startswith(f"{each}.") and each != gigatok.__name__) for each in without)


def module_path(name: str) -> Path | None:
    """The source file of a module of this package, found without importing it."""
    first, *parts = name.split(".")
    root = Path(gigatok.__file__).parent
    if first != gigatok.__name__:
        return None
    path = root.joinpath(*parts)
    found = path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
    return found if found.is_file() else None


def _imported(tree: ast.Module, meaning: str, *, package: bool) -> Iterator[str]:
    """Modules of this package that a module imports. What a package only hands on counts by name: ``_defining``."""
    if package and not meaning:
        return
    for node in _without_type_checking(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if module_path(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and module_path(node.module):
            for alias in node.names:
                yield from _defining(node.module, alias.name)


def _defining(module: str, name: str) -> list[str]:
    """Modules that are needed for ``from module import name``; all of a package that does not say where it is from."""
    inner = f"{module}.{name}"
    if module_path(inner):
        return [inner]
    path = module_path(module)
    if path is None or path.name != "__init__.py":
        return [module]
    tree = _tree(path.read_bytes())
    sources = [
        source
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and module_path(node.module)
        for alias in node.names
        if name in (alias.asname or alias.name, "*")
        for source in _defining(node.module, alias.name)
    ]
    if not sources and not any(_defines(node, name) for node in tree.body):
        sources = [f"{module}.{each.stem}" for each in sorted(path.parent.glob("*.py")) if each != path]
    return [module, *sources]


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name == name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _without_type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _without_type_checking(node)


@cache
def _tree(content: bytes) -> ast.Module:
    return ast.parse(content)


@cache
def code_meaning(content: bytes) -> str:
    """Hash of a module's syntax tree: 16 hexadecimal digits. Empty for one that only hands on names of others."""
    tree = _tree(content)
    body = [node for node in tree.body if not _says_nothing(node)]
    if all(isinstance(node, (ast.Import, ast.ImportFrom)) or _is_all(node) for node in body):
        return ""  # hands on names of other modules, which are followed to where they are defined
    parts: list[str] = []
    _serialise(ast.Module(body=body, type_ignores=[]), parts)
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:_DIGITS]


def _serialise(node: object, parts: list[str]) -> None:
    """Kinds of nodes and what they hold. Empty fields are left out: Python's versions differ in them."""
    if isinstance(node, ast.AST):
        parts.append(f"({type(node).__name__}")
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                value = [item for item in value if not _says_nothing(item)]
            empty = value in (None, []) and not (isinstance(node, ast.Constant) and field == "value")
            if not empty and field not in _SPELLING:
                parts.append(f" {field}=")
                _serialise(value, parts)
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for item in node:
            _serialise(item, parts)
            parts.append(",")
        parts.append("]")
    else:
        parts.append(f"{type(node).__name__}:{node!r}")


def _says_nothing(node: object) -> bool:
    """A docstring, of a module, class, function or attribute: a text that is no part of anything."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == "__all__" for to in node.targets)
