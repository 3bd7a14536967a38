"""Which runs feed which table and figure, as data. What several of them share is trained once.

``params.yaml`` of suite ``full`` is generated from ``suite_entries``; the tables read ``TABLES``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

from gigatok.config import ConfigError, Params
from gigatok.config.profiles import PROFILES, profile_values
from gigatok.config.repeats import generator_repeat_name, repeat_name
from gigatok.config.sections import TrainTokenizerSection
from gigatok.config.suites import CORE_TOKENIZERS, NO_SEMANTIC, Entry, default_generators

DURATIONS = (40, 60, 80, 100, 120)
"""Figure 12: epochs in the paper, where 100 is the S-S recipe; percent of the recipe's steps elsewhere."""
CHECKPOINTS = (25, 50, 75)
"""Figure 13: intermediate checkpoints, in percent of the recipe's steps."""
PROBED = ("B-L", "XL-XXL")
"""Figure 13's tokenizers."""
SIZE_ORDER = ("S-S", "S-B", "S-L", "B-L", "L-XL", "XL-XXL")
"""Tokenizers of suite ``core`` that differ in size alone, smallest first."""
FIGURE_3_SIZES = ("S-S", "S-L", "B-L")
"""Sizes of figures 3 and 6."""
LAYOUT_SIZES = ("S-S", "S-B", "B-L")
"""Sizes of figure 9."""
_WITHOUT = "-no-sem"


MORE_RUNS: dict[str, tuple[str, Entry]] = {
    "clip-dfn-l": ("S-B-clip", {"encoder": "S", "decoder": "B", "teacher": {"name": "clip-dfn-l"}}),
    "siglip-so400m": ("S-B-siglip", {"encoder": "S", "decoder": "B", "teacher": {"name": "siglip-so400m"}}),
    "dinov2-b": ("S-B-dinov2", {"encoder": "S", "decoder": "B", "teacher": {"name": "dinov2-b"}}),
    "dino": (
        "B-L-dino-disc",
        {"encoder": "B", "decoder": "L", "overrides": {"loss": {"discriminator": {"kind": "dino"}}}},
    ),
}
"""Runs of tables 3, 6 and 10 by the network whose weights they need. Profile ``paper`` has them all."""
_TEACHER_SIZE = 224
"""Side in pixels at which the vision transformers of table 6 see images."""


def without_regularization(name: str) -> str:
    """Name of the tokenizer that lacks semantic regularization and is like ``name`` in all else."""
    return f"{name}{_WITHOUT}"


def base_name(name: str) -> str:
    """Name of the tokenizer with semantic regularization that ``name`` is like in all else; often its own."""
    return name.removesuffix(_WITHOUT)


def in_2d(name: str) -> str:
    """Name of the tokenizer with a 2D grid of tokens (the ViT) that is like ``name`` in all else."""
    return f"{name}-2d"


def with_ar_model(name: str, size: str) -> str:
    """Name of the generator with an AR model of that size on the tokens of ``name``."""
    return f"{name}-{size}"


class OwnRuns(NamedTuple):
    """Entries of ``params.yaml`` that none of the paper's experiments uses, in the file's order."""

    tokenizers: tuple[str, ...]
    generators: tuple[str, ...]
    """Without those that only go with a tokenizer of ``tokenizers`` under its name."""


def own_runs(params: Params) -> OwnRuns:
    """What a user added to the settings: names that no suite, no profile and no repeated training gives."""
    suites = suite_entries("full", params.profile) if params.profile in PROFILES else ({}, {})
    profile = profile_values(params.profile) if params.profile in PROFILES else {}
    known = {name for name, _ in MORE_RUNS.values()}.union(*suites)
    known |= {name for kind in ("more_tokenizers", "more_generators") for name in profile.get(kind) or {}}
    known |= {repeat_name(name, seed) for name, entry in params.tokenizers.items() for seed in entry.seeds}
    known |= {f"{entry.tokenizer}-step{entry.checkpoint}" for entry in params.generators.values()}
    known |= {generator_repeat_name(name, seed) for name, entry in params.generators.items() for seed in entry.seeds}
    tokenizers = tuple(name for name in params.tokenizers if name not in known)
    generators = tuple(
        name
        for name, entry in params.generators.items()
        if name not in known and not (name in tokenizers and entry.tokenizer == name)
    )
    return OwnRuns(tokenizers, generators)


def suite_entries(
    suite: str, profile: str = "nano", weights: Mapping[str, str] | None = None
) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """``tokenizers`` and ``generators`` of ``params.yaml`` for a suite.

    Args:
        profile: gives the recipes' numbers of steps, which durations and checkpoints are shares of.
        weights: files of networks that no package brings, by the names of ``MORE_RUNS``: adds the runs that need them.

    Raises:
        ConfigError: there is no such suite, profile or network.
    """
    tokenizers, generators = _suite_entries(suite, profile)
    more = dict(_weighted(network, file) for network, file in (weights or {}).items())
    return {**tokenizers, **more}, {**generators, **default_generators(more)}


