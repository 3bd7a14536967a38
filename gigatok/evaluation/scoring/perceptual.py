"""The perceptual distance of reconstructions, as a score."""

from __future__ import annotations

from pathlib import Path

import torch

from gigatok.artifacts import Protocol, Score
from gigatok.config.sections import LossSection
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.metrics.perceptual import perceptual_distances, perceptual_metric
from gigatok.evaluation.scoring.records import Details, mean_score
from gigatok.teachers import load_perceptual


def perceptual_score(
    originals: Images,
    images: Images,
    loss: LossSection,
    protocol: Protocol,
    device: torch.device,
    details: Details | None = None,
) -> Score:
    """Mean distance of ``images`` (n, S, S, 3) to their originals, by the training loss's own network.

    It says how well the loss was fitted, and is no independent score.

    Args:
        protocol: as ``pixel_protocol`` makes it; the network is added
        details: filled with the distance of each image
    """
    name = loss.perceptual_network
    network = load_perceptual(name, weights=Path(loss.perceptual_weights) if loss.perceptual_weights else None)
    distances = perceptual_distances(network.to(device), originals, images)
    named = protocol.replace(extractor=name, extractor_sha256=network.sha256)
    return mean_score(perceptual_metric(name), distances, named, details=details)
