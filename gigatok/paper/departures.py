"""What a profile does that the paper does not: help for short runs, and every difference of scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from gigatok.config import Params, parse_params
from gigatok.config.profiles import render
from gigatok.config.sections import TrainGeneratorSection, TrainTokenizerSection
from gigatok.paper.claims import load_claims


@dataclass(frozen=True)
class Departure:
    """One setting, its value here and the paper's."""

    setting: str
    ours: str
    paper: str
    why: str = ""


def helps(params: Params) -> list[Departure]:
    """Help that the paper does not use and this profile has switched on."""
    training = params.train_tokenizer
    restart, loss, cnn = training.codebook_restart, training.loss, training.model.cnn
    found = []
    if restart.until_step:
        text = f"every {restart.every} steps until step {restart.until_step}"
        why = "codes that no image uses are replaced by encoder outputs, early in training"
        found.append(Departure("train_tokenizer.codebook_restart", text, "none", why))
    if training.model.initialisation != "paper":
        why = "attention starts out looking at the same place; from the paper's start the codebook collapses here"
        found.append(Departure("train_tokenizer.model.initialisation", training.model.initialisation, "paper", why))
    if loss.l1_weight:
        why = "sharper edges within few steps"
        found.append(Departure("train_tokenizer.loss.l1_weight", f"{loss.l1_weight:g}", "0", why))
    if cnn.patch > 1:
        why = f"space-to-depth by {cnn.patch} makes the outermost convolutions cheap on a CPU"
        found.append(Departure("train_tokenizer.model.cnn.patch", str(cnn.patch), "1", why))
    if training.ema_decay:
        found.append(Departure("train_tokenizer.ema_decay", f"{training.ema_decay:g}", "0", "weights are averaged"))
    if params.train_generator.ema_decay:
        ours = f"{params.train_generator.ema_decay:g}"
        found.append(Departure("train_generator.ema_decay", ours, "0", "weights are averaged"))
    return found


def differences(params: Params) -> list[Departure]:
    """Differences of data, networks and scale between this profile and the paper."""
    defaults, table9 = load_claims()["defaults"], load_claims()["table9"]
    model, loss = params.train_tokenizer.model, params.train_tokenizer.loss
    tokens = model.num_tokens or (params.prepare.image_size // model.cnn.downsample) ** 2
    common: dict[str, Any] = table9["common"]
    paper = _paper()
    pairs: list[tuple[str, object, object]] = [
        ("data", _data(params), load_claims()["paper"]["dataset"]),
        ("image size", f"{params.prepare.image_size} px", "256 px"),
        ("tokens an image", tokens, defaults["num_tokens"]),
        ("codes", model.codebook_size, defaults["codebook_size"]),
        ("code dimension", model.codebook_dim, defaults["codebook_dim"]),
        ("pixels a position", f"{model.cnn.downsample}x", f"{defaults['downsample_ratio']}x"),
        ("semantic teacher", params.teacher.name, "dinov2-b"),
        ("aligned decoder layer", model.alignment_layer, defaults["align_layer"]),
        ("semantic weight", f"{loss.semantic_weight:g}", f"{defaults['semantic_weight']:g}"),
        ("perceptual network", loss.perceptual_network, "vgg16"),
        ("perceptual weight", f"{loss.perceptual_weight:g}", f"{paper.train_tokenizer.loss.perceptual_weight:g}"),
        ("adversarial weight", _adversary(params), _adversary(paper)),
        ("judge of rFID and gFID", params.reference.extractor, "inception-2015"),
        (
            "tokenizer base learning rate",
            f"{params.train_tokenizer.optimizer.learning_rate:g}",
            f"{common['base_lr']:g}",
        ),
        (
            "tokenizer learning-rate warm-up",
            _warmup(params.tokenizers, params.tokenizer_training),
            _warmup(paper.tokenizers, paper.tokenizer_training),
        ),
        ("tokenizer steps x batch", _product(params.train_tokenizer), "100-300 epochs, batch 128-256"),
        (
            "AR base learning rate",
            f"{params.train_generator.optimizer.learning_rate:g}",
            f"{paper.train_generator.optimizer.learning_rate:g}",
        ),
        (
            "AR learning-rate warm-up",
            _warmup(params.generators, params.generator_training),
            _warmup(paper.generators, paper.generator_training),
        ),
        (
            "AR steps x batch",
            _product(params.train_generator),
            "300 epochs (50 for AR probing), batch 256-512",
        ),
        ("images sampled", f"{params.evaluate_generator.samples:,}", "50,000"),
    ]
    return [Departure(name, str(ours), str(paper)) for name, ours, paper in pairs if str(ours) != str(paper)]


def _data(params: Params) -> str:
    source = params.prepare.source
    return "emoji by three designers (embedded)" if source == "emoji" else f"{source}: {params.prepare.path}"


@cache
def _paper() -> Params:
    """The built-in profile ``paper``, which says where each of its values comes from."""
    return parse_params(yaml.safe_load(render("paper")))


def _adversary(params: Params) -> str:
    """The weight, or that there is no adversary: with weight 0, or where it would start after the last step."""
    training = params.train_tokenizer
    if not training.loss.adversarial_weight or training.loss.discriminator.start_step >= training.steps:
        return "none: tokenizers are trained without an adversary"
    return f"{training.loss.adversarial_weight:g}"


def _warmup(names: Iterable[str], training: Callable[[str], TrainTokenizerSection | TrainGeneratorSection]) -> str:
    """Steps over all runs: sizes may differ."""
    steps = [training(name).optimizer.warmup_steps for name in names] or [0]
    return f"{' to '.join(dict.fromkeys(f'{end:,}' for end in (min(steps), max(steps))))} steps"


def _product(training: Any) -> str:
    return f"{training.steps:,} x {training.batch_size}"
