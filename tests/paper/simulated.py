"""Whole projects of simulated runs: every metric, interval, curve and record that the stages write, in any settings."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fake_runs import CLASSES, EXTRACTOR, _score, pictures, write_reference

from gigatok.artifacts import Score, ScoreSheet, write_json
from gigatok.config import Params
from gigatok.config.experiments import base_name

SIZES = {"S-S": 1.02e6, "B-S": 1.15e6, "S-B": 1.19e6, "S-L": 1.41e6, "B-L": 1.52e6, "L-XL": 2.1e6, "XL-XXL": 3.5e6}
"""As in profile nano: S-L and B-L are so close that their names overprint where nobody takes care."""
IMAGES, TRAINING = 120, 900
"""Of the validation and the training set."""
SAMPLES = 108
SCALES = (1.0, 1.25, 1.5, 2.0, 4.0)


def simulate(
    runs: Path,
    params: Params,
    *,
    left_out: Collection[str] = (),
    without: Collection[str] = (),
    classes: Sequence[str] = CLASSES,
) -> None:
    """Write the runs of all tokenizers and generators of some settings.

    Args:
        left_out: runs by name
        without: metrics that no run has, by key
        classes: nine names
    """
    write_reference(runs, params.profile)
    counts = {"images": IMAGES, "concepts": IMAGES, "per_class": {}, "packed": False}
    write_json(
        runs / "data" / "summary.json",
        {"source": params.prepare.source, "classes": list(classes), "data_sha256": "d" * 64, "validation": counts},
    )
    _write_index(runs / "data" / "index.parquet")
    for name in params.tokenizers:
        if name not in left_out:
            _write_tokenizer(runs, name, params, without)
    for name, entry in params.generators.items():
        if name not in left_out and entry.tokenizer not in left_out:
            _write_generator(runs, name, params, without)


def _write_index(path: Path) -> None:
    """Images of all classes and, by their rows in the embedded source, of all designers."""
    counts = {"train": TRAINING, "validation": IMAGES}
    split = [name for name, count in counts.items() for _ in range(count)]
    labels = np.concatenate([_labels(count) for count in counts.values()])
    ids = np.arange(len(split)) * 3 % 2000
    table = {"id": ids, "location": [str(each) for each in ids], "label": labels, "split": split}
    pq.write_table(pa.table(table), path)


def _labels(count: int) -> np.ndarray:
    return np.sort(np.arange(count) % len(CLASSES))


def _write_tokenizer(runs: Path, name: str, params: Params, without: Collection[str]) -> None:
    rng, entry = _rng(name), params.tokenizers[name]
    size = SIZES.get(f"{entry.encoder}-{entry.decoder}", 1e6) * (1.0 if base_name(name) == name else 0.93)
    values = {"rfid": 560 + 60 * rng.random(), "rfid_perturbed": 700 + 50 * rng.random(), "rfid_infinity": 300.0}
    named = {f"{key}/{EXTRACTOR}": value for key, value in values.items()}
    named |= {"psnr": 18 + 1.5 * rng.random(), "ssim": 0.5 + 0.1 * rng.random()}
    named |= {"perceptual_distance/efficientnet-lite0": 1 + 0.2 * rng.random(), "codebook_usage": 0.98}
    named |= {"codebook_perplexity": 500 + 300 * rng.random(), "effective_codebook_size": 300 + 200 * rng.random()}
    named |= {"first_token_entropy": 4 + rng.random(), "determined_share": 0.2 + 0.1 * rng.random()}
    steps = params.tokenizer_training(name).keep_steps
    if steps:
        named |= {f"tokenizer_probe_accuracy_step_{step}": 0.4 + 0.1 * rng.random() for step in steps}
        named["tokenizer_probe_accuracy"] = 0.55
    folder = runs / "tokenizers" / name
    _sheet(folder, name, "tokenizer", {"total": round(size)}, named, params, without)
    labels = _labels(IMAGES)
    details = {"images/psnr": named["psnr"] + rng.normal(0, 2, IMAGES) + labels / 3}
    np.savez(folder / "details.npz", **{key: each.astype(np.float32) for key, each in details.items()})
    np.savez(folder / "indices.npz", validation_labels=labels, train_labels=_labels(TRAINING))
    curve = [[step, 600 * (1 - 0.5 ** (1 + step / 200)) + 60 * rng.random()] for step in range(25, 501, 25)]
    usage = [[step, 1 - 0.3 ** (1 + step / 50)] for step, _ in curve]
    loss = [[step, 2 - step / 600 + 0.1 * rng.random()] for step, _ in curve]
    write_json(folder / "curves.json", {"codebook_usage": usage, "codebook_perplexity": curve, "perceptual": loss})
    originals = pictures(16)
    rebuilt = np.clip(originals + rng.normal(0, 25, originals.shape), 0, 255).astype(np.uint8)
    worst = {"worst_labels": np.arange(8), "worst_ids": np.arange(8) * 3, "worst_psnr": 10.0 + np.arange(8)}
    np.savez(
        folder / "pictures.npz",
        originals=originals,
        reconstructions=rebuilt,
        labels=np.arange(16) % 5,
        worst_originals=originals[:8],
        worst_reconstructions=rebuilt[:8],
        **worst,
    )


def _write_generator(runs: Path, name: str, params: Params, without: Collection[str]) -> None:
    rng, folder = _rng(f"g{name}"), runs / "generators" / name
    best = 670 + 90 * rng.random()
    curve = {scale: best + 60 * (np.log(scale) - np.log(1.25 + rng.random())) ** 2 for scale in SCALES}
    values = {f"gfid_cfg_{scale:g}".replace(".", "p"): value for scale, value in curve.items()}
    values |= {"gfid": curve[1.0], "gfid_best_cfg": min(curve.values()), "gfid_infinity": 400.0, "kid": best / 1000}
    values |= {"inception_score": 6 + 2 * rng.random(), "precision": 0.4, "recall": 0.2}
    named = {f"{key}/{EXTRACTOR}": value for key, value in values.items()}
    named |= {"ar_val_loss": 4 + rng.random(), "linear_probe_accuracy": 0.45 + 0.15 * rng.random()}
    scales = {f"{key}/{EXTRACTOR}": float(key[9:].replace("p", ".")) for key in values if key.startswith("gfid_cfg")}
    scales[f"gfid_best_cfg/{EXTRACTOR}"] = min(curve, key=lambda scale: curve[scale])
    floors = (
        _score(f"gfid/{EXTRACTOR}", 852.0, name, params.profile, floor="shuffled tokens"),
        _score(f"kid/{EXTRACTOR}", 0.95, name, params.profile, floor="shuffled tokens"),
        _score("linear_probe_accuracy", 0.21, name, params.profile, floor="majority class", judged=False),
    )
    _sheet(folder, name, "generator", {"total": 1_000_000}, named, params, without, scales, floors)
    np.savez(folder / "samples.npz", samples=pictures(SAMPLES), classes=np.arange(SAMPLES) % len(CLASSES))
    details = {"images/ar_val_loss": named["ar_val_loss"] + rng.normal(0, 0.3, IMAGES)}
    for key, share, count in (("precision", 0.4, SAMPLES), ("recall", 0.2, TRAINING)):
        for guided in ("", "_best_cfg"):
            details[f"images/{key}{guided}/{EXTRACTOR}"] = (rng.random(count) < share).astype(float)
    np.savez(folder / "details.npz", **{key: each.astype(np.float32) for key, each in details.items()})


def _sheet(
    folder: Path,
    name: str,
    kind: str,
    parameters: dict[str, int],
    named: dict[str, float],
    params: Params,
    without: Collection[str],
    scales: dict[str, float] | None = None,
    floors: tuple[Score, ...] = (),
) -> None:
    scores = []
    for metric, value in named.items():
        if metric.split("/")[0] in without:
            continue
        sampler = {"cfg_scale": (scales or {}).get(metric, 1.0), "cfg_schedule": "constant", "cfg_start": 0.0}
        plain = _score(
            metric, value, name, params.profile, judged="/" in metric, sampler=sampler if "/" in metric else None
        )
        seed = params.training_seed(kind, name)
        width = 0.02 + 0.06 * _rng(f"{name}{metric}").random()
        scores.append(
            plain.replace(
                interval=(value * (1 - width), value * (1 + width)), provenance=plain.provenance.replace(seed=seed)
            )
        )
    kept = tuple(floor for floor in floors if floor.metric.split("/")[0] not in without)
    sheet = ScoreSheet(schema=1, name=name, kind=kind, parameters=parameters, scores=tuple(scores), floors=kept)
    folder.mkdir(parents=True, exist_ok=True)
    sheet.write(folder / "summary.json")


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))
