"""Where a training step of each rung spends its time: python benchmarks/step_parts.py [--profile nano] [--repeats 10].

CPU time of one thread, of a whole step and of its parts alone: the tokenizer forward and backward, the perceptual
distance, the optimizer. "Rest" is what is left: other losses, clipping, the record of used codes. "Starting" is the
part of forward and backward that does not grow with the batch, from its time with one image: what it takes to start
some thousand operations, however small. Batches are noise of the right shape; weights are random, which changes no
time. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import yaml

from gigatok.config import Params, parse_params
from gigatok.config.profiles import PROFILES, render
from gigatok.config.sections import TrainTokenizerSection
from gigatok.models.tokenizer import Tokenizer
from gigatok.runtime.device import keep_freed_memory
from gigatok.teachers import load_perceptual
from gigatok.training.tokenizer_recipe import TokenizerRecipe

ALIGNMENT_DIM = 112
"""Channels of the default teacher's map."""
COLUMNS = (
    "tokenizer",
    "parameters",
    "images/s",
    "step, ms",
    "forward and backward",
    "of it starting",
    "perceptual",
    "optimizer",
    "rest",
)


def main() -> None:
    """Time every tokenizer of the profile's suite core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="nano")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--tokenizers", nargs="*", help="only these")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as every stage does
    params = parse_params(yaml.safe_load(render(options.profile, "core")))
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for name in options.tokenizers or params.tokenizers:
        print(f"| {' | '.join(measured(name, params, options.repeats))} |", flush=True)


def measured(name: str, params: Params, repeats: int) -> list[str]:
    """One row of the table."""
    torch.manual_seed(0)
    section = params.tokenizer_training(name)
    model = params.tokenizer_model(name, alignment_dim=ALIGNMENT_DIM)
    tokenizer = Tokenizer(model, entropy_temperature=0.01 if section.loss.entropy_weight else None)
    side, batch = model.image_size, section.batch_size
    perceptual = load_perceptual(section.loss.perceptual_network) if section.loss.perceptual_weight else None
    recipe = TokenizerRecipe(tokenizer, section, None, perceptual)
    images = torch.rand(batch, 3, side, side) * 2 - 1
    targets = torch.randn(batch, model.grid**2, ALIGNMENT_DIM) if section.loss.semantic_weight else None
    step = _milliseconds(lambda: recipe.step(_plain_step(section), images, targets), repeats)
    parts = [_milliseconds(lambda: _forward_backward(tokenizer, images), repeats)]
    parts.append(_milliseconds(lambda: _distance(perceptual, images), repeats) if perceptual else 0.0)
    parts.append(_optimizer(recipe, repeats))
    one = _milliseconds(lambda: _forward_backward(tokenizer, images[:1]), repeats)
    starting = max(0.0, one - (parts[0] - one) / (batch - 1))
    shares = [f"{100 * part / step:.0f}%" for part in (parts[0], starting, *parts[1:], max(0.0, step - sum(parts)))]
    count = sum(weight.numel() for weight in tokenizer.parameters())
    return [name, f"{count / 1e6:.2f}M", f"{1000 * batch / step:.0f}", f"{step:.1f}", *shares]


def _plain_step(section: TrainTokenizerSection) -> int:
    """A step at which no dead code is restarted: most of them."""
    return section.codebook_restart.every + 1


def _forward_backward(tokenizer: Tokenizer, images: torch.Tensor) -> None:
    out = tokenizer(images)
    loss = out.reconstruction.square().mean() + out.codebook.codebook_loss
    if out.alignment is not None:
        loss = loss + out.alignment.square().mean()
    loss.backward()


def _distance(perceptual: torch.nn.Module, images: torch.Tensor) -> None:
    made = (images * 0.9).requires_grad_()
    perceptual(made, images).mean().backward()


def _optimizer(recipe: TokenizerRecipe, repeats: int) -> float:
    """An update with the gradients that are there already."""
    return _milliseconds(recipe.optimizer.step, repeats)


def _milliseconds(work: Callable[[], object], repeats: int) -> float:
    work()
    taken = []
    for _ in range(repeats):
        begin = time.thread_time()
        work()
        taken.append(1000 * (time.thread_time() - begin))
    return statistics.median(taken)


if __name__ == "__main__":
    main()
