"""One training step of S-S with all its losses: python benchmarks/training_step.py [--cases 128px-fp32 ...].

Reconstruction, LPIPS on VGG16, adversary, entropy and alignment, as in the paper; weights are random, which changes no
time. Ours recomputes norms (``launch.recompute: norms``). Plain is the textbook forward pass, the quantizer that keeps
whole matrices, LPIPS as published, all losses under autocast in bf16 as in LlamaGen, and an update tensor by
tensor.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from measuring import Case, main
from plain.lpips import lpips
from plain.quantizer import Quantized, quantize
from plain.tokenizer import forward
from torch import Tensor, nn

from gigatok.config import TokenizerConfig
from gigatok.config.models import TokenizerModelSection
from gigatok.config.sections import LossSection, OptimizerSection, TrainTokenizerSection
from gigatok.losses import hinge_discriminator_loss, hinge_generator_loss, semantic_loss
from gigatok.models import TOKENIZERS, Tokenizer
from gigatok.models.discriminator import PatchGan
from gigatok.models.quantizer import rotation_trick
from gigatok.planning.steps import trace_tokenizer
from gigatok.teachers.lpips import STAGES, Lpips, VggFeatures
from gigatok.training.distributed.wrap import Parallel
from gigatok.training.tokenizer_recipe import TokenizerRecipe

BATCH = 2
ENTROPY_WEIGHT = 0.005
"""That of the paper's XL-XXL; the smaller tokenizers of the paper have none."""
NEAR = {torch.float32: 0.02, torch.bfloat16: 0.1}
"""By what share losses, gradient norms and updates may differ, at most."""
ALIKE = {torch.float32: 0.95, torch.bfloat16: 0.5}
"""Cosine of the angle between the two updates, at least. AdamW's first update is the gradient's sign: where a gradient
is little more than rounding, so is its sign."""


class Taken(NamedTuple):
    """A step, and the networks after it."""

    terms: dict[str, float]
    networks: tuple[nn.Module, ...]


def case(side: int, precision: str, shape: TokenizerConfig = TOKENIZERS["S-S"]) -> Case:
    """A step on two images; ours is the recipe that the pipeline trains with."""
    config = shape.replace(image_size=side)
    section = TrainTokenizerSection(
        model=TokenizerModelSection(sizes={"S": shape.encoder}),
        loss=LossSection(entropy_weight=ENTROPY_WEIGHT),
        optimizer=OptimizerSection(schedule="constant"),
        steps=1000,
        batch_size=BATCH,
        precision=precision,  # type: ignore[arg-type]
    )
    images = torch.rand(BATCH, 3, side, side) * 2 - 1
    perceptual = _perceptual()
    before = _networks(config, section)
    (tokenizer, adversary), (other, other_adversary) = copy.deepcopy(before), copy.deepcopy(before)
    targets = torch.randn(BATCH, config.grid**2, config.alignment_dim)
    spread = Parallel(recompute="norms", precision=section.precision)
    recipe = TokenizerRecipe(tokenizer, section, adversary, perceptual, spread)
    after = 1 + section.loss.discriminator.start_step
    textbook = Textbook(other, other_adversary, perceptual, section)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32

    def ours() -> Taken:
        terms = recipe.step(after, images, targets)
        return Taken({name: float(value) for name, value in terms.items()}, (tokenizer, adversary))

    def plain() -> Taken:
        return Taken(textbook.step(images, targets), (other, other_adversary))

    def agree(first: Taken, second: Taken) -> bool:
        return not disagreements(first, second, before, dtype)

    return Case(
        ours,
        plain,
        agree,
        flops=float(trace_tokenizer(config, section, None, batch=BATCH, step=after).flops),
        dtype=dtype,
        growth={f"side, {precision}": side},
        keeps=True,
    )


def disagreements(first: Taken, second: Taken, before: tuple[nn.Module, ...], dtype: torch.dtype) -> dict[str, str]:
    """Names of losses, gradient norms and updates that differ by more than rounding, and by how much.

    ``before``: the networks, tokenizer and discriminator, that both steps started from.
    """
    found = {}
    for name, expected in second.terms.items():
        value = first.terms.get(name, math.nan)
        if not abs(value - expected) < NEAR[dtype] * abs(expected) + 1e-6:
            found[name] = f"{value} against {expected}"
    for name, start, a, b in zip(("tokenizer", "discriminator"), before, first.networks, second.networks, strict=True):
        updates = _compared(start, a, b)
        if not (
            abs(updates.length - updates.expected) < NEAR[dtype] * updates.expected and updates.cosine > ALIKE[dtype]
        ):
            found[f"update of the {name}"] = str(updates)
    return found


