"""Scores that carry how they were measured, and sheets of them.

A Fréchet distance means nothing without its extractor, reference set and counts: the same images score 4.28
or 2.11 by the choice of reference alone. So a number is only stored together with its protocol.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from gigatok.artifacts.files import write_json
from gigatok.artifacts.identity import Resumption
from gigatok.config import GigatokError, Section, describe
from gigatok.config.reading import read_json

Finite = Annotated[float, Field(allow_inf_nan=False)]
Scalar = bool | int | Finite | str | None


class Protocol(Section):
    """How a score was measured. Fields that do not apply are ``None``."""

    extractor: str | None = None
    extractor_sha256: str | None = None
    extractor_size: int | None = None
    """Side in pixels at which the extractor saw the images."""
    reference: str | None = None
    """What the images were held against, e.g. ``train`` or ``validation originals``."""
    reference_count: int | None = None
    sample_count: int | None = None
    preprocessing: str | None = None
    rounding: str | None = None
    """How floats became uint8, e.g. ``adm``."""
    transparency: Literal["white", "dropped"] | None = None
    """What became of transparent pixels of files, where there were any: laid on white, or their colours taken."""
    codec: str | None = None
    """Image codec between model and judge; ``none``: arrays, no files."""
    class_policy: str | None = None
    sampler: dict[str, Scalar] | None = None
    seed: int | None = None
    probe: str | None = None
    """The linear probe's layer, pooling and optimizer."""
    notes: str | None = None


class Provenance(Section):
    """What made a score: code, settings, data."""

    commit: str | None = None
    dirty: bool | None = None
    params_sha: str | None = None
    data_sha: str | None = None
    seed: int | None = None
    profile: str | None = None
    run: str | None = None
    resumed_anyway: tuple[Resumption, ...] | None = None
    """Trainings behind the score that took over what another run had made; ``None``, and not stored: no such."""

    @model_serializer(mode="wrap")
    def _without_what_is_rare(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if values.get("resumed_anyway") is None:
            values.pop("resumed_anyway", None)
        return values


class Score(Section):
    """One number and how it was measured."""

    metric: str
    """``<metric>`` or ``<metric>/<extractor>``."""
    value: Finite
    interval: tuple[Finite, Finite] | None = None
    """Lower and upper end, where one was estimated."""
    floor: str | None = None
    """Which number without a trained model this is, e.g. ``mean image``; ``None``: a model's score."""
    protocol: Protocol = Protocol()
    provenance: Provenance = Provenance()


def protocol_differences(a: Protocol | Score, b: Protocol | Score) -> list[str]:
    """Every protocol field in which two scores differ, as ``field: a | b``. Empty: they may be compared.

    What notes say of an interval is left out: a score with one may stand beside a score without.
    """
    first, second = (_compared(each.protocol if isinstance(each, Score) else each) for each in (a, b))
    return [f"{name}: {first[name]!r} | {second[name]!r}" for name in first if first[name] != second[name]]


def _compared(protocol: Protocol) -> dict[str, Any]:
    notes = [part for part in (protocol.notes or "").split("; ") if part and "interval:" not in part]
    return {**protocol.model_dump(), "notes": "; ".join(notes) or None}


class InputSet(Section):
    """What a set of images was made of: a score is of the images that were taken, not of those in a folder."""

    role: Literal["samples", "reference"]
    name: str
    images: int | None = None
    """Taken; ``None``: the set is stored statistics."""
    order: Literal["array", "names", "folders", "classes"] = "array"
    """``names``: files by name, numbers in order; ``folders``: folder by folder; ``classes``: rows by their labels."""
    paired_by: Literal["name", "row"] | None = None
    """How samples found their originals; ``None``: no reconstructions."""
    linked: int = 0
    left_out: dict[str, int] = {}
    """Reason -> how many files."""
    traits: dict[str, int] = {}
    """How many images had transparent pixels, EXIF rotation (ignored), 16 bits (high byte), an animation (first
    frame)."""


class ScoreSheet(Section):
    """All final numbers of one run: ``summary.json``. No dates, no times: equal runs give equal files."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    """Of the file's layout; another one is refused."""
    name: str
    kind: str
    """``tokenizer``, ``generator`` or ``reference``."""
    parameters: dict[str, int] = Field(default={})
    """Parameters by part, and their sum as ``total``."""
    scores: tuple[Score, ...] = ()
    floors: tuple[Score, ...] = ()
    notes: tuple[str, ...] = ()
    inputs: tuple[InputSet, ...] = ()
    """Of sheets that ``evaluate`` makes."""

    def score(self, metric: str) -> Score:
        """The score called ``metric``; ``rfid`` also finds ``rfid/efficientnet-lite2`` if no other fits.

        Raises:
            GigatokError: there is none, or ``metric`` fits several extractors.
        """
        return _find(self.scores, metric, self.name)

    def value(self, metric: str) -> float:
        """``score(metric).value``."""
        return self.score(metric).value

    def has(self, metric: str) -> bool:
        """Whether a score of this name, or this name before ``/``, is there."""
        return any(_fits(score.metric, metric) for score in self.scores)

    def values(self) -> dict[str, float]:
        """Metric name to value, floors left out."""
        return {score.metric: score.value for score in self.scores}

    def write(self, path: Path) -> None:
        """Write as JSON: sorted keys, whole or not at all."""
        absent = set() if self.inputs else {"inputs"}
        write_json(path, self.model_dump(mode="json", by_alias=True, exclude=absent))

    @classmethod
    def read(cls, path: Path) -> ScoreSheet:
        """The sheet at ``path``.

        Raises:
            GigatokError: the file is missing, torn, or was written by another version.
        """
        content = read_json(path, fix="delete it and run its stage again", missing="run the stage that writes it")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise GigatokError(f"{path} is no score sheet: {describe(error)}") from None


def _fits(name: str, wanted: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}/")


def _find(scores: tuple[Score, ...], metric: str, where: str) -> Score:
    exact = [score for score in scores if score.metric == metric]
    found = exact or [score for score in scores if _fits(score.metric, metric)]
    names = ", ".join(score.metric for score in (found or scores)) or "none"
    if not found:
        raise GigatokError(f"{where} has no score {metric!r}: it has {names}")
    if len(found) > 1:
        raise GigatokError(f"{metric!r} fits several scores of {where}: choose one of {names}")
    return found[0]
