"""The discriminator's side of a step, on a batch in parts (SPEC section 6).

The discriminator is small beside the tokenizer: each process has a whole copy, under FSDP2 too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn

from gigatok.config.sections import TrainTokenizerSection
from gigatok.losses import hinge_discriminator_loss, hinge_generator_loss
from gigatok.optim import build_adamw
from gigatok.runtime.device import autocast
from gigatok.training.distributed.accumulate import HeldBuffers, mean_terms
from gigatok.training.distributed.wrap import Parallel, synchronised
from gigatok.training.precision import gradient_scaler
from gigatok.training.update import Update

Pass = Literal["generator", "real", "fake"]


class Adversary:
    """A discriminator and its optimizer.

    Args:
        module: logits for images, on its device, in training mode. Where it draws random numbers it offers
            ``draw(images, count)``, and takes what that gives.
        section: the run's settings.
        parallel: how a step is spread over processes and micro-batches.
    """

    def __init__(self, module: nn.Module, section: TrainTokenizerSection, parallel: Parallel) -> None:
        self.module = parallel.compiled(module)
        self.section = section
        self.parallel = parallel
        self.device = next(module.parameters()).device
        self.optimizer = build_adamw(module, section.optimizer)
        self._judge = parallel.replicate(module)
        scaler = gradient_scaler(self.device, section.precision)
        self.update = Update(module, self.optimizer, scaler, section.optimizer.gradient_clip)
        self._buffers = HeldBuffers()
        self._draws: dict[Pass, Any] = {}

    def begin(self, images: Tensor) -> None:
        """Draw the random numbers of this batch, of which ``images`` (B, 3, H, W) are this process's share."""
        draw = getattr(self.module, "draw", None)
        if draw is None:
            return
        world = self.parallel.processes.world
        names: tuple[Pass, ...] = ("generator", "real", "fake")
        self._draws = {name: draw(images, world * len(images)) for name in names}
        self._first = self.parallel.processes.share.of(world * len(images)).start

    def generator_loss(self, fake: Tensor, part: slice) -> Tensor:
        """Unweighted, for the reconstructions (B, 3, H, W) of micro-batch ``part``; no gradient stays here."""
        with _frozen(self.module):
            return hinge_generator_loss(self._logits(self.module, "generator", fake, part))

    def step(self, rate: float, real: Tensor, fakes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Update on images and their reconstructions, one tensor a micro-batch; detached terms of this share."""
        parts = self.parallel.parts(len(real))
        reports = []
        for part, fake in zip(parts, fakes, strict=True):
            with synchronised(self._judge, part is parts[-1]):
                real_logits = self._logits(self._judge, "real", real[part], part)
                fake_logits = self._logits(self._judge, "fake", fake, part)
                loss = hinge_discriminator_loss(real_logits, fake_logits)
                self.update.add(self.section.loss.discriminator_weight * loss / len(parts))
            reports.append(
                {
                    "discriminator": loss.detach(),
                    "discriminator_real": real_logits.detach().mean(),
                    "discriminator_fake": fake_logits.detach().mean(),
                }
            )
        # not finite, the norm keeps weights that this step has spoilt from being saved
        return {**mean_terms(reports), "discriminator_gradient_norm": self.update.apply(rate)}

    def _logits(self, discriminator: nn.Module, name: Pass, images: Tensor, part: slice) -> Tensor:
        held = self._buffers.of(self.module, name, first=part.start == 0)
        with held, autocast(self.device, self.section.precision):
            if not self._draws:
                logits: Tensor = discriminator(images)
            else:
                rows = slice(self._first + part.start, self._first + part.start + len(images))
                logits = discriminator(images, self._draws[name].part(rows))
        return logits.float()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "discriminator": self.module.state_dict(),
            "discriminator_optimizer": self.optimizer.state_dict(),
            "discriminator_scaler": self.update.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``."""
        self.module.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["discriminator_optimizer"])
        self.update.scaler.load_state_dict(state["discriminator_scaler"])


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Gradients flow through the module to its input, not into its parameters."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
