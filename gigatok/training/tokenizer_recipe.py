"""One training step of a tokenizer: generator side, then discriminator side (SPEC sections 6 and 7).

The recipe owns everything that a resumed run needs besides the data cursor: both networks, both optimizers,
the gradient scalers, the EMA and the recent codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gigatok.config.sections import TrainTokenizerSection
from gigatok.losses import (
    feature_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
    l1_loss,
    l2_loss,
    semantic_loss,
)
from gigatok.models.tokenizer import Tokenizer, TokenizerOutput
from gigatok.optim import Ema, build_adamw, learning_rate
from gigatok.training.code_usage import RecentCodes
from gigatok.training.precision import autocast, gradient_scaler
from gigatok.training.update import Update


class TokenizerRecipe:
    """Trains ``tokenizer`` one batch at a time.

    Args:
        tokenizer: on its device; left in training mode.
        section: the run's settings, overrides applied.
        discriminator: logits for images, or ``None`` when ``adversarial_weight`` is 0.
        perceptual: frozen distance ``(a, b) -> (B,)``, or ``None`` when ``perceptual_weight`` is 0.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        section: TrainTokenizerSection,
        discriminator: nn.Module | None,
        perceptual: nn.Module | None,
    ) -> None:
        self.tokenizer = tokenizer.train()
        self.section = section
        self.discriminator = discriminator.train() if discriminator is not None else None
        self.perceptual = perceptual
        self.device = next(tokenizer.parameters()).device
        self.optimizer = build_adamw(tokenizer, section.optimizer)
        self.discriminator_optimizer = (
            build_adamw(discriminator, section.optimizer) if discriminator is not None else None
        )
        self.scaler = gradient_scaler(self.device, section.precision)
        self.discriminator_scaler = gradient_scaler(self.device, section.precision)
        self.ema = Ema(tokenizer, section.ema_decay) if section.ema_decay else None
        self.codes = RecentCodes(section.model.codebook_size)

    def step(self, step: int, images: Tensor, targets: Tensor | None) -> dict[str, Tensor]:
        """Update on one batch.

        Args:
            step: updates done before this one.
            images: (B, 3, H, W) in [-1, 1].
            targets: (B, L, C) teacher features, or ``None`` without semantic regularization.

        Returns:
            Named, detached loss terms (weights not applied) and the gradient norm before clipping.
        """
        rate = learning_rate(self.section.optimizer, step, self.section.steps)
        self._restart_codes(step, images)
        shortcut = self.section.loss.shortcut
        with autocast(self.device, self.section.precision):
            out = self.tokenizer(images, shortcut=shortcut is not None and step < shortcut.image_end_step)
        out = TokenizerOutput(*(_float(part) for part in out))
        terms, loss = self._generator_loss(step, images, targets, out)
        norm = Update(self.tokenizer, self.optimizer, self.scaler, self.section.optimizer.gradient_clip).step(
            loss, rate
        )
        if self.ema is not None:
            self.ema.update(self.tokenizer)
        terms["loss"] = loss.detach()
        terms["gradient_norm"] = norm
        if self._adversarial(step):
            terms.update(self._discriminator_step(rate, images, out.reconstruction.detach()))
        self.codes.add(out.indices)
        return terms

    def _generator_loss(
        self, step: int, images: Tensor, targets: Tensor | None, out: TokenizerOutput
    ) -> tuple[dict[str, Tensor], Tensor]:
        weights = self.section.loss
        terms: dict[str, Tensor] = {}
        total = torch.zeros((), device=images.device)

        def add(name: str, value: Tensor, weight: float) -> None:
            nonlocal total
            terms[name] = value.detach()
            total = total + weight * value

        add("l2", l2_loss(out.reconstruction, images), weights.l2_weight)
        if weights.l1_weight:
            add("l1", l1_loss(out.reconstruction, images), weights.l1_weight)
        if self.perceptual is not None:
            add("perceptual", self.perceptual(out.reconstruction, images).mean(), weights.perceptual_weight)
        add("codebook", out.codebook.codebook_loss, weights.codebook_weight)
        add("commitment", out.codebook.commitment_loss, weights.commitment_weight)
        if out.codebook.entropy_loss is not None:
            add("entropy", out.codebook.entropy_loss, weights.entropy_weight)
        if targets is not None and out.alignment is not None:
            add("semantic", semantic_loss(out.alignment, targets), weights.semantic_weight)
        self._add_shortcut(step, images, out, add)
        if self._adversarial(step) and self.discriminator is not None:
            with _frozen(self.discriminator), autocast(self.device, self.section.precision):
                logits = self.discriminator(out.reconstruction)
            add("adversarial", hinge_generator_loss(logits.float()), weights.adversarial_weight)
        return terms, total

    def _add_shortcut(self, step: int, images: Tensor, out: TokenizerOutput, add: Any) -> None:
        shortcut = self.section.loss.shortcut
        if shortcut is None:
            return
        if out.shortcut is not None:
            add("shortcut_l2", l2_loss(out.shortcut, images), shortcut.image_weight)
            if self.perceptual is not None:
                add("shortcut_perceptual", self.perceptual(out.shortcut, images).mean(), shortcut.image_weight)
        if step < shortcut.feature_end_step:
            add("shortcut_feature", feature_loss(out.decoder_map, out.encoder_map), shortcut.feature_weight)

    def _discriminator_step(self, rate: float, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        if self.discriminator is None or self.discriminator_optimizer is None:
            return {}
        with autocast(self.device, self.section.precision):
            real_logits = self.discriminator(real)
            fake_logits = self.discriminator(fake)
        loss = hinge_discriminator_loss(real_logits.float(), fake_logits.float())
        clip = self.section.optimizer.gradient_clip
        update = Update(self.discriminator, self.discriminator_optimizer, self.discriminator_scaler, clip)
        norm = update.step(self.section.loss.discriminator_weight * loss, rate)
        return {
            "discriminator": loss.detach(),
            # not finite, it keeps weights that this step has spoilt from being saved
            "discriminator_gradient_norm": norm,
            "discriminator_real": real_logits.detach().float().mean(),
            "discriminator_fake": fake_logits.detach().float().mean(),
        }

    def _adversarial(self, step: int) -> bool:
        return self.discriminator is not None and step >= self.section.loss.discriminator.start_step

    @torch.no_grad()
    def _restart_codes(self, step: int, images: Tensor) -> None:
        """Give codes unused since the last restart the place of an encoder output (not in the paper).

        At step 0 no code was used yet: the whole codebook starts from data.
        """
        restart = self.section.codebook_restart
        if step < restart.until_step and step % restart.every == 0:
            continuous = self.tokenizer.encode_continuous(images)
            self.tokenizer.quantizer.restart_dead_codes(continuous, self.codes.take_used())

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        state: dict[str, Any] = {
            "tokenizer": self.tokenizer.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "codes": self.codes.state_dict(),
        }
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            state["discriminator"] = self.discriminator.state_dict()
            state["discriminator_optimizer"] = self.discriminator_optimizer.state_dict()
            state["discriminator_scaler"] = self.discriminator_scaler.state_dict()
        if self.ema is not None:
            state["ema"] = self.ema.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``."""
        self.tokenizer.load_state_dict(state["tokenizer"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.codes.load_state_dict(state["codes"])
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            self.discriminator.load_state_dict(state["discriminator"])
            self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
            self.discriminator_scaler.load_state_dict(state["discriminator_scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Gradients flow through the module to its input, not into its parameters."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


def _float(part: Any) -> Any:
    """Losses are computed in float32 whatever the forward pass used."""
    return part.float() if isinstance(part, Tensor) and part.is_floating_point() else part
