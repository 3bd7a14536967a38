"""Linear probes of a tokenizer's encoder (paper figure 13) and of an AR model, and the commonest class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gigatok.artifacts import Estimator, Protocol, Score
from gigatok.config.evaluation import ProbeSection
from gigatok.data import ImageSet, to_float
from gigatok.evaluation.metrics.intervals import share_estimate
from gigatok.evaluation.probes.linear import ProbeSpec, probe_hits
from gigatok.evaluation.scoring.records import Details, scored
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer

Pool = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
_BATCH = 128
POOL_PART = 8 * _BATCH
"""Images or samples that one process pools at a time: whole batches."""


def accuracy_scores(
    metric: str,
    train: tuple[Pool, Labels],
    test: tuple[Pool, Labels],
    spec: ProbeSpec,
    reference: str,
    details: Details | None = None,
) -> tuple[Score, Score]:
    """Accuracy of a linear probe, and of always naming the commonest class; ``reference`` names its training set."""
    labels, expected = train[1], test[1]
    protocol = Protocol(
        reference=reference,
        reference_count=len(labels),
        sample_count=len(expected),
        probe=spec.describe(),
        estimator=Estimator(probe=spec.kind),
        seed=spec.seed,
    )
    hits = probe_hits(*train, *test, spec)
    accuracy = hits if isinstance(hits, float) else float(hits.mean())
    if details is not None and not isinstance(hits, float):
        details[f"images/{metric}"] = hits.astype(np.float32)
    majority = float((expected == np.bincount(labels).argmax()).mean())
    found, floor = (scored(metric, share_estimate(value, len(expected)), protocol) for value in (accuracy, majority))
    return found, floor.replace(floor="majority class", floor_kind="floor")


def probe_spec(section: ProbeSection, features: str, seed: int) -> ProbeSpec:
    """The settings' probe on the features described."""
    return ProbeSpec(kind=section.kind, l2=section.l2, features=features, seed=seed)


@torch.inference_mode()
def encoder_pool(tokenizer: Tokenizer, images: ImageSet, rows: range) -> Pool:
    """(n, width) encoder features of images, after its last norm and before quantisation, mean over tokens."""
    device = next(tokenizer.parameters()).device
    parts = []
    for start in range(rows.start, rows.stop, _BATCH):
        batch = to_float(images.batch(np.arange(start, min(start + _BATCH, rows.stop)))).to(device)
        parts.append(tokenizer.encoder_features(batch).mean(dim=1).float().cpu().numpy())
    return np.concatenate(parts)


@torch.inference_mode()
def ar_pool(ar: ArModel, indices: Tensor, layer: int) -> Pool:
    """(n, width) features of block ``layer`` for indices (n, N) with the null class, mean over tokens."""
    device = next(ar.parameters()).device
    parts = []
    for part in torch.split(indices, _BATCH):
        null = torch.full((len(part),), ar.config.num_classes, device=device)
        parts.append(ar.features(part.to(device), null, layer).mean(dim=1).float().cpu().numpy())
    return np.concatenate(parts)
