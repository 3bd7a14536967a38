"""Stage ``evaluate_generator@G``: samples, their scores, validation loss and linear probe."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from gigatok.artifacts import Protocol, Score, ScoreSheet, Workspace, load_weights, replacing
from gigatok.config import Params
from gigatok.config.sections import EvaluateGeneratorSection
from gigatok.data import PreparedData, to_uint8
from gigatok.evaluation.context import (
    judge_protocol,
    limit_threads,
    open_judge,
    provenance,
    read_real_features,
    timed_evaluation,
)
from gigatok.evaluation.extractors import Extractor
from gigatok.evaluation.frechet import frechet_distance_of_features
from gigatok.evaluation.inception_score import inception_score
from gigatok.evaluation.kernel_distance import kernel_distance
from gigatok.evaluation.precision_recall import precision_recall
from gigatok.evaluation.probe import ProbeSpec, linear_probe
from gigatok.interop.native import load_ar_dir, load_tokenizer_dir
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.sampling import sample_classes, sample_many
from gigatok.tracking import publish_summary
from gigatok.tracking.progress import open_progress
from gigatok.tracking.run_info import generator_info

Images = npt.NDArray[np.uint8]
Pool = npt.NDArray[np.float32]


class Drawn(NamedTuple):
    """Samples at one guidance scale, and the judge's view of them."""

    scale: float
    images: Images
    pool: Pool
    probabilities: Pool | None


class Tokens(NamedTuple):
    """Stored indices (n, N) and labels (n,)."""

    train: Tensor
    train_labels: Tensor
    validation: Tensor
    validation_labels: Tensor


def score_generator(name: str, params: Params, workspace: Workspace) -> None:
    """Write the score sheet and the samples of generator ``name``."""
    device = limit_threads(params.base)
    run = workspace.generator(name)
    data = PreparedData.open(workspace.data)
    section = params.evaluate_generator
    tokenizer, tokens = _open_tokenizer(name, params, workspace)
    tokenizer, ar = tokenizer.to(device), load_ar_dir(run.path).to(device)
    judge = open_judge(params.reference, device)
    real = read_real_features(workspace).train
    classes = sample_classes(section.samples, len(data.summary.classes))
    total = section.samples * (len(section.cfg_scales) + 1)
    with timed_evaluation(run), open_progress(f"evaluate_generator@{name}", total) as progress:
        drawn = []
        for number, scale in enumerate(section.cfg_scales):
            indices = sample_many(
                ar,
                classes,
                params.base.seed,
                section.batch_size,
                progress=lambda done, number=number: progress.update(number * section.samples + done, phase="samples"),
                **sampler_settings(section, scale),
            )
            drawn.append(_judged(scale, decode(tokenizer, indices, section.batch_size), judge, params))
        shuffled = decode(tokenizer, _shuffled(tokens.train, section.samples, params.base.seed), section.batch_size)
        floor = _judged(1.0, shuffled, judge, params)
        scores, floors = _sample_scores(drawn, floor, real, judge, params)
        probe, majority = _probe(ar, tokens, params)
        scores += [_loss_score(ar, tokens), probe]
        floors.append(majority)
        progress.update(total)
    source = provenance(
        params,
        data.summary,
        f"generators/{name}",
        params.tokenizer_training(params.generators[name].tokenizer),
        params.generator_training(name),
        params.generators[name],
        section,
        params.teacher,
    )
    with replacing(run.path / "samples.npz") as path, path.open("wb") as file:
        extra = {f"samples_cfg_{item.scale:g}": item.images for item in drawn[1:]}
        np.savez(file, samples=drawn[0].images, classes=classes.numpy(), **extra)  # type: ignore[arg-type]
    ScoreSheet(
        schema=1,
        name=name,
        kind="generator",
        parameters={"total": sum(p.numel() for p in ar.parameters())},
        scores=tuple(score.replace(provenance=source) for score in scores),
        floors=tuple(score.replace(provenance=source) for score in floors),
        notes=("shuffled tokens: each position's training indices, shuffled among the images, then decoded",),
    ).write(run.summary_path)
    counts = [sum(p.numel() for p in module.parameters()) for module in (ar, tokenizer)]
    publish_summary(params.tracking, run, generator_info(name, params, ar.config, *counts))


def sampler_settings(section: EvaluateGeneratorSection, scale: float) -> dict[str, float | int | str]:
    """Keywords of ``sampling.generate`` at one guidance scale."""
    return {
        "cfg_scale": scale,
        "cfg_schedule": section.cfg_schedule,
        "cfg_start": section.cfg_start,
        "temperature": section.temperature,
        "top_k": section.top_k,
        "top_p": section.top_p,
    }


@torch.inference_mode()
def decode(tokenizer: Tokenizer, indices: Tensor, batch_size: int) -> Images:
    """Rounded (protocol ``adm``) images (n, S, S, 3) of indices (n, N)."""
    device = next(tokenizer.parameters()).device
    parts = [
        to_uint8(tokenizer.decode(part.to(device)).float().cpu()).permute(0, 2, 3, 1).numpy()
        for part in indices.split(batch_size)
    ]
    return np.concatenate(parts)


