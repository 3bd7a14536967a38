"""What a profile does that the paper does not: aids for short runs, and every difference of scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from gigatok.config import Params, parse_params
from gigatok.config.experiments import has_adversary
from gigatok.config.models import TransformerSize
from gigatok.config.profiles import render
from gigatok.config.sections import TrainGeneratorSection, TrainTokenizerSection
from gigatok.paper.printed import load_claims


@dataclass(frozen=True)
class Departure:
    """One setting, its value here and the paper's."""

    setting: str
    ours: str
    paper: str
    why: str = ""


def aids(params: Params) -> list[Departure]:
    """Aids that the paper does not use and this profile has switched on."""
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


_PROBES = {"lbfgs": "logistic regression to convergence (L-BFGS)", "sgd": "LARS"}
_COMPARED: list[tuple[str, Callable[[Params], str]]] = [
    ("image size", lambda params: f"{params.prepare.image_size} px"),
    ("tokens an image", lambda params: str(_tokens(params))),
    ("codes", lambda params: str(params.train_tokenizer.model.codebook_size)),
    ("code dimension", lambda params: str(params.train_tokenizer.model.codebook_dim)),
    ("pixels a position", lambda params: f"{params.train_tokenizer.model.cnn.downsample}x"),
    ("semantic teacher", lambda params: params.teacher.name),
    ("transformer blocks, S to XXL", lambda params: _depths(params.train_tokenizer.model.sizes)),
    ("aligned decoder layer of S", lambda params: _aligned(params)),
    ("semantic weight", lambda params: f"{params.train_tokenizer.loss.semantic_weight:g}"),
    ("perceptual network", lambda params: params.train_tokenizer.loss.perceptual_network),
    ("perceptual weight", lambda params: f"{params.train_tokenizer.loss.perceptual_weight:g}"),
    ("adversarial weight", lambda params: _adversary(params)),
    ("adversary takes part in", lambda params: _adversarial_share(params)),
    ("extractor of rFID and gFID", lambda params: params.reference.extractor),
    ("tokenizer base learning rate", lambda params: f"{params.train_tokenizer.optimizer.learning_rate:g}"),
    ("tokenizer learning-rate warm-up", lambda params: _warmup(params.tokenizers, params.tokenizer_training)),
    ("AR blocks, GPT-B to GPT-XXL", lambda params: _depths(params.train_generator.sizes)),
    ("AR base learning rate", lambda params: f"{params.train_generator.optimizer.learning_rate:g}"),
    ("AR learning-rate warm-up", lambda params: _warmup(params.generators, params.generator_training)),
    ("images sampled", lambda params: f"{params.evaluate_generator.samples:,}"),
    ("guidance search", lambda params: _guidance(params)),
    ("linear probe", lambda params: _PROBES[params.evaluate_generator.probe.kind]),
]
"""What is read in the same way from a profile's settings and from the built-in profile ``paper``."""


def differences(params: Params) -> list[Departure]:
    """Differences of data, networks and scale between this profile and the paper."""
    paper = _paper()
    rows = [
        ("data", _data(params), str(load_claims()["paper"]["dataset"])),
        *((name, read(params), read(paper)) for name, read in _COMPARED),
        ("tokenizer steps x batch", _product(params.train_tokenizer), "100-300 epochs, batch 128-256"),
        ("AR steps x batch", _product(params.train_generator), "300 epochs (50 for AR probing), batch 256-512"),
    ]
    return [Departure(*row) for row in rows if row[1] != row[2]]


def _tokens(params: Params) -> int:
    model = params.train_tokenizer.model
    return model.num_tokens or (params.prepare.image_size // model.cnn.downsample) ** 2


def _data(params: Params) -> str:
    source = params.prepare.source
    return "emoji by three designers (embedded)" if source == "emoji" else f"{source}: {params.prepare.shown_path}"


@cache
def _paper() -> Params:
    """The built-in profile ``paper``, which says where each of its values comes from."""
    return parse_params(yaml.safe_load(render("paper")))


def _depths(sizes: Mapping[str, TransformerSize]) -> str:
    return ", ".join(str(size.depth) for size in sizes.values())


def _aligned(params: Params) -> str:
    model = params.train_tokenizer.model
    return f"{model.alignment_layer} of {next(iter(model.sizes.values())).depth}"


def _adversarial_share(params: Params) -> str:
    training = params.train_tokenizer
    left = max(0, training.steps - training.loss.discriminator.start_step) if has_adversary(training) else 0
    return f"the last {100 * left / training.steps:.0f}% of steps"


def _guidance(params: Params) -> str:
    section = params.evaluate_generator
    if section.guidance.kind == "list":
        return f"scales {', '.join(f'{scale:g}' for scale in section.cfg_scales)}"
    return {"zero-order": "hill climb in steps of 0.25", "study": f"study of {section.guidance.settings} settings"}[
        section.guidance.kind
    ]


def _adversary(params: Params) -> str:
    """The weight, or that there is no adversary: with weight 0, or where it would start after the last step."""
    training = params.train_tokenizer
    if not has_adversary(training):
        return "none: tokenizers are trained without an adversary"
    return f"{training.loss.adversarial_weight:g}"


def _warmup(names: Iterable[str], training: Callable[[str], TrainTokenizerSection | TrainGeneratorSection]) -> str:
    """Steps over all runs: sizes may differ."""
    steps = [training(name).optimizer.warmup_steps for name in names] or [0]
    return f"{' to '.join(dict.fromkeys(f'{end:,}' for end in (min(steps), max(steps))))} steps"


def _product(training: Any) -> str:
    return f"{training.steps:,} x {training.batch_size}"
