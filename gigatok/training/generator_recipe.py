"""One training step of the AR model on stored indices (SPEC sections 4 and 7)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gigatok.config.sections import TrainGeneratorSection
from gigatok.models.ar import ArModel
from gigatok.optim import Ema, build_adamw, learning_rate
from gigatok.training.precision import autocast, gradient_scaler
from gigatok.training.update import Update

_VALIDATION_BATCH = 64


class GeneratorRecipe:
    """Trains ``model`` on (indices, class) pairs.

    Args:
        model: on its device; left in training mode.
        section: the run's settings, overrides applied.
    """

    def __init__(self, model: ArModel, section: TrainGeneratorSection) -> None:
        self.model = model.train()
        self.section = section
        self.device = next(model.parameters()).device
        self.optimizer = build_adamw(model, section.optimizer)
        self.scaler = gradient_scaler(self.device, section.precision)
        self.ema = Ema(model, section.ema_decay) if section.ema_decay else None

    def step(self, step: int, indices: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Update on one batch of indices (B, N) and classes (B,); returns detached terms."""
        rate = learning_rate(self.section.optimizer, step, self.section.steps)
        with autocast(self.device, self.section.precision):
            logits = self.model(indices, classes)
        loss = token_cross_entropy(logits, indices)
        norm = Update(self.model, self.optimizer, self.scaler, self.section.optimizer.gradient_clip).step(loss, rate)
        if self.ema is not None:
            self.ema.update(self.model)
        return {"loss": loss.detach(), "gradient_norm": norm}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        if self.ema is not None:
            state["ema"] = self.ema.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])


def token_cross_entropy(logits: Tensor, indices: Tensor) -> Tensor:
    """Mean cross-entropy in nats a token; logits (B, N, V), indices (B, N)."""
    return F.cross_entropy(logits.float().flatten(0, 1), indices.flatten())


@torch.inference_mode()
def validation_loss(model: ArModel, indices: Tensor, classes: Tensor, *, device: torch.device) -> float:
    """Mean cross-entropy in nats a token over indices (m, N) with classes (m,), every token weighing the same."""
    was_training = model.training
    model.eval()
    total = 0.0
    parts = (torch.split(values, _VALIDATION_BATCH) for values in (indices, classes))
    for part, labels in zip(*parts, strict=True):
        part = part.to(device)
        total += float(token_cross_entropy(model(part, labels.to(device)), part)) * len(part)
    model.train(was_training)
    return total / len(indices)
