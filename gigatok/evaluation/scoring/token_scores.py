"""Scores of a tokenizer's stored tokens: how much of the codebook they use, and how hard they will be to model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Protocol, RunFolder, Score
from gigatok.artifacts.outputs.digests import noted_outputs
from gigatok.artifacts.outputs.indices import StoredIndices
from gigatok.config import GigatokError
from gigatok.evaluation.decode import upright
from gigatok.evaluation.metrics.codebook import codebook_perplexity, codebook_usage
from gigatok.evaluation.metrics.intervals import GROUPS, Estimate, bootstrap_interval, jackknife_interval
from gigatok.evaluation.metrics.token_statistics import effective_codebook_size, prefix_statistics
from gigatok.evaluation.scoring.records import Details, scored

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StoredTokens:
    """A tokenizer's indices of all images."""

    train: Indices
    """(n, N), of the centre where there are ten crops"""
    validation: Indices
    """(m, N)"""
    codebook_size: int

    @classmethod
    def read(cls, run: RunFolder, codebook_size: int) -> StoredTokens:
        """From a tokenizer's ``indices.npz``.

        Raises:
            GigatokError: the file is missing, or damaged and not in DVC's cache; or an index is out of range.
        """
        path, again = run.indices_path, f"run 'dvc repro -f train_tokenizer@{run.name}'"
        stored = StoredIndices.open(path, noted_outputs(run).get(path.name), fix=again)
        found = cls(upright(stored.train), stored.validation.astype(np.int64), codebook_size)
        for indices in (found.train, found.validation):
            if not 0 <= indices.min(initial=0) <= indices.max(initial=0) < codebook_size:
                raise GigatokError(f"{path} has indices beyond the codebook's {codebook_size} codes: {again}")
        return found


def token_scores(tokens: StoredTokens, validation: str, train: str, details: Details) -> list[Score]:
    """All scores of the tokens alone, and the entropy by position as ``positions/conditional_entropy`` (N,) in nats.

    Args:
        validation, train: names of the two sets of images, as scores record their reference
    """
    prefixes = prefix_statistics(tokens.train)
    details["positions/conditional_entropy"] = prefixes.conditional_entropy.astype(np.float32)
    size = tokens.codebook_size
    return [
        *codebook_scores(tokens.validation, size, validation),
        _of_training("effective_codebook_size", tokens.train, train, lambda part: effective_codebook_size(part, size)),
        _of_training(
            "first_token_entropy",
            tokens.train,
            train,
            lambda part: float(prefix_statistics(part[:, :1]).conditional_entropy[0]),
        ),
        _of_training("determined_share", tokens.train, train, lambda part: prefix_statistics(part).determined_share),
        Score(metric="bits_per_image", value=float(tokens.train.shape[1] * np.log2(size))),
    ]


def codebook_scores(indices: Indices, codebook_size: int, reference: str) -> list[Score]:
    """Usage and perplexity of the codebook over the validation images."""
    protocol = Protocol(sample_count=len(indices), reference=reference)
    scores = []
    for metric, statistic in (("codebook_usage", codebook_usage), ("codebook_perplexity", codebook_perplexity)):
        value = statistic(indices, codebook_size)
        low, high = bootstrap_interval(
            lambda rows, of=statistic: of(indices[rows], codebook_size),  # type: ignore[misc]
            len(indices),
            value,
        )
        ends = low, min(high, 1.0 if metric == "codebook_usage" else codebook_size)
        scores.append(scored(metric, Estimate(value, ends, method="resampling spread"), protocol))
    return scores


def _of_training(metric: str, indices: Indices, reference: str, statistic: Callable[[Indices], float]) -> Score:
    """A score of the training tokens; sets that lack a group of images give its interval, as none repeats an image."""
    protocol = Protocol(sample_count=len(indices), reference=reference)
    value = statistic(indices)
    if len(indices) < 2 * GROUPS:
        return Score(metric=metric, value=value, protocol=protocol)
    interval = jackknife_interval(lambda rows: statistic(indices[rows]), len(indices), value)
    return scored(metric, Estimate(value, interval, method="group jackknife"), protocol)
