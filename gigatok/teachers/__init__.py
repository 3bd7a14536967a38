"""Frozen networks by name: semantic teachers and perceptual distances, with their real weights."""

from gigatok.teachers.efficientnet import EFFICIENTNET_LITE, LoadedNetwork, load_efficientnet_lite
from gigatok.teachers.perceptual import PerceptualNetwork, load_perceptual
from gigatok.teachers.teacher import EFFICIENTNET_TEACHERS, VIT_TEACHERS, Teacher, load_teacher

__all__ = [
    "EFFICIENTNET_LITE",
    "EFFICIENTNET_TEACHERS",
    "VIT_TEACHERS",
    "LoadedNetwork",
    "PerceptualNetwork",
    "Teacher",
    "load_efficientnet_lite",
    "load_perceptual",
    "load_teacher",
]
