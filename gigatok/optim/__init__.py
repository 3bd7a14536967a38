"""Optimizers, learning-rate schedules and weight averaging."""

from gigatok.optim.adamw import build_adamw, parameter_groups
from gigatok.optim.ema import Ema
from gigatok.optim.lars import Lars
from gigatok.optim.schedules import constant_lr, cosine_lr, learning_rate, wsd_lr

__all__ = [
    "Ema",
    "Lars",
    "build_adamw",
    "constant_lr",
    "cosine_lr",
    "learning_rate",
    "parameter_groups",
    "wsd_lr",
]