class Updates(NamedTuple):
    """Lengths of two updates and the cosine of the angle between them; NaN or infinite where one has no length."""

    length: float
    expected: float
    cosine: float


@torch.no_grad()
def _compared(start: nn.Module, first: nn.Module, second: nn.Module) -> Updates:
    sums = torch.zeros(3, dtype=torch.float64)
    for zero, a, b in zip(*(network.parameters() for network in (start, first, second)), strict=True):
        update, expected = (a - zero).flatten(), (b - zero).flatten()
        sums += torch.stack([update @ update, expected @ expected, update @ expected]).double()
    length, expected_length = sums[:2].sqrt()
    return Updates(float(length), float(expected_length), float(sums[2] / (length * expected_length)))


def _networks(config: TokenizerConfig, section: TrainTokenizerSection) -> tuple[Tokenizer, PatchGan]:
    torch.manual_seed(0)
    return Tokenizer(config, section.loss.entropy_temperature), PatchGan()


class Textbook:
    """The same step without care for time."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        adversary: PatchGan,
        perceptual: Lpips,
        section: TrainTokenizerSection,
    ) -> None:
        self.tokenizer, self.adversary, self.perceptual, self.weights = tokenizer, adversary, perceptual, section.loss
        self.clip = section.optimizer.gradient_clip
        self.half = section.precision == "bf16"
        self.optimizer, self.adversary_optimizer = (
            torch.optim.AdamW(
                module.parameters(),
                lr=section.optimizer.learning_rate,
                betas=section.optimizer.betas,
                weight_decay=section.optimizer.weight_decay,
                foreach=False,
            )
            for module in (tokenizer, adversary)
        )

    def step(self, images: Tensor, targets: Tensor) -> dict[str, float]:
        """Both updates; losses, unweighted, and gradient norms, under the names that the recipe gives them."""
        found: list[Quantized] = []

        def codes(z: Tensor) -> Tensor:
            with torch.autocast("cpu", enabled=False):
                flat = F.normalize(z.float().flatten(0, 1), dim=-1)
                codebook = self.tokenizer.quantizer.codebook
                found.append(quantize(flat, codebook, self.weights.entropy_temperature))
                z_q = F.normalize(codebook, dim=-1)[found[0].indices]
                return rotation_trick(flat, z_q).view_as(z)

        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            out = forward(self.tokenizer, images, codes)
            made, quantized, weights = out.reconstruction, found[0], self.weights
            losses = {
                "l2": (F.mse_loss(made.float(), images), weights.l2_weight),
                "perceptual": (lpips(self.perceptual, made, images).mean(), weights.perceptual_weight),
                "codebook": (quantized.codebook_loss, weights.codebook_weight),
                "commitment": (quantized.commitment_loss, weights.commitment_weight),
                "entropy": (quantized.entropy_loss, weights.entropy_weight),
                "semantic": (semantic_loss(out.alignment.float(), targets), weights.semantic_weight),
                "adversarial": (hinge_generator_loss(self.adversary(made).float()), weights.adversarial_weight),
            }
        loss = torch.stack([weight * value for value, weight in losses.values()]).sum()
        terms = {name: value.detach() for name, (value, _) in losses.items()}
        terms["gradient_norm"] = self._update(self.optimizer, self.tokenizer, loss)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            real, fake = self.adversary(images), self.adversary(made.detach())
        judged = hinge_discriminator_loss(real.float(), fake.float())
        judged_loss = weights.discriminator_weight * judged
        terms["discriminator"] = judged.detach()
        terms["discriminator_gradient_norm"] = self._update(self.adversary_optimizer, self.adversary, judged_loss)
        return {name: float(value) for name, value in terms.items()}

    def _update(self, optimizer: torch.optim.Optimizer, module: nn.Module, loss: Tensor) -> Tensor:
        """The norm of the gradient before clipping."""
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), self.clip, foreach=False)
        optimizer.step()
        return norm


@cache
def _perceptual() -> Lpips:
    heads = {f"lin{i}.model.1.weight": torch.rand(1, channels[-1], 1, 1) for i, channels in enumerate(STAGES)}
    return Lpips(VggFeatures().state_dict(), heads, "random")


CASES: dict[str, Callable[[], Case]] = {
    f"{side}px-{precision}": partial(case, side, precision) for precision in ("fp32", "bf16") for side in (64, 128, 256)
}

if __name__ == "__main__":
    main("S-S training step, 2 images", CASES)
