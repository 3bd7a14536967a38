"""What identifies a training: settings, inputs and the code that it runs. Two of one identity have one result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import TypeAdapter, ValidationError

from gigatok.artifacts.files import write_json
from gigatok.config import GigatokError, Section, describe
from gigatok.config.reading import read_json_object, switched_on

RESUME_OPTION, RESUME_VARIABLE = "--resume-anyway", "GIGATOK_RESUME_ANYWAY"
"""How a user says that a run is to be resumed although it differs: to a stage's script, and to those DVC starts."""
Plain = bool | int | float | str | None | list[Any]
_AGAIN = "run the stage that trains it again"
_SHOWN = 6
"""Differences that a message names; all of them are recorded."""


class Difference(Section):
    """One thing in which two trainings are not the same."""

    kind: Literal["setting", "input", "module", "step"]
    """``step``: weights to be kept after an update that a saved state is already beyond."""
    name: str
    before: Plain = None
    """``None``: there was none, or its value says nothing to a reader (a hash)."""
    after: Plain = None

    def __str__(self) -> str:
        if self.kind == "setting":
            return f"{self.name} {_shown(self.before)} -> {_shown(self.after)}"
        if self.kind == "step":
            return f"weights of step {self.name}, which was passed without keeping them"
        return f"{self.kind} {self.name}"


class RunIdentity(Section):
    """Everything that a training's result depends on, part by part."""

    settings: dict[str, Plain]
    """By dotted name, e.g. ``loss.l1_weight``; those that change no result are left out."""
    inputs: dict[str, str]
    """Hashes of what it reads: images, teacher, indices."""
    modules: dict[str, str]
    """``code_meaning`` of each module that it can reach."""

    @classmethod
    def of(cls, settings: Mapping[str, Any], inputs: Mapping[str, object], modules: Mapping[str, str]) -> Self:
        """From nested settings and JSON-able inputs. What is ``None`` is left out: a setting that a later version adds
        with that default makes no other run.
        """
        plain = {name: value for name, value in _flat(settings, "") if value is not None}
        hashed = {name: value if isinstance(value, str) else _hash(value) for name, value in inputs.items() if value}
        return cls(settings=plain, inputs=hashed, modules=dict(modules))

    @classmethod
    def read(cls, values: object) -> Self | None:
        """From a stored JSON object; ``None`` where it is none, as in files of earlier versions."""
        try:
            return cls.model_validate(values)
        except ValidationError:
            return None

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; equal for equal identities."""
        return _hash(self.model_dump(mode="json"))

    def differences(self, later: RunIdentity) -> tuple[Difference, ...]:
        """In what ``later`` differs: settings first, then inputs, then code."""
        kinds: tuple[tuple[Literal["setting", "input", "module"], Mapping[str, Any], Mapping[str, Any]], ...] = (
            ("setting", self.settings, later.settings),
            ("input", self.inputs, later.inputs),
            ("module", self.modules, later.modules),
        )
        return tuple(
            Difference(kind=kind, name=name, before=before.get(name), after=after.get(name))
            for kind, before, after in kinds
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        )


class Resumption(Section):
    """A training that was resumed, or taken for finished, although it was not the one that was asked for."""

    run: str
    """``<kind>/<name>``."""
    step: int
    """Updates that had been made."""
    differences: tuple[Difference, ...] | None
    """``None``: the run was of a version that did not record its identity."""

    def describe(self) -> str:
        """``tokenizers/T after step 300, although it differs in loss.l1_weight 0.5 -> 0.25``."""
        return f"{self.run} after step {self.step}, although it differs in {describe_differences(self.differences)}"


_RESUMPTIONS = TypeAdapter(tuple[Resumption, ...])


def note_resumptions(description: Path, resumptions: Sequence[Resumption]) -> None:
    """Add to a run's ``config.json`` what the training took over although it was another's.

    Raises:
        GigatokError: the file is missing or damaged.
    """
    content = read_json_object(description, fix=_AGAIN)
    noted = {"resumed_anyway": [each.model_dump(mode="json") for each in resumptions]}
    metadata = content.get("metadata")
    write_json(description, {**content, "metadata": {**(metadata if isinstance(metadata, dict) else {}), **noted}})


def read_resumptions(description: Path) -> tuple[Resumption, ...]:
    """What a run's ``config.json`` says that the training took over; empty for nearly all, and without the file.

    Raises:
        GigatokError: the file is damaged.
    """
    if not description.exists():
        return ()
    metadata = read_json_object(description, fix=_AGAIN).get("metadata")
    try:
        return _RESUMPTIONS.validate_python(metadata.get("resumed_anyway", ()) if isinstance(metadata, dict) else ())
    except ValidationError as error:
        raise GigatokError(f"{description}: resumed_anyway: {describe(error)}: {_AGAIN}") from None


def describe_differences(differences: tuple[Difference, ...] | None) -> str:
    """One line of at most a few; ``None``: what they are is not known."""
    if differences is None:
        return "settings or code that an earlier version did not record"
    texts = [str(difference) for difference in differences]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _flat(value: object, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if not isinstance(value, Mapping) else None


def _shown(value: Plain) -> str:
    return "(none)" if value is None else json.dumps(value)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def resume_anyway(words: list[str]) -> bool:
    """Whether ``--resume-anyway`` stands among a script's words, from which it is taken, or its variable is set."""
    given = RESUME_OPTION in words
    words[:] = [word for word in words if word != RESUME_OPTION]
    return given or switched_on(RESUME_VARIABLE)
