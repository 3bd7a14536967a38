"""One training step of a tokenizer: generator side, then discriminator side (SPEC sections 6 and 7).

The recipe owns everything that a resumed run needs besides the data cursor: both networks, both optimizers,
the gradient scalers, the EMA and the recent codes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gigatok.config.sections import TrainTokenizerSection
from gigatok.losses import feature_loss, l1_loss, l2_loss, semantic_loss
from gigatok.models.tokenizer import Tokenizer, TokenizerOutput
from gigatok.optim import Ema, build_adamw, learning_rate
from gigatok.runtime.device import autocast
from gigatok.training.code_usage import RecentCodes
from gigatok.training.distributed.accumulate import mean_terms
from gigatok.training.distributed.adversary import Adversary
from gigatok.training.distributed.checkpoint import (
    empty_like_own,
    empty_optimizer,
    load_ema,
    load_module,
    load_optimizer,
)
from gigatok.training.distributed.wrap import WHOLE_BATCH, Parallel, reshard, synchronised, whole
from gigatok.training.precision import gradient_scaler
from gigatok.training.update import Update


class TokenizerRecipe:
    """Trains ``tokenizer`` one batch at a time.

    Args:
        tokenizer: on its device; left in training mode.
        section: the run's settings, overrides applied.
        discriminator: logits for images, or ``None`` when ``adversarial_weight`` is 0.
        perceptual: frozen distance ``(a, b) -> (B,)``, or ``None`` when ``perceptual_weight`` is 0.
        parallel: how a step is spread over processes and micro-batches.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        section: TrainTokenizerSection,
        discriminator: nn.Module | None,
        perceptual: nn.Module | None,
        parallel: Parallel = WHOLE_BATCH,
    ) -> None:
        self.tokenizer = tokenizer.train()
        self.section = section
        self.perceptual = None if perceptual is None else parallel.compiled(perceptual)
        self.parallel = parallel
        self.device = next(tokenizer.parameters()).device
        self._model = parallel.wrap(tokenizer)
        self.optimizer = build_adamw(tokenizer, section.optimizer)
        scaler = gradient_scaler(self.device, section.precision)
        self.update = Update(tokenizer, self.optimizer, scaler, section.optimizer.gradient_clip)
        self.adversary = Adversary(discriminator.train(), section, parallel) if discriminator is not None else None
        self.ema = Ema(tokenizer, section.ema_decay) if section.ema_decay else None
        self.codes = RecentCodes(section.model.codebook_size, device=self.device)

    def step(self, step: int, images: Tensor, targets: Tensor | None) -> dict[str, Tensor]:
        """Update on this process's share of one batch.

        Args:
            step: updates done before this one.
            images: (B, 3, H, W) in [-1, 1].
            targets: (B, L, C) teacher features, or ``None`` without semantic regularization.

        Returns:
            Named, detached loss terms (weights not applied) and gradient norms before clipping, of the whole batch.
        """
        rate = learning_rate(self.section.optimizer, step, self.section.steps)
        self._restart_codes(step, images)
        adversary = self.adversary if step >= self.section.loss.discriminator.start_step else None
        if adversary is not None:
            adversary.begin(images)
        parts = self.parallel.parts(len(images))
        reports, fakes, indices = [], [], []
        for part in parts:
            with synchronised(self._model, part is parts[-1]):
                out = self._forward(step, images[part])
                target = None if targets is None else targets[part]
                terms, loss = self._generator_loss(step, images[part], target, out, adversary, part)
                self.update.add(loss / len(parts))
            reports.append({**terms, "loss": loss.detach()})
            fakes.append(out.reconstruction.detach())
            indices.append(out.indices)
        terms = {**mean_terms(reports), "gradient_norm": self.update.apply(rate)}
        if self.ema is not None:
            self.ema.update()
        if adversary is not None:
            terms.update(adversary.step(rate, images, fakes))
        self.codes.add(self.parallel.processes.gather(torch.cat(indices)))
        return self.parallel.processes.mean(terms)

    def _forward(self, step: int, images: Tensor) -> TokenizerOutput:
        """Losses are computed in float32 whatever the forward pass uses."""
        shortcut = self.section.loss.shortcut
        with autocast(self.device, self.section.precision):
            out = self._model(images, shortcut=shortcut is not None and step < shortcut.image_end_step)
        return TokenizerOutput(*(_float(part) for part in out))

    def _generator_loss(
        self,
        step: int,
        images: Tensor,
        targets: Tensor | None,
        out: TokenizerOutput,
        adversary: Adversary | None,
        part: slice,
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
            add("perceptual", self._perceived(out.reconstruction, images), weights.perceptual_weight)
        add("codebook", out.codebook.codebook_loss, weights.codebook_weight)
        add("commitment", out.codebook.commitment_loss, weights.commitment_weight)
        if out.codebook.entropy_loss is not None:
            add("entropy", out.codebook.entropy_loss, weights.entropy_weight)
        if targets is not None and out.alignment is not None:
            add("semantic", semantic_loss(out.alignment, targets), weights.semantic_weight)
        self._add_shortcut(step, images, out, add)
        if adversary is not None:
            add("adversarial", adversary.generator_loss(out.reconstruction, part), weights.adversarial_weight)
        return terms, total

    def _add_shortcut(self, step: int, images: Tensor, out: TokenizerOutput, add: Any) -> None:
        shortcut = self.section.loss.shortcut
        if shortcut is None:
            return
        if out.shortcut is not None:
            add("shortcut_l2", l2_loss(out.shortcut, images), shortcut.image_weight)
            if self.perceptual is not None:
                add("shortcut_perceptual", self._perceived(out.shortcut, images), shortcut.image_weight)
        if step < shortcut.feature_end_step:
            add("shortcut_feature", feature_loss(out.decoder_map, out.encoder_map), shortcut.feature_weight)

    def _perceived(self, made: Tensor, images: Tensor) -> Tensor:
        """Mean perceptual distance. Its network runs in the forward pass's precision, as LlamaGen's training has it."""
        assert self.perceptual is not None
        with autocast(self.device, self.section.precision):
            distances: Tensor = self.perceptual(made, images)
            return distances.mean()

    @torch.no_grad()
    def _restart_codes(self, step: int, images: Tensor) -> None:
        """Give codes unused since the last restart the place of an encoder output (not in the paper).

        At step 0 no code was used yet: the whole codebook starts from data.
        """
        restart = self.section.codebook_restart
        if step < restart.until_step and step % restart.every == 0:
            with autocast(self.device, self.section.precision):
                parts = [self.tokenizer.encode_continuous(images[part]) for part in self.parallel.parts(len(images))]
            continuous = self.parallel.processes.gather(torch.cat(parts).float())
            reshard(self.tokenizer)
            with whole(self.tokenizer.quantizer, "codebook"):
                self.tokenizer.quantizer.restart_dead_codes(continuous, self.codes.take_used())

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; under FSDP2 the shards of this process."""
        state: dict[str, Any] = {
            "tokenizer": self.tokenizer.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.update.scaler.state_dict(),
            "codes": self.codes.state_dict(),
        }
        if self.adversary is not None:
            state.update(self.adversary.state_dict())
        if self.ema is not None:
            state["ema"] = self.ema.state_dict()
        return state

    def empty_state(self, shapes: dict[str, Any]) -> dict[str, Any]:
        """Tensors to read a saved state into, of which ``shapes`` holds meta tensors: shards where there are shards."""
        found = dict(shapes)
        found["tokenizer"] = empty_like_own(shapes["tokenizer"], self.tokenizer.state_dict())
        found["optimizer"] = empty_optimizer(self.optimizer, shapes["optimizer"])
        if self.ema is not None:
            found["ema"] = empty_like_own(shapes["ema"], self.ema.averages)
        return found

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``."""
        load_module(self.tokenizer, state["tokenizer"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.update.scaler.load_state_dict(state["scaler"])
        self.codes.load_state_dict(state["codes"])
        if self.adversary is not None:
            self.adversary.load_state_dict(state)
        if self.ema is not None:
            load_ema(self.ema, state["ema"])


def _float(part: Any) -> Any:
    """Losses are computed in float32 whatever the forward pass used."""
    return part.float() if isinstance(part, Tensor) and part.is_floating_point() else part