def _weighted(network: str, file: str) -> tuple[str, Entry]:
    if network not in MORE_RUNS:
        raise ConfigError(f"--weights {network}={file}: no run needs {network!r}, choose of {', '.join(MORE_RUNS)}")
    name, entry = copy.deepcopy(MORE_RUNS[network])
    if "teacher" in entry:
        entry["teacher"] |= {"weights": file, "image_size": _TEACHER_SIZE}
    else:
        entry["overrides"]["loss"]["discriminator"]["weights"] = file
    return name, entry


def _suite_entries(suite: str, profile: str) -> tuple[dict[str, Entry], dict[str, Entry]]:
    if suite not in ("core", "full"):
        raise ConfigError(f"suite {suite!r} is unknown: choose one of core, full")
    core = copy.deepcopy(CORE_TOKENIZERS)
    kept = {name: [share_of(recipe_steps(profile, name), percent) for percent in CHECKPOINTS] for name in PROBED}
    for name, steps in kept.items():
        # in both suites, so that going from core to full trains no tokenizer again
        core[name].setdefault("overrides", {})["keep_steps"] = steps
    if suite == "core":
        return core, default_generators(core)
    tokenizers = {**core, **_variants(), **_durations(recipe_steps(profile, "S-S"))}
    generators = default_generators(tokenizers) | _larger_generators()
    for name, steps in kept.items():
        generators |= {f"{name}-step{step}": {"tokenizer": name, "checkpoint": step} for step in steps}
    return tokenizers, generators


def recipe_steps(profile: str, tokenizer: str) -> int:
    """Training steps of a tokenizer in a profile."""
    values = profile_values(profile)
    own = (values.get("per_tokenizer") or {}).get(tokenizer, {})
    return int(own.get("steps", values["train_tokenizer"]["steps"]))


def share_of(steps: int, percent: int) -> int:
    """That percentage of the recipe's steps, at least one."""
    return max(1, round(steps * percent / 100))


def checkpoints(params: Params, name: str) -> tuple[int, ...]:
    """Steps after which a tokenizer's weights are kept besides the last; none where the settings have no such one."""
    return params.tokenizer_training(name).keep_steps if name in params.tokenizers else ()


def duration_name(percent: int, semantic: bool) -> str:
    """Tokenizer of figure 12; the recipe itself is the plain S-S."""
    stem = "S-S" if percent == 100 else f"S-S-{percent}pct"
    return stem if semantic else without_regularization(stem)


def _variants() -> dict[str, Entry]:
    def small(**overrides: Any) -> Entry:
        return {"encoder": "S", "decoder": "S", "overrides": overrides}

    flat = {"model": {"layout": "2d", "block": "plain", "num_tokens": None}}
    return {
        "B-S": {"encoder": "B", "decoder": "S"},
        **{in_2d(name): {**CORE_TOKENIZERS[name], "overrides": copy.deepcopy(flat)} for name in LAYOUT_SIZES},
        "S-S-layer2": small(model={"alignment_layer": 2}),
        "S-S-layer4": small(model={"alignment_layer": 4}),
        "S-S-weight025": small(loss={"semantic_weight": 0.25}),
        "S-S-weight075": small(loss={"semantic_weight": 0.75}),
        "S-S-weight100": small(loss={"semantic_weight": 1.0}),
        "XL-XXL-no-entropy": {"encoder": "XL", "decoder": "XXL", "overrides": {"loss": {"entropy_weight": 0.0}}},
    }


def _durations(steps: int) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for percent in (each for each in DURATIONS if each != 100):
        for semantic in (True, False):
            overrides: dict[str, Any] = {"steps": share_of(steps, percent)}
            overrides |= {} if semantic else copy.deepcopy(NO_SEMANTIC)
            entries[duration_name(percent, semantic)] = {"encoder": "S", "decoder": "S", "overrides": overrides}
    return entries


def _larger_generators() -> dict[str, Entry]:
    """Figure 6 (GPT-XL on three sizes) and tables 3 and 10 (GPT-XXL)."""
    entries: dict[str, Entry] = {
        with_ar_model(name, "GPT-XL"): {"tokenizer": name, "size": "GPT-XL"} for name in FIGURE_3_SIZES
    }
    return entries | {with_ar_model(name, "GPT-XXL"): {"tokenizer": name, "size": "GPT-XXL"} for name in PROBED}


def has_adversary(training: TrainTokenizerSection) -> bool:
    """Whether a discriminator takes part in at least the last step."""
    return bool(training.loss.adversarial_weight) and training.loss.discriminator.start_step < training.steps
