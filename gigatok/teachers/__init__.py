"""Frozen networks by name: semantic teachers and perceptual distances, with their real weights."""

from gigatok.config.sections import TEACHERS
from gigatok.teachers.base import PerceptualNetwork, Teacher
from gigatok.teachers.dino import load_dino_discriminator
from gigatok.teachers.efficientnet import EFFICIENTNET_LITE, LoadedNetwork, load_efficientnet_lite
from gigatok.teachers.registry import load_perceptual, load_teacher

__all__ = [
    "EFFICIENTNET_LITE",
    "TEACHERS",
    "LoadedNetwork",
    "PerceptualNetwork",
    "Teacher",
    "load_dino_discriminator",
    "load_efficientnet_lite",
    "load_perceptual",
    "load_teacher",
]
