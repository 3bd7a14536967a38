"""Twenty steps of a small S-S with every term on, and of a small generator, however they are spread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from gigatok.artifacts import StateSaver, load_state
from gigatok.config import ArConfig, CnnConfig, TokenizerConfig, TransformerSize
from gigatok.config.models import TokenizerModelSection
from gigatok.config.sections import TrainGeneratorSection, TrainTokenizerSection
from gigatok.models.ar import ArModel
from gigatok.models.discriminator import PatchGan
from gigatok.models.tokenizer import Tokenizer
from gigatok.training.distributed.setup import ALONE, Processes
from gigatok.training.distributed.wrap import Parallel
from gigatok.training.generator_recipe import GeneratorRecipe
from gigatok.training.precision import arithmetic_of_curves, as_stored
from gigatok.training.tokenizer_recipe import TokenizerRecipe

STEPS = 20
BATCH = 8
GROUP = 2
"""Images of a group of batch statistics: the smallest micro-batch below is 8 / 4 / 1 or 8 / 2 / 2 images."""
SIZE = TransformerSize(width=16, depth=2, heads=2)
CNN = CnnConfig(channels=8, multipliers=(1, 2), encoder_blocks=1, decoder_blocks=1, mid_blocks=1, latent_channels=16,
                groups=4, patch=2)  # fmt: skip


class Case(NamedTuple):
    """What is trained, and how it is spread within the processes there are."""

    kind: str = "tokenizer"
    strategy: str = "ddp"
    micro_batches: int = 1
    recompute: str = "none"
    dropout: float = 0.0
    batch: int = BATCH
    save_at: int | None = None
    """Updates after which a state is saved, while the next ones are made."""
    steps: int = STEPS
    folder: str = ""
    """Of states: without ``save_at`` the run goes on from the state there."""
    precision: str = "fp32"

    def parallel(self, processes: Processes) -> Parallel:
        micro = self.batch // processes.world // self.micro_batches
        return Parallel(processes, self.strategy, micro, self.recompute, precision=self.precision)  # type: ignore[arg-type]


class Result(NamedTuple):
    """What must be the same."""

    losses: list[dict[str, float]]
    weights: dict[str, Tensor]
    indices: Tensor


class Distance(nn.Module):
    """A perceptual network that is none."""

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        return (images.tanh() - targets.tanh()).abs().mean((1, 2, 3))


def tokenizer_section(**changes: Any) -> TrainTokenizerSection:
    """Every term on, starting and ending at steps of its own."""
    return TrainTokenizerSection.model_validate(
        {
            "model": TokenizerModelSection(
                codebook_size=16, codebook_dim=4, cnn=CNN, sizes={"S": SIZE}, alignment_layer=1
            ),
            "steps": STEPS,
            "batch_size": BATCH,
            "ema_decay": 0.9,
            "loss": {
                "perceptual_weight": 0.3, "l1_weight": 0.5, "semantic_weight": 0.5, "entropy_weight": 0.05,
                "entropy_group": GROUP, "entropy_temperature": 1.0,
                "shortcut": {"image_end_step": 10, "feature_end_step": 15},
                "discriminator": {"start_step": 3, "channels": 8, "layers": 2, "statistics_group": GROUP},
            },
            "codebook_restart": {"every": 4, "until_step": 12},
            "optimizer": {"learning_rate": 1e-4, "warmup_steps": 4},
            **changes,
        }
    )  # fmt: skip


def tokenizer_recipe(parallel: Parallel, section: TrainTokenizerSection | None = None) -> TokenizerRecipe:
    """The same weights on every process."""
    section = section or tokenizer_section(precision=parallel.precision)
    torch.manual_seed(6)  # no vector comes near the border between two codes
    config = TokenizerConfig(image_size=16, num_tokens=4, encoder=SIZE, decoder=SIZE, cnn=CNN, codebook_size=16,
                             codebook_dim=4, alignment_layer=1, alignment_dim=6)  # fmt: skip
    tokenizer = Tokenizer(config, section.loss.entropy_temperature, section.loss.entropy_group)
    _spread_out(tokenizer)
    adversary = PatchGan(8, 2, section.loss.discriminator.statistics_group)
    device = parallel.processes.device
    return TokenizerRecipe(tokenizer.to(device), section, adversary.to(device), Distance(), parallel)


@torch.no_grad()
def _spread_out(tokenizer: Tokenizer) -> None:
    """Larger weights, so that vectors are long and far apart: rounding then moves none to another code."""
    for name, parameter in tokenizer.named_parameters():
        if parameter.dim() >= 2 and name != "quantizer.codebook":
            parameter.mul_(4)


def generator_recipe(parallel: Parallel, dropout: float) -> GeneratorRecipe:
    """Classes are dropped; within the network nothing is, unless ``dropout`` says so."""
    torch.manual_seed(1)
    config = ArConfig(width=16, depth=2, heads=2, codebook_size=64, num_tokens=16, num_classes=4, dropout=dropout)
    section = TrainGeneratorSection.model_validate(
        {"sizes": {"B": SIZE}, "steps": STEPS, "batch_size": BATCH, "ema_decay": 0.9, "precision": parallel.precision,
         "optimizer": {"learning_rate": 1e-3, "schedule": "wsd", "decay_all_parameters": False}}
    )  # fmt: skip
    return GeneratorRecipe(ArModel(config).to(parallel.processes.device), section, parallel)


def images(step: int, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    """The whole batch of ``step``: images and teacher features."""
    generator = torch.Generator().manual_seed(step)
    coarse = torch.rand(batch, 3, 4, 4, generator=generator) * 2 - 1
    pixels = torch.nn.functional.interpolate(coarse, size=(16, 16))
    return pixels, torch.randn(batch, 16, 6, generator=generator)


def tokens(step: int) -> tuple[Tensor, Tensor]:
    """The whole batch of ``step``: indices and classes."""
    generator = torch.Generator().manual_seed(step)
    return torch.randint(64, (BATCH, 16), generator=generator), torch.randint(4, (BATCH,), generator=generator)


def train(case: Case, processes: Processes = ALONE) -> Result:
    """Train on this process's share; the result is whole on rank 0."""
    share = processes.share.of(case.batch)
    parallel = case.parallel(processes)
    losses = []
    if case.kind == "generator":
        recipe = generator_recipe(parallel, case.dropout)
        for step in _resumable(case, processes, recipe):
            indices, classes = tokens(step)
            terms = recipe.step(step, indices[share].to(processes.device), classes[share].to(processes.device))
            losses.append({name: float(value) for name, value in terms.items()})
        assert recipe.ema is not None
        weights = gathered({**recipe.model.state_dict(), **_averages(recipe.ema.averages)}, processes)
        return Result(losses, weights, torch.zeros(0))
    training = tokenizer_recipe(parallel)
    for step in _resumable(case, processes, training):
        pixels, targets = images(step, case.batch)
        terms = training.step(step, pixels[share].to(processes.device), targets[share].to(processes.device))
        losses.append({name: float(value) for name, value in terms.items()})
        losses[-1]["codebook_usage"] = training.codes.usage()
        losses[-1]["codebook_perplexity"] = training.codes.perplexity()
    assert training.ema is not None
    assert training.adversary is not None
    weights = gathered(
        {
            **training.tokenizer.state_dict(),
            **_averages(training.ema.averages),
            **{f"adversary.{name}": value for name, value in training.adversary.module.state_dict().items()},
        },
        processes,
    )
    with torch.no_grad(), as_stored(training.tokenizer, None) as stored, arithmetic_of_curves(parallel):
        found = stored.encode(images(STEPS, case.batch)[0][share].to(processes.device))
    return Result(losses, weights, processes.gather(found))


def _resumable(case: Case, processes: Processes, recipe: Any) -> Iterator[int]:
    """Updates to make: after those of a saved state, or with a state saved in their midst."""
    folder, objects = Path(case.folder), {"recipe": recipe}
    if not case.folder:
        yield from range(case.steps)
        return
    if case.save_at is None:
        restored = load_state(folder, objects, processes)
        assert restored is not None
        yield from range(restored.meta["step"], case.steps)
        return
    saver = StateSaver(folder, processes)
    for step in range(case.steps):
        if step == case.save_at:
            saver.start(objects, {"step": step})
        yield step
    saver.wait()


def gathered(tensors: Mapping[str, Tensor], processes: Processes) -> dict[str, Tensor]:
    """Whole tensors on rank 0, nothing on the others."""
    full = {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in tensors.items()}
    return full if processes.main else {}


def _averages(averages: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"ema.{name}": value for name, value in averages.items()}
