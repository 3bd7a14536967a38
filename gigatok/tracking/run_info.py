"""What tokenizer and generator runs are called in the tracker, and which settings they show there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gigatok.config import RUNGS, ArConfig, Params, TokenizerConfig
from gigatok.tracking.experiments.folder import experiment_tags, run_name, suite_name


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a run is called and which settings it has."""

    suite_run: str
    """Profile and suite, e.g. ``nano-core``: names the parent run."""
    name: str
    kind: Literal["tokenizer", "generator"]
    params: Mapping[str, Any] = field(default_factory=dict)
    """Nested settings."""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Constants worth plotting against: ``parameters``, ``tokenizer_parameters``."""
    log_model: bool = False
    """Whether the model is logged with the run once it has been trained."""

    def described(self) -> dict[str, Any]:
        """The fields of a ``Record``."""
        return {
            "suite_run": suite_name(self.suite_run, Path.cwd()),
            "name": run_name(self.name),
            "kind": self.kind,
            "params": flatten(self.params),
            "tags": {**self.tags, **experiment_tags()},
            "metrics": {name: float(value) for name, value in self.metrics.items()},
            "log_model": self.log_model,
        }


def tokenizer_info(name: str, params: Params, model: TokenizerConfig, parameters: int) -> RunInfo:
    """Run ``name`` of ``tokenizers``; ``parameters``: how many the tokenizer has."""
    entry = params.tokenizers[name]
    training = params.tokenizer_training(name)
    return RunInfo(
        suite_run=f"{params.profile}-{params.suite}",
        name=name,
        kind="tokenizer",
        params={
            "model": model.model_dump(mode="json"),
            **training.model_dump(mode="json", exclude={"model"}),
            "seed": params.training_seed("tokenizer", name),
            "teacher": params.tokenizer_teacher(name).name,
        },
        tags={
            **_tags(name, params, "train_tokenizer"),
            "size": f"{entry.encoder}-{entry.decoder}",
            "encoder": entry.encoder,
            "decoder": entry.decoder,
            "semantic_regularization": str(training.loss.semantic_weight > 0).lower(),
        },
        metrics={"parameters": float(parameters)},
        log_model=params.tracking.models == "finished",
    )


def generator_info(name: str, params: Params, model: ArConfig, parameters: int, tokenizer_parameters: int) -> RunInfo:
    """Run ``name`` of ``generators``, with the size of its tokenizer to plot against."""
    entry = params.generators[name]
    training = params.generator_training(name)
    return RunInfo(
        suite_run=f"{params.profile}-{params.suite}",
        name=name,
        kind="generator",
        params={
            "model": model.model_dump(mode="json"),
            **training.model_dump(mode="json", exclude={"sizes"}),
            "seed": params.training_seed("generator", name),
        },
        tags={
            **_tags(entry.tokenizer, params, "train_generator"),
            "size": entry.size,
        },
        metrics={"parameters": float(parameters), "tokenizer_parameters": float(tokenizer_parameters)},
        # a checkpoint's tokenizer is not the one that its folder holds
        log_model=params.tracking.models == "finished" and entry.checkpoint == "final",
    )


def _tags(tokenizer: str, params: Params, stage: str) -> dict[str, str]:
    """What tokenizer and generator runs have alike, to filter and group them by."""
    entry = params.tokenizers[tokenizer]
    rung = _RUNG_OF.get(f"{entry.encoder}-{entry.decoder}")
    weight = params.tokenizer_training(tokenizer).loss.semantic_weight
    return {
        "profile": params.profile,
        "suite": params.suite,
        "stage": stage,
        "tokenizer": tokenizer,
        "semantic": str(weight > 0).lower(),
        "semantic_weight": f"{weight:g}",
        **({"rung": rung} if rung else {}),
    }


_RUNG_OF = {name: rung for rung, name in RUNGS.items()}


def flatten(params: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as flat strings, by dotted path (``loss.discriminator.kind``); cut to what MLflow holds."""
    return {".".join(path)[:250]: value[:500] for path, value in _paths(params, ())}


def _paths(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping) and (value or not path):
        for key, item in value.items():
            yield from _paths(item, (*path, str(key)))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, default=str)
