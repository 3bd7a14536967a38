"""Text, JSON and YAML from files that nobody vouches for: the value, or one line that says what is wrong."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from gigatok.config.base import ConfigError, GigatokError

LARGEST_TEXT = 2**30
"""Bytes of a text file at most: a manifest of a million file names has a tenth of that."""
LARGEST_YAML = 1_000_000
"""Values in a YAML file at most, aliases counted as often as they are used."""
_ADDRESS = re.compile(r" ?(?:object )?at 0x[0-9a-fA-F]+")
_LONGEST = 200
_OFF = ("", "0", "false", "no", "off", "f", "n")
"""What the command line takes for no, too."""


def switched_on(variable: str) -> bool:
    """Whether an environment variable asks for what it names: set, and to nothing that means no."""
    return os.environ.get(variable, "").strip().lower() not in _OFF


def reason(error: BaseException) -> str:
    """What an error of another library says: one line, cut after 200 characters, the same in every process."""
    text = _ADDRESS.sub("", " ".join(str(error).split()))
    return text[:_LONGEST] or type(error).__name__


def read_text(path: Path | str, *, fix: str, missing: str | None = None) -> str:
    """A UTF-8 file as text, without a byte order mark.

    Args:
        fix: what to do about a file that cannot be read; ends the error's line.
        missing: the same for a file that is not there; ``None``: as ``fix``.

    Raises:
        GigatokError: no such file, no regular file, larger than ``LARGEST_TEXT``, or not UTF-8.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise GigatokError(f"{path} is no regular file: {fix}")
        if path.stat().st_size > LARGEST_TEXT:
            raise GigatokError(f"{path} is larger than {LARGEST_TEXT >> 20} MiB: {fix}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise GigatokError(f"{path} does not exist: {missing or fix}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise GigatokError(f"{path} cannot be read ({reason(error)}): {fix}") from None
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise GigatokError(f"{path} is UTF-16: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise GigatokError(
            f"{path} is not UTF-8 (byte 0x{content[error.start]:02x} in line {line}): save it as UTF-8"
        ) from None


def read_json(path: Path | str, *, fix: str, missing: str | None = None) -> Any:
    """Content of a JSON file. Arguments as ``read_text``.

    Raises:
        GigatokError: as ``read_text``; or the text is no JSON, repeats a key, or has NaN or an infinity.
    """
    text = read_text(path, fix=fix, missing=missing)
    try:
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise GigatokError(f"{path} is no JSON ({reason(error)}): {fix}") from None


def read_json_object(path: Path | str, *, fix: str, missing: str | None = None) -> dict[str, Any]:
    """Content of a JSON file that holds an object. Arguments as ``read_text``.

    Raises:
        GigatokError: as ``read_json``; or the file holds something else.
    """
    content = read_json(path, fix=fix, missing=missing)
    if not isinstance(content, dict):
        raise GigatokError(f"{path} holds {type(content).__name__} instead of a JSON object: {fix}")
    return content


def json_object_or_none(path: Path | str) -> dict[str, Any] | None:
    """Content of a JSON file whose loss is no fault, such as a record of times; ``None``: missing or damaged."""
    try:
        return read_json_object(path, fix="")
    except GigatokError:
        return None


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def read_yaml(path: Path | str, *, fix: str) -> Any:
    """Content of a YAML file; ``fix`` ends the line about a file that is not there.

    Raises:
        ConfigError: as ``read_text``, or ``parse_yaml``.
    """
    try:
        text = read_text(path, fix=fix)
    except GigatokError as error:
        raise ConfigError(str(error)) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> Any:
    """Plain values of a YAML text.

    Raises:
        ConfigError: no YAML, a repeated key (DVC refuses those too), values that hold themselves, or more than
            ``LARGEST_YAML`` values.
    """
    try:
        values = yaml.load(text, Loader=_Loader)
        if _count(values, {}) > LARGEST_YAML:
            raise ValueError(f"it has more than {LARGEST_YAML} values: its aliases repeat each other")
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{source} is not valid YAML: {reason(error)}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        # what PyYAML's constructors raise for values that do not fit their tag, such as 2001-13-45
        raise ConfigError(f"{source} is not valid YAML: {reason(error)}") from None
    return values


class _Loader(yaml.SafeLoader):
    """Plain values only, and no key twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[Hashable, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                name, line = (key.tag, key.value), key.start_mark.line + 1
                if name in first:
                    problem = f"key {key.value!r} is in line {first[name]} and again in line {line}"
                    raise yaml.MarkedYAMLError(problem=problem)
                first[name] = line
        return node


def _count(value: Any, known: dict[int, int]) -> int:
    """Values in a tree, those of a shared branch counted each time. ``known``: counts by ``id``; 0 while open."""
    if not isinstance(value, (dict, list, tuple, set)):
        return 1
    if id(value) in known:
        if not known[id(value)]:
            raise ValueError("a value holds itself")
        return known[id(value)]
    known[id(value)] = 0
    parts = [*value, *value.values()] if isinstance(value, dict) else list(value)
    known[id(value)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(value)]
