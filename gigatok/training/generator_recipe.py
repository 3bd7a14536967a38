"""One training step of the AR model on stored indices (SPEC sections 4 and 7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gigatok.config.sections import TrainGeneratorSection
from gigatok.models.ar import ArModel
from gigatok.optim import Ema, build_adamw, learning_rate
from gigatok.runtime.device import autocast, full_precision, send
from gigatok.training.distributed.accumulate import mean_terms, own_random
from gigatok.training.distributed.checkpoint import (
    empty_like_own,
    empty_optimizer,
    load_ema,
    load_module,
    load_optimizer,
)
from gigatok.training.distributed.setup import ALONE, Processes
from gigatok.training.distributed.wrap import WHOLE_BATCH, Parallel, synchronised
from gigatok.training.precision import gradient_scaler
from gigatok.training.update import Update

_VALIDATION_BATCH = 64
_DROPOUT_STREAM = 4
"""Sets dropout's random numbers apart from the shuffle's and the crops', which have the same seed."""


class GeneratorRecipe:
    """Trains ``model`` on (indices, class) pairs.

    Args:
        model: on its device; left in training mode.
        section: the run's settings, overrides applied.
        parallel: how a step is spread over processes and micro-batches.
        seed: of the run; dropout of a batch that is taken in parts is a function of it, the step and the place.
    """

    def __init__(
        self, model: ArModel, section: TrainGeneratorSection, parallel: Parallel = WHOLE_BATCH, *, seed: int = 0
    ) -> None:
        self.model = model.train()
        self.section = section
        self.device = next(model.parameters()).device
        self.parallel = parallel
        self.seed = seed
        self._model = parallel.wrap(model)
        self.optimizer = build_adamw(model, section.optimizer)
        scaler = gradient_scaler(self.device, section.precision)
        self.update = Update(model, self.optimizer, scaler, section.optimizer.gradient_clip)
        self.ema = Ema(model, section.ema_decay) if section.ema_decay else None

    def step(self, step: int, indices: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Update on this process's share of one batch: indices (B, N) and classes (B,).

        Returns:
            Detached terms, means over the whole batch.
        """
        rate = learning_rate(self.section.optimizer, step, self.section.steps)
        parts = self.parallel.parts(len(indices))
        dropped = self._dropped_classes(len(classes))
        seed = self._dropout_seed(step, parts)
        losses = []
        for part in parts:
            first = self.parallel.first(part, len(indices))
            with (
                synchronised(self._model, part is parts[-1]),
                own_random(seed, first, self.device),
                autocast(self.device, self.section.precision),
            ):
                logits = self._model(indices[part], classes[part], None if dropped is None else dropped[part])
            loss = token_cross_entropy(logits, indices[part])
            with synchronised(self._model, part is parts[-1]):
                self.update.add(loss / len(parts))
            losses.append({"loss": loss.detach()})
        norm = self.update.apply(rate)
        if self.ema is not None:
            self.ema.update()
        return self.parallel.processes.mean({**mean_terms(losses), "gradient_norm": norm})

    def _dropped_classes(self, count: int) -> Tensor | None:
        """(count,) bool: drawn for the whole batch, of which this process takes its share, from the CPU's generator.

        The same on one GPU, on several, and in micro-batches. One CPU that takes a batch at once draws the network's
        dropout from that generator as well, so that its later batches drop other classes, unless ``dropout`` is 0.
        """
        if not self.model.config.class_dropout:
            return None
        batch = count * self.parallel.processes.world
        draws = torch.rand(batch)[self.parallel.processes.share.of(batch)]
        return send(draws < self.model.config.class_dropout, self.device)

    def _dropout_seed(self, step: int, parts: Sequence[slice]) -> int | None:
        """Seed of this step's dropout, equal on all processes. ``None`` where the whole batch is one pass: dropout then
        continues with torch's default generator. Nothing is drawn from it here, since classes come from it too."""
        if not self.model.config.dropout or (len(parts) == 1 and self.parallel.processes.world == 1):
            return None
        return int(np.random.default_rng([self.seed, _DROPOUT_STREAM, step]).integers(2**62))

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; under FSDP2 the shards of this process."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.update.scaler.state_dict(),
        }
        if self.ema is not None:
            state["ema"] = self.ema.state_dict()
        return state

    def empty_state(self, shapes: dict[str, Any]) -> dict[str, Any]:
        """Tensors to read a saved state into, of which ``shapes`` holds meta tensors: shards where there are shards."""
        found = dict(shapes)
        found["model"] = empty_like_own(shapes["model"], self.model.state_dict())
        found["optimizer"] = empty_optimizer(self.optimizer, shapes["optimizer"])
        if self.ema is not None:
            found["ema"] = empty_like_own(shapes["ema"], self.ema.averages)
        return found

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``."""
        load_module(self.model, state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.update.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            load_ema(self.ema, state["ema"])


def token_cross_entropy(logits: Tensor, indices: Tensor) -> Tensor:
    """Mean cross-entropy in nats a token; logits (B, N, V), indices (B, N)."""
    return F.cross_entropy(logits.float().flatten(0, 1), indices.flatten())


@full_precision()
@torch.inference_mode()
def validation_loss(
    model: ArModel, indices: Tensor, classes: Tensor, *, device: torch.device, processes: Processes = ALONE
) -> float:
    """Mean cross-entropy in nats a token over indices (m, N) with classes (m,), every token weighing the same.

    ``processes`` share the batches, and add them up in the order that one process has.
    """
    was_training = model.training
    model.eval()
    batches = list(zip(*(torch.split(values, _VALIDATION_BATCH) for values in (indices, classes)), strict=True))
    rounds = math.ceil(len(batches) / processes.world)
    totals = [0.0] * rounds
    for turn in range(rounds):
        number = turn * processes.world + processes.rank
        part, labels = batches[min(number, len(batches) - 1)]  # shards compute in step: the last one again
        part = part.to(device)
        totals[turn] = float(token_cross_entropy(model(part, labels.to(device)), part)) * len(part)
    model.train(was_training)
    if processes.world > 1:
        gathered = processes.gather(torch.tensor(totals, dtype=torch.float64, device=processes.device))
        totals = gathered.view(processes.world, rounds).t().flatten().tolist()
    total = 0.0
    for value in totals[: len(batches)]:  # ``sum`` rounds otherwise from Python 3.12 on
        total += value
    return total / len(indices)
