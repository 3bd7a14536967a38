"""What tokenizer and generator runs are called in the tracker, and which settings they show there."""

from __future__ import annotations

from gigatok.config import ArConfig, Params, TokenizerConfig
from gigatok.tracking.record import RunInfo


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
            "training": training.model_dump(mode="json", exclude={"model"}),
            "seed": params.training_seed("tokenizer", name),
            "teacher": params.tokenizer_teacher(name).name,
        },
        tags={
            "profile": params.profile,
            "suite": params.suite,
            "tokenizer": name,
            "encoder": entry.encoder,
            "decoder": entry.decoder,
            "semantic_regularization": str(training.loss.semantic_weight > 0).lower(),
        },
        metrics={"parameters": float(parameters)},
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
            "training": training.model_dump(mode="json", exclude={"sizes"}),
            "seed": params.training_seed("generator", name),
        },
        tags={
            "profile": params.profile,
            "suite": params.suite,
            "tokenizer": entry.tokenizer,
            "size": entry.size,
        },
        metrics={"parameters": float(parameters), "tokenizer_parameters": float(tokenizer_parameters)},
    )
