"""``evaluate`` and the pipeline score with one engine: equal arrays have equal records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gigatok.artifacts import Score, ScoreSheet
from gigatok.data import PreparedData
from gigatok.evaluation.inputs.evaluation_set import evaluation_set
from gigatok.evaluation.metrics.names import has_best_guidance
from gigatok.evaluation.scoring.evaluate import evaluate
from gigatok.evaluation.scoring.pair import EvaluateOptions
from gigatok.evaluation.stages.generator import score_generator
from gigatok.evaluation.stages.tokenizer import score_tokenizer

UNKNOWN = ("class_policy", "sampler", "seed", "rounding")
"""What nothing in a file of images says."""


def as_a_file_shows(score: Score) -> Score:
    """A score of the pipeline as the command records it: without code, settings, and what arrays do not say."""
    protocol = score.protocol.replace(**dict.fromkeys(UNKNOWN), reference=score.protocol.reference and "real")
    return score.replace(provenance={}, protocol=protocol)


def by_name(sheet: ScoreSheet) -> dict[str, Score]:
    """Scores with the reference's own name left out."""
    stripped = (
        score.replace(provenance={}, protocol=score.protocol.replace(reference=score.protocol.reference and "real"))
        for score in sheet.scores
    )
    return {score.metric: score for score in stripped}


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_both_ways_give_equal_records(project: Any, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    from gigatok.evaluation.scoring import evaluate as command

    monkeypatch.setattr(command, "load_extractor", lambda *_, **__: project.judge)
    data = PreparedData.open(project.workspace.data)
    run = getattr(project.workspace, kind)("S-S")
    if kind == "tokenizer":
        section = project.params.evaluate_tokenizer.replace(pictures=4096)  # all of them
        params = project.params.model_copy(update={"evaluate_tokenizer": section})
        score_tokenizer("S-S", params, project.workspace)
        images, real = np.load(run.path / "pictures.npz")["reconstructions"], data.validation.uint8()
        # SSIM's convolutions round by the layout in memory: channels first, as the decoder leaves images
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    else:
        score_generator("S-S", project.params, project.workspace)
        images, real = np.load(run.path / "samples.npz")["samples"], data.train.uint8()
    options = EvaluateOptions(extractor="tiny", resamples=20, infinity=True, reconstructions=kind == "tokenizer")
    found = by_name(evaluate(evaluation_set(images, "samples"), evaluation_set(real, "real"), options))
    stored = {score.metric: as_a_file_shows(score) for score in ScoreSheet.read(run.summary_path).scores}
    both = sorted(found.keys() & stored.keys())
    expected = {
        "tokenizer": ["kid/tiny", "mind/tiny", "psnr", "rfid/tiny", "rfid_infinity/tiny", "rsfid/tiny", "ssim"],
        "generator": [
            "gfid/tiny",
            "gfid_infinity/tiny",
            "gsfid/tiny",
            "inception_score/tiny",
            "kid/tiny",
            "mind/tiny",
            "precision/tiny",
            "recall/tiny",
        ],
    }
    assert both == expected[kind]
    for name in both:
        assert found[name] == stored[name], name
        assert found[name].interval is not None or found[name].protocol.rough, name


def test_every_interval_names_its_method(project: Any) -> None:
    section = project.params.evaluate_tokenizer.replace(probe={"kind": "lbfgs"}, probed="all")
    params = project.params.model_copy(update={"evaluate_tokenizer": section})
    score_tokenizer("S-S", params, project.workspace)
    score_generator("S-S", project.evaluating(seeds=(0, 1)), project.workspace)
    runs = [project.workspace.tokenizer("S-S"), project.workspace.generator("S-S")]
    sheets = [ScoreSheet.read(run.summary_path) for run in runs]
    methods: dict[str, set[tuple[object, object]]] = {}
    for score in (score for sheet in sheets for score in (*sheet.scores, *sheet.floors)):
        protocol = score.protocol
        assert (score.interval is None) == (protocol.interval_method is None), score
        name = score.metric.split("/")[0]
        if score.interval is not None and not has_best_guidance(score.metric) and "_seed_mean" not in name:
            methods.setdefault(name, set()).add((protocol.interval_method, protocol.interval_over))
    shares = {("Wilson score", "samples")}
    assert methods["precision"] == methods["linear_probe_accuracy"] == methods["tokenizer_probe_accuracy"] == shares
    assert methods["recall"] == {("group jackknife", "samples")}
    assert methods["rfid"] == {("infinitesimal jackknife", "pairs")}
    assert methods["gfid"] == methods["inception_score"] == {("infinitesimal jackknife", "samples")}
    assert methods["psnr"] == methods["ar_val_loss"] == {("percentile bootstrap", "samples")}
