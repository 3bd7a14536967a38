"""Probes of a tokenizer's encoder, at the end of its training and at the checkpoints it kept (paper figure 13)."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from gigatok.artifacts import RunFolder, Score
from gigatok.config.evaluation import EvaluateTokenizerSection, ProbeSection
from gigatok.config.sections import TrainTokenizerSection
from gigatok.data import ImageSet, PreparedData
from gigatok.evaluation.inputs.reference import training_reference
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.evaluation.probes.scores import Labels, Pool, accuracy_scores, encoder_pool, probe_spec
from gigatok.interop.native import load_tokenizer_at
from gigatok.models.tokenizer import Tokenizer
from gigatok.tracking.progress import StageProgress


def probed_steps(section: EvaluateTokenizerSection, training: TrainTokenizerSection) -> tuple[int, ...] | None:
    """Checkpoints that are probed besides the end; ``None``: this tokenizer is not probed at all."""
    if section.probe is None or (section.probed == "checkpoints" and not training.keep_steps):
        return None
    return tuple(step for step in training.keep_steps if step < training.steps)


def encoder_probes(
    run: RunFolder,
    data: PreparedData,
    section: ProbeSection,
    steps: tuple[int, ...],
    seed: int,
    progress: StageProgress,
    offset: int,
    device: torch.device,
) -> tuple[list[Score], list[Score]]:
    """Accuracies of the last weights and of those kept at ``steps``, and that of the commonest class.

    Args:
        progress: receives the images done, from ``offset`` on
    """
    tokenizer = load_tokenizer_at(run, "final").to(device)
    each = len(data.train) + len(data.validation)
    last, floor = _probe(ENCODER_PROBE, tokenizer, data, section, seed, progress, offset)
    scores = [last]
    for place, step in enumerate(steps, start=1):
        tokenizer = load_tokenizer_at(run, step).to(device)
        scores.append(
            _probe(encoder_probe_at(step), tokenizer, data, section, seed, progress, offset + place * each)[0]
        )
    return scores, [floor]


def _probe(
    metric: str,
    tokenizer: Tokenizer,
    data: PreparedData,
    section: ProbeSection,
    seed: int,
    progress: StageProgress,
    offset: int,
) -> tuple[Score, Score]:
    spec = probe_spec(
        section, f"tokenizer encoder before quantisation, mean over {tokenizer.config.tokens} tokens", seed
    )

    def pooled(images: ImageSet, start: int) -> tuple[Pool, Labels]:
        report = partial(_report, progress, offset + start)
        return encoder_pool(tokenizer, images, report), np.asarray(images.labels)

    train, test = pooled(data.train, 0), pooled(data.validation, len(data.train))
    return accuracy_scores(metric, train, test, spec, training_reference(data.summary))


def _report(progress: StageProgress, start: int, done: int) -> None:
    progress.update(start + done, phase="probe")
