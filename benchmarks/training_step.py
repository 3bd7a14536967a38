"""One training step of S-S with all its losses: python benchmarks/training_step.py [--cases 128px-fp32 ...].

Reconstruction, LPIPS on VGG16, adversary, entropy and alignment, as in the paper; weights are random, which changes no
time. Ours recomputes norms (``launch.recompute: norms``). Plain is the textbook forward pass, the quantizer that keeps
whole matrices, LPIPS whose target pass keeps a graph like every other, and an update tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from measuring import Case, main
from plain.quantizer import quantize
from plain.tokenizer import forward
from torch import Tensor, nn

from gigatok.config.sections import LossSection, TokenizerModelSection, TrainTokenizerSection
from gigatok.losses import hinge_discriminator_loss, hinge_generator_loss, semantic_loss
from gigatok.models import TOKENIZERS, Tokenizer
from gigatok.models.discriminator import PatchGan
from gigatok.models.quantizer import rotation_trick
from gigatok.teachers.lpips import STAGES, Lpips, VggFeatures
from gigatok.training.distributed.wrap import Parallel
from gigatok.training.tokenizer_recipe import TokenizerRecipe

BATCH = 2
TEMPERATURE = 0.01


def case(side: int, precision: str) -> Case:
    """A step on two images; ours is the recipe that the pipeline trains with."""
    section = TrainTokenizerSection(
        model=TokenizerModelSection(sizes={"S": TOKENIZERS["S-S"].encoder}),
        loss=LossSection(),
        steps=1000,
        batch_size=BATCH,
        precision=precision,  # type: ignore[arg-type]
    )
    images = torch.rand(BATCH, 3, side, side) * 2 - 1
    perceptual = _perceptual()
    tokenizers = []
    for _ in range(2):
        torch.manual_seed(0)
        tokenizers.append(Tokenizer(TOKENIZERS["S-S"].replace(image_size=side), TEMPERATURE))
    targets = torch.randn(BATCH, tokenizers[0].config.grid ** 2, 768)
    spread = Parallel(recompute="norms", precision=section.precision)
    recipe = TokenizerRecipe(tokenizers[0], section, PatchGan(), perceptual, spread)
    after = 1 + section.loss.discriminator.start_step
    textbook = _Textbook(tokenizers[1], PatchGan(), perceptual, section)

    def ours() -> float:
        return float(recipe.step(after, images, targets)["l2"])

    def plain() -> float:
        return textbook.step(images, targets)

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32

    def agree(first: float, second: float) -> bool:
        return abs(first - second) < 0.02 * abs(second)

    return Case(ours, plain, agree, dtype=dtype, growth={f"side, {precision}": side}, keeps=True)


class _Textbook:
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
        rate = section.optimizer.learning_rate
        self.optimizer = torch.optim.AdamW(tokenizer.parameters(), lr=rate, foreach=False)
        self.adversary_optimizer = torch.optim.AdamW(adversary.parameters(), lr=rate, foreach=False)

    def step(self, images: Tensor, targets: Tensor) -> float:
        losses: list[Tensor] = []

        def codes(z: Tensor) -> Tensor:
            with torch.autocast("cpu", enabled=False):
                flat = F.normalize(z.float().flatten(0, 1), dim=-1)
                indices, loss = quantize(flat, self.tokenizer.quantizer.codebook, TEMPERATURE)
                losses.append(loss)
                z_q = F.normalize(self.tokenizer.quantizer.codebook, dim=-1)[indices]
                return rotation_trick(flat, z_q).view_as(z)

        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            out = forward(self.tokenizer, images, codes)
            judged = self.adversary(out.reconstruction)
        made = out.reconstruction.float()
        l2 = F.mse_loss(made, images)
        loss = l2 + self.perceptual(made, images).mean() + losses[0] + semantic_loss(out.alignment.float(), targets)
        loss = loss + self.weights.adversarial_weight * hinge_generator_loss(judged.float())
        self._update(self.optimizer, self.tokenizer, loss)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            real, fake = self.adversary(images), self.adversary(made.detach())
        self._update(self.adversary_optimizer, self.adversary, hinge_discriminator_loss(real.float(), fake.float()))
        return float(l2.detach())

    def _update(self, optimizer: torch.optim.Optimizer, module: nn.Module, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), self.clip, foreach=False)
        optimizer.step()


def _perceptual() -> Lpips:
    heads = {f"lin{i}.model.1.weight": torch.rand(1, channels[-1], 1, 1) for i, channels in enumerate(STAGES)}
    return Lpips(VggFeatures().state_dict(), heads, "random")


CASES: dict[str, Callable[[], Case]] = {
    f"{side}px-{precision}": partial(case, side, precision) for precision in ("fp32", "bf16") for side in (64, 128, 256)
}

if __name__ == "__main__":
    main("S-S training step, 2 images", CASES)
