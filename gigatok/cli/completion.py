"""What the shell offers after TAB: names of runs, stages and settings, from the project's files.

An answer has to come while somebody waits for it: nothing here imports the pipeline, torch or pydantic, and a file that
is missing or odd offers nothing. Each function takes what was typed of a word; typer leaves out what does not fit it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = ("tokenizers", "generators")
OLD = ".old"
_SIZES = ("s", "b", "l", "xl", "3b")
_BREAK = "@"
"""Bash takes it for the end of a word: it replaces only what follows."""


def tokenizers(incomplete: str) -> list[str]:
    """Tokenizers of ``params.yaml``."""
    return _names("tokenizers")


def generators(incomplete: str) -> list[str]:
    """Generators of ``params.yaml``."""
    return _names("generators")


def models(incomplete: str) -> list[str]:
    """Tokenizers and generators of ``params.yaml``, a name that both have once."""
    return list(dict.fromkeys(tokenizers("") + generators("")))


def kinds(incomplete: str) -> list[str]:
    """What is trained."""
    return [kind.removesuffix("s") for kind in KINDS]


def sizes(incomplete: str) -> list[str]:
    """Sizes and tokenizers as an option takes them by comma: what stands before the last comma stays."""
    before = incomplete[: incomplete.rfind(",") + 1]
    return [before + name for name in (*_SIZES, *tokenizers("")) if name not in before.split(",")]


def profiles(incomplete: str) -> list[str]:
    """Profiles that ``gigatok-bench profile`` knows."""
    return sorted(path.stem for path in (Path(__file__).parents[1] / "config" / "profiles").glob("*.yaml"))


def networks(incomplete: str) -> list[str]:
    """Networks whose weights ``gigatok-bench weights`` knows."""
    manifest = Path(__file__).parents[1] / "pipeline" / "weights" / "manifest.yaml"
    return [str(each["name"]) for each in _read(manifest) or () if isinstance(each, dict) and "name" in each]


def runs(incomplete: str) -> list[str]:
    """Runs that are there, by name alone and with their kind, and those that were set aside."""
    here = [(kind, path.name) for kind in KINDS for path in _folders(_runs() / kind)]
    found = [*(name for _, name in here), *old_runs(incomplete)]
    if "/" in incomplete:
        found += [f"{kind}/{name}" for kind, name in here]
    return list(dict.fromkeys(found))


def old_runs(incomplete: str) -> list[str]:
    """Runs that were set aside."""
    return [f"{OLD}/{path.name}" for path in _folders(_runs() / OLD)]


def stages(incomplete: str) -> list[str]:
    """Stages of ``dvc.yaml``, and the groups that they are of; in Bash what follows an ``@``."""
    before = _group_before()
    return [name.removeprefix(before) for name in _stages() if name.startswith(before)]


def trainings(incomplete: str) -> list[str]:
    """Stages that train."""
    before = _group_before()
    names = (name for name in _stages() if name.startswith("train_") and _BREAK in name)
    return [name.removeprefix(before) for name in names if name.startswith(before)]


def _stages() -> Iterator[str]:
    described = _read(_root() / "dvc.yaml")
    known = described.get("stages") if isinstance(described, dict) else None
    for name, stage in (known or {}).items() if isinstance(known, dict) else ():
        yield str(name)
        each = stage.get("foreach") if isinstance(stage, dict) else None
        if isinstance(each, str):
            yield from (f"{name}{_BREAK}{key}" for key in _names(each.strip("${} ")))


def past_the_break() -> None:
    """Right behind an ``@`` Bash names the ``@`` itself as the word to complete, and replaces what follows it.

    No name begins with it: the empty word that follows is asked for instead.
    """
    words, number = _asked()
    if words[number : number + 1] == [_BREAK]:
        os.environ["COMP_CWORD"] = str(number + 1)


def _group_before() -> str:
    """``train_tokenizer@`` where Bash asks for what follows it; else nothing."""
    words, number = _asked()
    return words[number - 2] + _BREAK if 2 <= number <= len(words) and words[number - 1] == _BREAK else ""


def _asked() -> tuple[list[str], int]:
    """The words of Bash's command line, and the number of the one that is typed."""
    place = os.environ.get("COMP_CWORD", "")
    return os.environ.get("COMP_WORDS", "").split("\n"), int(place) if place.isdecimal() else 0


def _names(section: str) -> list[str]:
    values = _read(_root() / "params.yaml")
    entries = values.get(section) if isinstance(values, dict) else None
    return [str(name) for name in entries] if isinstance(entries, dict) else []


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _runs() -> Path:
    return _root() / "runs"


def _root() -> Path:
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").exists()), here)


def _read(path: Path) -> Any:
    """A YAML file; ``None`` where it cannot be read."""
    import yaml

    try:
        return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None
