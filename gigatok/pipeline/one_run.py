"""Settings that hold for one run: ``params.yaml`` is changed while it lasts, and is as before afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from gigatok.artifacts import write_bytes, write_text
from gigatok.artifacts.settings_file import KEPT, NAME, for_one_run, put_back
from gigatok.config import ConfigError, Params, load_params, parse_params
from gigatok.config.reading import parse_yaml, read_yaml


def parse_assignments(texts: Sequence[str]) -> dict[str, Any]:
    """``["base.seed=3"]`` -> ``{"base.seed": 3}``; values are YAML.

    Raises:
        ConfigError: no ``=``, no name, or a value that is no YAML.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set {text!r}: give KEY=VALUE, such as train_tokenizer.loss.semantic_weight=0.25")
        try:
            found[name.strip()] = parse_yaml(value, f"--set {name.strip()}")
        except ConfigError:
            raise ConfigError(f"--set {text!r}: the value is no YAML: put it in quotes") from None
    return found


def with_settings(root: Path, assignments: Sequence[str]) -> tuple[Params, dict[str, Any]]:
    """The settings of ``params.yaml`` with these instead, and as the file would hold them.

    Raises:
        ConfigError: a name that is no setting, or a value out of its bounds.
    """
    path = root / "params.yaml"
    load_params(path)  # what is wrong without --set is said without it
    values = read_yaml(path, fix="'gigatok-bench profile NAME' writes it")
    for name, value in parse_assignments(assignments).items():
        _put(values, name, value)
    return parse_params(values, source="--set"), values


@contextmanager
def settings_for_one_run(root: Path, assignments: Sequence[str]) -> Iterator[None]:
    """Inside, ``params.yaml`` has these settings; afterwards it is byte by byte as before.

    What a run with ``--set`` left that was killed is put right first, also where there are no ``assignments``. Who
    edits the file inside keeps the edit, and the file as it was beside it: stderr says how to choose. Call it only
    while holding the pipeline's lock.

    Raises:
        ConfigError: see ``with_settings`` and ``put_back``.
    """
    if said := put_back(root):
        print(said, file=sys.stderr)
    if not assignments:
        yield
        return
    path, kept = root / NAME, root / KEPT
    _, values = with_settings(root, assignments)
    write_bytes(kept, path.read_bytes())
    try:
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        write_text(path, for_one_run(text, " ".join(assignments)))
        yield
    finally:
        try:
            put_back(root)
        except ConfigError as error:  # said, not raised: what ended the run counts more
            print(error, file=sys.stderr)


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    """Set a value by its dotted name; sections on the way are made, names of models may hold no dot."""
    *path, last = name.split(".")
    inner = values
    for part in path:
        following = inner.setdefault(part, {})
        if following is None:
            following = inner[part] = {}
        if not isinstance(following, dict):
            raise ConfigError(f"--set {name}: {part} is a value, not a section")
        inner = following
    inner[last] = value
