"""A discriminator with spectral norm and random numbers of its own gives the same on a batch in parts."""

from __future__ import annotations

from typing import NamedTuple

import cases
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gigatok.training.distributed.adversary import Adversary
from gigatok.training.distributed.wrap import Parallel


class Draws(NamedTuple):
    values: Tensor

    def part(self, rows: slice) -> Draws:
        return Draws(self.values[rows])


class Judge(nn.Module):
    """As the DINO discriminator: power iterations in every pass, random numbers for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = spectral_norm(nn.Conv2d(3, 2, 3))

    def draw(self, images: Tensor, count: int) -> Draws:
        return Draws(torch.rand(count, 1, 1, 1))

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        logits: Tensor = self.layer(images * draws.values)
        return logits


def trained(micro_batch: int | None) -> tuple[list[float], dict[str, Tensor]]:
    torch.manual_seed(0)
    parallel = Parallel(micro_batch=micro_batch)
    adversary = Adversary(Judge().train(), cases.tokenizer_section(), parallel)
    losses = []
    for step in range(4):
        real = cases.images(step)[0]
        adversary.begin(real)
        parts = parallel.parts(len(real))
        for part in parts:
            losses.append(float(adversary.generator_loss(-real[part], part)) / len(parts))
        terms = adversary.step(1e-2, real, [-real[part] for part in parts])
        losses[-len(parts) :] = [sum(losses[-len(parts) :]), float(terms["discriminator"])]
    return losses, adversary.module.state_dict()


def test_parts_see_the_buffers_and_the_random_numbers_of_the_batch() -> None:
    losses, weights = trained(None)
    parted, parted_weights = trained(2)
    torch.testing.assert_close(torch.tensor(parted), torch.tensor(losses), rtol=1e-5, atol=1e-6)
    for name, value in weights.items():
        torch.testing.assert_close(parted_weights[name], value, rtol=0, atol=1e-5, msg=name)
