"""Frozen networks by the names that ``params.yaml`` uses."""

from __future__ import annotations

from pathlib import Path

from gigatok.config import ConfigError
from gigatok.config.bounds import require_no_weights
from gigatok.config.sections import PERCEPTUAL_NETWORKS, TEACHERS
from gigatok.teachers.base import PerceptualNetwork, Teacher
from gigatok.teachers.lite import EfficientNetPerceptual, EfficientNetTeacher
from gigatok.teachers.lpips import load_lpips
from gigatok.teachers.vit import VIT_TEACHERS, VitTeacher

EFFICIENTNET_TEACHERS = {"efficientnet-lite0": "lite0", "efficientnet-lite2": "lite2"}


def load_teacher(name: str, *, weights: Path | None = None, image_size: int) -> Teacher:
    """The frozen semantic encoder ``name``, in eval mode on the CPU.

    Args:
        name: one of ``TEACHERS``.
        weights: local weight file of a ViT; ``None``: timm's download. EfficientNets come from their package.
        image_size: side in pixels to which images are resized.

    Raises:
        ConfigError: unknown name, or an image size that the encoder cannot divide.
        GigatokError: weights missing or not fitting.
    """
    if name in EFFICIENTNET_TEACHERS:
        require_no_weights("teacher.weights", weights, name)
        return EfficientNetTeacher(name, EFFICIENTNET_TEACHERS[name], image_size)
    if name in VIT_TEACHERS:
        return VitTeacher(name, weights, image_size)
    raise ConfigError(f"teacher.name {name!r} is not one of {', '.join(TEACHERS)}")


def load_perceptual(name: str, *, weights: Path | None = None) -> PerceptualNetwork:
    """The frozen perceptual distance ``name``, in eval mode on the CPU.

    Args:
        name: one of ``PERCEPTUAL_NETWORKS``; ``vgg16`` is LPIPS, the paper's.
        weights: local file of VGG16's weights; ``None``: torchvision's download.

    Raises:
        ConfigError: unknown name, or weights given to a network that has its own.
        GigatokError: weights missing or not fitting.
    """
    if name == "efficientnet-lite0":
        require_no_weights("loss.perceptual_weights", weights, name)
        return EfficientNetPerceptual()
    if name == "vgg16":
        return load_lpips(weights)
    raise ConfigError(f"loss.perceptual_network {name!r} is not one of {', '.join(PERCEPTUAL_NETWORKS)}")