def _open_tokenizer(name: str, params: Params, workspace: Workspace) -> tuple[Tokenizer, Tokens]:
    entry = params.generators[name]
    source = workspace.tokenizer(entry.tokenizer)
    tokenizer = load_tokenizer_dir(source.path)
    path = source.indices_path
    if entry.checkpoint != "final":
        checkpoint = source.path / "checkpoints" / f"step-{entry.checkpoint:07d}.safetensors"
        tokenizer.load_state_dict(load_weights(checkpoint))
        path = workspace.generator(name).path.parent / f"{name}.indices.npz"
    with np.load(path) as arrays:
        return tokenizer, Tokens(
            torch.from_numpy(arrays["train"][:, 0]).long(),
            torch.from_numpy(arrays["train_labels"]).long(),
            torch.from_numpy(arrays["validation"]).long(),
            torch.from_numpy(arrays["validation_labels"]).long(),
        )


def _judged(scale: float, images: Images, judge: Extractor, params: Params) -> Drawn:
    features = judge.extract(images, params.reference.batch_size)
    return Drawn(scale, images, features.pool, features.probabilities)


def _shuffled(indices: Tensor, count: int, seed: int) -> Tensor:
    """(count, N): every position keeps its distribution of codes, and loses its ties to all others."""
    generator = torch.Generator().manual_seed(seed)
    columns = [column[torch.randperm(len(column), generator=generator)[:count]] for column in indices.unbind(1)]
    return torch.stack(columns, dim=1)


def _sample_scores(
    drawn: list[Drawn], floor: Drawn, real: Pool, judge: Extractor, params: Params
) -> tuple[list[Score], list[Score]]:
    plain = drawn[0]
    protocol = _sampling_protocol(judge, plain, len(real), params)
    scores = _set_scores(plain, real, protocol)
    distances = {item.scale: frechet_distance_of_features(real, item.pool) for item in drawn}
    for item in drawn:
        scores.append(
            Score(
                metric=f"gfid_cfg_{item.scale:g}/{judge.name}".replace(".", "p"),
                value=distances[item.scale],
                protocol=_sampling_protocol(judge, item, len(real), params),
            )
        )
    best = min(drawn, key=lambda item: distances[item.scale])
    scores.append(
        Score(
            metric=f"gfid_best_cfg/{judge.name}",
            value=distances[best.scale],
            protocol=_sampling_protocol(judge, best, len(real), params),
        )
    )
    policy = {"sampler": {"tokens": "shuffled training indices"}}
    shuffled = [
        score.replace(floor="shuffled tokens", protocol=score.protocol.replace(**policy))
        for score in _set_scores(floor, real, protocol)
    ]
    return scores, shuffled


def _set_scores(item: Drawn, real: Pool, protocol: Protocol) -> list[Score]:
    name = protocol.extractor
    quality = precision_recall(real, item.pool)
    values = {
        f"gfid/{name}": frechet_distance_of_features(real, item.pool),
        f"kid/{name}": kernel_distance(real, item.pool),
        f"precision/{name}": quality.precision,
        f"recall/{name}": quality.recall,
    }
    if item.probabilities is not None:
        values[f"inception_score/{name}"] = inception_score(item.probabilities).mean
    return [Score(metric=metric, value=value, protocol=protocol) for metric, value in values.items()]


def _sampling_protocol(judge: Extractor, item: Drawn, reference_count: int, params: Params) -> Protocol:
    return judge_protocol(
        judge, reference="training images", reference_count=reference_count, sample_count=len(item.images)
    ).replace(
        class_policy="balanced",
        sampler=sampler_settings(params.evaluate_generator, item.scale),
        seed=params.base.seed,
    )


@torch.inference_mode()
def _loss_score(ar: ArModel, tokens: Tokens) -> Score:
    device = next(ar.parameters()).device
    total = 0.0
    for part, labels in zip(tokens.validation.split(64), tokens.validation_labels.split(64), strict=True):
        part = part.to(device)
        logits = ar(part, labels.to(device)).float()
        total += float(F.cross_entropy(logits.flatten(0, 1), part.flatten(), reduction="sum"))
    count = tokens.validation.numel()
    protocol = Protocol(
        reference="validation originals",
        sample_count=len(tokens.validation),
        notes="mean cross-entropy in nats a token, true class given",
    )
    return Score(metric="ar_val_loss", value=total / count, protocol=protocol)


def _probe(ar: ArModel, tokens: Tokens, params: Params) -> tuple[Score, Score]:
    """Accuracy of a linear probe on the middle layer, and of always naming the commonest class."""
    layer = ar.config.depth // 2
    settings = params.evaluate_generator.probe
    spec = ProbeSpec(
        kind=settings.kind,
        l2=settings.l2,
        features=f"AR block {layer} of {ar.config.depth}, null class, mean over {ar.config.num_tokens} tokens",
        seed=params.base.seed,
    )
    train, test = (_pooled(ar, part, layer) for part in (tokens.train, tokens.validation))
    labels, expected = tokens.train_labels.numpy(), tokens.validation_labels.numpy()
    protocol = Protocol(
        reference="training images",
        reference_count=len(labels),
        sample_count=len(expected),
        probe=spec.describe(),
        seed=params.base.seed,
    )
    accuracy = linear_probe(train, labels, test, expected, spec)
    majority = float((expected == np.bincount(labels).argmax()).mean())
    return (
        Score(metric="linear_probe_accuracy", value=accuracy, protocol=protocol),
        Score(metric="linear_probe_accuracy", value=majority, floor="majority class", protocol=protocol),
    )


@torch.inference_mode()
def _pooled(ar: ArModel, indices: Tensor, layer: int) -> Pool:
    device = next(ar.parameters()).device
    parts = []
    for part in indices.split(128):
        null = torch.full((len(part),), ar.config.num_classes, device=device)
        parts.append(ar.features(part.to(device), null, layer).mean(dim=1).float().cpu().numpy())
    return np.concatenate(parts)
