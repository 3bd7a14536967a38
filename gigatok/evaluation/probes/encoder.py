"""Probes of a tokenizer's encoder, at the end of its training and at the checkpoints it kept (paper figure 13)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

import numpy as np

from gigatok.artifacts import Score
from gigatok.config.evaluation import EvaluateTokenizerSection, ProbeSection
from gigatok.config.sections import TrainTokenizerSection
from gigatok.data import PreparedData
from gigatok.evaluation.inputs.reference import training_reference
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.evaluation.probes.linear import ProbeSpec
from gigatok.evaluation.probes.scores import Pool, accuracy_scores, probe_spec
from gigatok.tracking.progress import StageProgress

Side = Literal["train", "validation"]
Step = int | Literal["final"]


class EncoderPool(Protocol):
    """Features of an encoder, whoever computes them."""

    def __call__(self, side: Side, step: Step, progress: Callable[[int], None]) -> Pool:
        """(n, width) of the images of a side of the split, with the weights of that step, mean over tokens."""


def probed_steps(section: EvaluateTokenizerSection, training: TrainTokenizerSection) -> tuple[int, ...] | None:
    """Checkpoints that are probed besides the end; ``None``: this tokenizer is not probed at all."""
    if section.probe is None or (section.probed == "checkpoints" and not training.keep_steps):
        return None
    return tuple(step for step in training.keep_steps if step < training.steps)


def encoder_probes(
    pool: EncoderPool,
    data: PreparedData,
    steps: tuple[int, ...],
    spec: ProbeSpec,
    progress: StageProgress,
    offset: int,
) -> tuple[list[Score], list[Score]]:
    """Accuracies of the last weights and of those kept at ``steps``, and that of the commonest class.

    Args:
        progress: receives the images done, from ``offset`` on
    """
    each = len(data.train) + len(data.validation)
    last, floor = _probe(ENCODER_PROBE, pool, "final", data, spec, progress, offset)
    scores = [last]
    for place, step in enumerate(steps, start=1):
        scores.append(_probe(encoder_probe_at(step), pool, step, data, spec, progress, offset + place * each)[0])
    return scores, [floor]


def encoder_spec(section: ProbeSection, tokens: int, seed: int) -> ProbeSpec:
    """The settings' probe on features of an encoder with so many tokens."""
    return probe_spec(section, f"tokenizer encoder before quantisation, mean over {tokens} tokens", seed)


def _probe(
    metric: str,
    pool: EncoderPool,
    step: Step,
    data: PreparedData,
    spec: ProbeSpec,
    progress: StageProgress,
    offset: int,
) -> tuple[Score, Score]:
    train = pool("train", step, partial(_report, progress, offset)), np.asarray(data.train.labels)
    report = partial(_report, progress, offset + len(data.train))
    test = pool("validation", step, report), np.asarray(data.validation.labels)
    return accuracy_scores(metric, train, test, spec, training_reference(data.summary))


def _report(progress: StageProgress, start: int, done: int) -> None:
    progress.update(start + done, phase="probe")
