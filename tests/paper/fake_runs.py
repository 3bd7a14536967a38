"""Run folders with plausible numbers, written as the stages write them, without training anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from gigatok.artifacts import Protocol, Provenance, Score, ScoreSheet, write_json
from gigatok.config import Params, parse_params
from gigatok.config.experiments import suite_entries
from gigatok.config.repeats import repeat_name, repeated
from gigatok.config.suites import CORE_TOKENIZERS, default_generators
from gigatok.evaluation.timing.times import Timing, TimingTable, timing_path

EXTRACTOR = "efficientnet-lite2"
PARAMETERS = {"S-S": 550_000, "B-S": 800_000, "S-B": 900_000, "S-L": 1_600_000, "B-L": 2_000_000, "L-XL": 4_000_000}
PARAMETERS["XL-XXL"] = 8_000_000
CLASSES = ["Smileys & Emotion", "People & Body", "Animals & Nature", "Food & Drink", "Travel & Places"]
CLASSES += ["Activities", "Objects", "Symbols", "Flags"]

_SIZES = """
S: {width: 48, depth: 3, heads: 4}
B: {width: 64, depth: 4, heads: 4}
L: {width: 96, depth: 5, heads: 4}
XL: {width: 128, depth: 6, heads: 4}
XXL: {width: 160, depth: 7, heads: 4}
"""


def fake_params(**changes: object) -> Params:
    """Small settings of suite ``core``."""
    sizes = yaml.safe_load(_SIZES)
    values: dict[str, object] = {
        "profile": "nano",
        "suite": "core",
        "base": {},
        "prepare": {"image_size": 32},
        "teacher": {},
        "reference": {},
        "train_tokenizer": {
            "model": {
                "sizes": sizes,
                "codebook_size": 1024,
                "num_tokens": 64,
                "cnn": {
                    "channels": 16,
                    "multipliers": [1, 2],
                    "groups": 8,
                    "patch": 2,
                    "latent_channels": 32,
                },
            },
            "loss": {"l1_weight": 1.0, "perceptual_network": "efficientnet-lite0"},
            "codebook_restart": {"every": 50, "until_step": 600},
            "steps": 2280,  # suite full keeps weights of steps up to 1,710
            "batch_size": 16,
        },
        "evaluate_tokenizer": {},
        "train_generator": {"sizes": {"GPT-B": sizes["S"]}, "steps": 1000, "batch_size": 32},
        "evaluate_generator": {},
        "report": {},
        "tracking": {},
        "tokenizers": CORE_TOKENIZERS,
        "generators": default_generators(CORE_TOKENIZERS),
    }
    return parse_params({**values, **changes})


def full_params() -> Params:
    """Settings of suite ``full`` with the same small models."""
    tokenizers, generators = suite_entries("full", "nano")
    del tokenizers["S-S-layer4"], generators["S-S-layer4"]  # these decoders have three layers
    small = yaml.safe_load(_SIZES)["S"]
    training = {"sizes": {f"GPT-{size}": small for size in ("B", "L", "XL", "XXL")}, "steps": 1000, "batch_size": 32}
    return fake_params(suite="full", tokenizers=tokenizers, generators=generators, train_generator=training)


def write_reference(runs: Path, profile: str = "nano") -> None:
    """``runs/reference/summary.json``: mean image and k-means."""
    ScoreSheet(
        schema=1,
        name="reference",
        kind="reference",
        floors=(
            _score(f"rfid/{EXTRACTOR}", 310.0, "reference", profile, floor="mean image"),
            _score("psnr", 9.1, "reference", profile, floor="mean image", judged=False),
            _score(f"rfid/{EXTRACTOR}", 48.0, "reference", profile, floor="k-means patches"),
            _score("psnr", 21.9, "reference", profile, floor="k-means patches", judged=False),
        ),
    ).write(runs / "reference" / "summary.json")
    originals = pictures(16)
    np.savez(runs / "reference" / "pictures.npz", originals=originals, kmeans=originals // 32 * 32)


def write_tokenizer(runs: Path, name: str, *, rfid: float, psnr: float, profile: str = "nano") -> None:
    """``runs/tokenizers/<name>`` with sheet, provenance, curves and pictures."""
    folder = runs / "tokenizers" / name
    total = PARAMETERS[name.removesuffix("-no-sem")]
    values = {f"rfid/{EXTRACTOR}": rfid, f"kid/{EXTRACTOR}": rfid / 1000, "psnr": psnr, "ssim": psnr / 30}
    values |= {"codebook_usage": 0.93, "codebook_perplexity": 610.0}
    ScoreSheet(
        schema=1,
        name=name,
        kind="tokenizer",
        parameters={"total": total, "encoder": total // 3, "decoder": total - total // 3},
        scores=tuple(_score(key, value, name, profile, judged="/" in key) for key, value in values.items()),
    ).write(folder / "summary.json")
    write_json(
        folder / "provenance.json",
        {
            "seconds": 61.5,
            "evaluate_seconds": 4.0,
            "images_per_second": 150.0,
            "commit": "abc",
            "started": "2025-01-01",
        },
    )
    write_json(folder / "mlflow.json", {"destination": "f083a6ffc70d", "run_id": "f00d" * 8})
    steps = range(0, 1000, 100)
    write_json(
        folder / "curves.json",
        {
            "codebook_usage": [[step, 1 - 0.5 ** (1 + step / 200)] for step in steps],
            "codebook_perplexity": [[step, 100.0 + step / 2] for step in steps],
        },
    )
    originals = pictures(16)
    noise = np.random.default_rng(1).normal(0, 200 / psnr, originals.shape)
    reconstructions = np.clip(originals + noise, 0, 255).astype(np.uint8)
    np.savez(
        folder / "pictures.npz",
        originals=originals,
        reconstructions=reconstructions,
        labels=np.arange(16) % 9,
        worst_originals=originals[:8],
        worst_reconstructions=reconstructions[:8],
        worst_labels=np.arange(8),
        worst_ids=np.arange(8) * 3,
        worst_psnr=psnr - 8 + np.arange(8),
    )


def write_generator(runs: Path, name: str, *, gfid: float, loss: float, profile: str = "nano") -> None:
    """``runs/generators/<name>`` with sheet, provenance and samples."""
    folder = runs / "generators" / name
    values = {f"gfid/{EXTRACTOR}": gfid, f"kid/{EXTRACTOR}": gfid / 500, f"inception_score/{EXTRACTOR}": 12.0}
    values |= {f"gfid_best_cfg/{EXTRACTOR}": gfid - 4, "ar_val_loss": loss, "linear_probe_accuracy": 0.48}
    ScoreSheet(
        schema=1,
        name=name,
        kind="generator",
        parameters={"total": 1_000_000},
        scores=tuple(
            _score(
                key,
                value,
                name,
                profile,
                judged="/" in key,
                sampler={"cfg_scale": 2.0 if "best" in key else 1.0},
            )
            for key, value in values.items()
        ),
        floors=(
            _score(f"gfid/{EXTRACTOR}", 240.0, name, profile, floor="shuffled tokens"),
            _score("linear_probe_accuracy", 0.21, name, profile, floor="majority class", judged=False),
        ),
    ).write(folder / "summary.json")
    write_json(folder / "provenance.json", {"seconds": 30.0, "evaluate_seconds": 11.0, "images_per_second": 900.0})
    np.savez(folder / "samples.npz", samples=pictures(36), classes=np.arange(36) % 9)


def write_core(runs: Path) -> None:
    """Everything of suite ``core``: a dilemma without regularization, its cure with it."""
    write_reference(runs)
    write_json(runs / "data" / "summary.json", {"source": "emoji", "classes": CLASSES, "data_sha256": "d" * 64})
    rows = {"S-S": (70, 16.1), "S-B": (64, 16.9), "S-L": (60, 17.2), "B-L": (58, 17.6), "L-XL": (55, 17.9)}
    rows |= {"XL-XXL": (52, 18.3)}
    for place, (name, (rfid, psnr)) in enumerate(rows.items()):
        write_tokenizer(runs, name, rfid=rfid, psnr=psnr)
        write_generator(runs, name, gfid=120 - 5 * place, loss=5.2 - 0.1 * place)
    for place, name in enumerate(("S-S", "S-L", "B-L")):
        write_tokenizer(runs, f"{name}-no-sem", rfid=72 - 6 * place, psnr=16.3 + 0.5 * place)
        write_generator(runs, f"{name}-no-sem", gfid=118 + 9 * place, loss=5.2 + 0.15 * place)


def write_timings(runs: Path) -> None:
    """Of three sizes, from a working tree with changes."""
    same = dict.fromkeys(("B", "L", "XXL"), Timing(median=1.0, fastest=1.0, slowest=1.0))
    about = {"clock": "CPU time of the one thread", "commit": "f00d" * 10, "dirty": True}
    TimingTable(scale="profile nano", decode=same, sample=same, about=about).write(timing_path(runs))


def write_trainings(runs: Path, shifts: Sequence[float]) -> Params:
    """Suite ``core`` with every recipe trained as often as there are shifts.

    Args:
        shifts: of rFID for each seed; gFID moves by half of it, the AR loss by a thousandth
    """
    write_core(runs)
    seeds = list(range(len(shifts)))
    tokenizers, generators = repeated(CORE_TOKENIZERS, default_generators(CORE_TOKENIZERS), seeds, [])
    for name in CORE_TOKENIZERS:
        sheet = ScoreSheet.read(runs / "tokenizers" / name / "summary.json")
        samples = ScoreSheet.read(runs / "generators" / name / "summary.json")
        for seed, shift in enumerate(shifts):
            own = name if seed == 0 else repeat_name(name, seed)
            PARAMETERS.setdefault(own.removesuffix("-no-sem"), PARAMETERS[name.removesuffix("-no-sem")])
            write_tokenizer(runs, own, rfid=sheet.value("rfid") + shift, psnr=sheet.value("psnr"))
            loss, gfid = samples.value("ar_val_loss"), samples.value("gfid")
            write_generator(runs, own, gfid=gfid + shift / 2, loss=loss + shift / 1000)
            for kind in ("tokenizers", "generators"):
                _set_seed(runs / kind / own / "summary.json", seed)
    return fake_params(tokenizers=tokenizers, generators=generators)


def _set_seed(path: Path, seed: int) -> None:
    sheet = ScoreSheet.read(path)
    scores = tuple(s.replace(provenance=s.provenance.replace(seed=seed)) for s in sheet.scores)
    sheet.model_copy(update={"scores": scores}).write(path)


def pictures(count: int) -> np.ndarray:
    """``(count, 32, 32, 3)`` coloured discs on white."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    images = np.full((count, 32, 32, 3), 255, np.uint8)
    for image in images:
        cy, cx, r = rng.uniform(10, 22), rng.uniform(10, 22), rng.uniform(5, 12)
        image[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = rng.integers(0, 256, 3)
    return images


def _score(metric: str, value: float, run: str, profile: str, *, floor=None, judged=True, sampler=None) -> Score:
    protocol = Protocol(
        extractor=EXTRACTOR if judged else None,
        extractor_sha256="a1b2c3d4" * 8 if judged else None,
        extractor_size=260 if judged else None,
        reference="validation originals",
        reference_count=567,
        sample_count=567,
        rounding="adm",
        sampler=sampler,
        seed=0,
    )
    provenance = Provenance(
        commit="0123456789abcdef",
        dirty=False,
        params_sha="p" * 16,
        data_sha="d" * 64,
        seed=0,
        profile=profile,
        run=run,
    )
    interval = (value * 0.98, value * 1.02) if metric.startswith(("rfid", "gfid")) and floor is None else None
    kind = None if floor is None else "baseline" if floor == "k-means patches" else "floor"
    return Score(
        metric=metric,
        value=value,
        interval=interval,
        floor=floor,
        floor_kind=kind,
        protocol=protocol,
        provenance=provenance,
    )
