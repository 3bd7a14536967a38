"""Print the peak of resident memory of a process that takes real training steps of a tokenizer.

Arguments: profile, tokenizer, batch size. Weights are random where they would be downloaded: they have the same size.
"""

import re
import sys
from pathlib import Path

import torch
import yaml

from gigatok.config import parse_params
from gigatok.config.profiles import render
from gigatok.models.tokenizer import Tokenizer
from gigatok.planning.memory import heaviest_step
from gigatok.planning.networks import planned_discriminator, planned_perceptual
from gigatok.training.tokenizer_recipe import TokenizerRecipe
from gigatok.training.train_tokenizer import train_tokenizer  # noqa: F401  # what a stage loads takes memory too


def main() -> None:
    profile, name, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    params = parse_params(yaml.safe_load(render(profile, "core")))
    section = params.tokenizer_training(name).replace(precision="fp32")
    config = params.tokenizer_model(name, alignment_dim=40)
    step = heaviest_step(section)
    before = resident("VmRSS")
    tokenizer = Tokenizer(config, entropy_temperature=0.01 if section.loss.entropy_weight else None)
    adversary = planned_discriminator(section) if step >= section.loss.discriminator.start_step else None
    recipe = TokenizerRecipe(tokenizer, section, adversary, planned_perceptual(section))
    images = torch.rand(batch, 3, config.image_size, config.image_size)
    targets = torch.rand(batch, config.grid**2, 40)
    for optimizer in (recipe.optimizer, *([recipe.adversary.optimizer] if recipe.adversary else [])):
        with_state(optimizer)
    recipe.step(step, images, targets)
    print(before, resident("VmHWM"))


def with_state(optimizer: torch.optim.Optimizer) -> None:
    """As after a first step, which would cost as much time as the one that is measured."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = torch.zeros_like(weight)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def resident(name: str) -> int:
    """Bytes: ``VmRSS`` now, ``VmHWM`` at most so far."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
