"""Scores that carry how they were measured, and sheets of them.

A Fréchet distance means nothing without its extractor, reference set and counts: the same images score 4.28
or 2.11 by the choice of reference alone. So a number is only stored together with its protocol.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from gigatok.artifacts.files import Digests, write_json
from gigatok.artifacts.identity import Resumption
from gigatok.artifacts.sheets.earlier import upgraded
from gigatok.artifacts.sheets.protocol import Finite, Protocol, ProtocolDifference, differences
from gigatok.config import GigatokError, Section, describe
from gigatok.config.reading import read_json


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
    floor_kind: Literal["floor", "baseline"] | None = None
    """``floor``: a trivial baseline, without any skill; ``baseline``: one with some of its own (k-means)."""
    protocol: Protocol = Protocol()
    provenance: Provenance = Provenance()


def protocol_differences(a: Protocol | Score, b: Protocol | Score) -> list[ProtocolDifference]:
    """Every protocol field in which two scores differ. Empty: they may be compared.

    How an interval was estimated is left out: a score with one may stand beside a score without.
    """
    return differences(*(each.protocol if isinstance(each, Score) else each for each in (a, b)))


class FewSamples(Section):
    """The counts of a sheet whose Fréchet distances are biased upwards: not more images than dimensions."""

    samples: int
    reference: int | None = None
    """Images of the reference; ``None``: stored statistics do not say."""
    dimensions: int

    def describe(self) -> str:
        """One sentence for readers."""
        of = "" if self.reference is None else f" to {self.reference} images"
        return (
            f"Fréchet distances of {self.samples} samples{of} in {self.dimensions} dimensions are biased "
            "upwards: compare them only with distances of equal counts"
        )


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
    """How many images had transparent pixels, EXIF rotation (ignored), 16 bits (reduced to 8), an animation (first
    frame)."""


class ScoreSheet(Section):
    """All final numbers of one run: ``summary.json``. No dates, no times: equal runs give equal files."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    """Version of the file's layout; another one is refused."""
    name: str
    kind: str
    """``tokenizer``, ``generator`` or ``reference``."""
    parameters: dict[str, int] = Field(default={})
    """Parameters by part, and their sum as ``total``."""
    scores: tuple[Score, ...] = ()
    floors: tuple[Score, ...] = ()
    few_samples: FewSamples | None = None
    """Present where the Fréchet distances are biased by few images."""
    notes: tuple[str, ...] = ()
    """For readers. Nothing looks for words in them."""
    inputs: tuple[InputSet, ...] = ()
    """The two sets; only in sheets that ``evaluate`` makes."""
    files: dict[str, Digests] = {}
    """Hashes of the files beside the sheet that were written with it; empty in sheets of earlier versions."""
    weights: dict[str, str] = {}
    """Run folder under ``runs/`` -> SHA-256 of the weights of it that were scored; empty in sheets of earlier
    versions and of images."""

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
        """Metric name to value, baselines left out."""
        return {score.metric: score.value for score in self.scores}

    def write(self, path: Path) -> None:
        """Write as JSON: sorted keys, whole or not at all."""
        absent = {name for name in ("inputs", "files", "weights") if not getattr(self, name)}
        write_json(path, self.model_dump(mode="json", by_alias=True, exclude=absent))

    @classmethod
    def read(cls, path: Path) -> ScoreSheet:
        """The sheet at ``path``; notes of earlier versions become the fields of today.

        Raises:
            GigatokError: the file is missing, torn, or was written by another version.
        """
        content = read_json(path, fix="delete it and run its stage again", missing="run the stage that writes it")
        try:
            return cls.model_validate(upgraded(content))
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
