"""What a score was computed from, saved beside the cached features, so that ``explain`` can compute it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from gigatok.artifacts import Score, write_json
from gigatok.config import GigatokError, Section, describe
from gigatok.config.reading import read_json
from gigatok.evaluation.inputs.evaluation_set import Moments
from gigatok.evaluation.inputs.files import open_set, write_adm_npz
from gigatok.evaluation.inputs.reference import ReferenceIdentity
from gigatok.evaluation.metrics.names import without_best_guidance
from gigatok.evaluation.store.features import extraction_code


class Inputs(Section):
    """Content hashes and settings behind one score."""

    metric: str
    """Name without prefix and extractor, as ``scoring.measure`` takes it."""
    samples: str
    """sha256 of the samples' pixels; of each part of a set that was scored in parts, joined by ``+``."""
    reference: str
    """sha256 of the reference."""
    protocol: str
    seed: int
    code: str = ""
    """Fingerprint of the code that computed the features; empty: inputs of earlier versions do not say."""


def save_inputs(cache: Path, score: Score, inputs: Inputs, moments: Moments | None) -> None:
    """Keep the inputs of ``score``; stored statistics of the reference too, which no feature pass can bring back."""
    write_json(_path(cache, score), inputs.model_dump())
    if moments is not None and not _moments_path(cache, inputs.reference).is_file():
        write_adm_npz(_moments_path(cache, inputs.reference), moments=moments)


_MEASURED = {
    "rfid": "fid",
    "gfid": "fid",
    "rfd": "fid",
    "gfd": "fid",
    "rsfid": "sfid",
    "gsfid": "sfid",
    **{name: name for name in ("kid", "mind", "inception_score", "precision", "recall")},
}
"""Metrics of score sheets, and what ``scoring.measure`` calls them."""


def save_inputs_of_scores(
    cache: Path, scores: Iterable[Score], samples: Sequence[str], reference: ReferenceIdentity, seed: int
) -> None:
    """Save the inputs of scores, by content hashes; scores that no single pass gives are left out."""
    content, moments, protocol = reference
    for score in scores:
        metric = _MEASURED.get(without_best_guidance(score.metric).split("/")[0])
        if metric is not None:
            parts = "+".join(samples)
            inputs = Inputs(
                metric=metric, samples=parts, reference=content, protocol=protocol, seed=seed, code=extraction_code()
            )
            save_inputs(cache, score, inputs, moments)


def load_inputs(cache: Path, score: Score) -> Inputs | None:
    """The inputs of ``score``; ``None`` if it was not computed with this cache.

    Raises:
        GigatokError: the file is damaged.
    """
    path, again = _path(cache, score), "delete it and compute the score again"
    if not path.is_file():
        return None
    try:
        return Inputs.model_validate(read_json(path, fix=again))
    except ValidationError as error:
        raise GigatokError(f"{path} does not say what a score was computed from ({describe(error)}): {again}") from None


def load_moments(cache: Path, reference: str) -> Moments | None:
    """Stored statistics of a reference, if it came with any."""
    path = _moments_path(cache, reference)
    return open_set(path).moments if path.is_file() else None


def _path(cache: Path, score: Score) -> Path:
    text = json.dumps([score.metric, score.value, score.protocol.model_dump(mode="json")], sort_keys=True)
    return Path(cache) / "scores" / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def _moments_path(cache: Path, reference: str) -> Path:
    return Path(cache) / "moments" / f"{reference}.npz"
