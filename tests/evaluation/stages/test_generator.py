"""Stage ``evaluate_generator`` on a small project: scores, the search for guidance, seeds, kill and resume."""

import json
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gigatok.artifacts import ScoreSheet, read_journal
from gigatok.evaluation.decode import decode
from gigatok.evaluation.guidance import sampler
from gigatok.evaluation.guidance.search import GuidanceSearch
from gigatok.evaluation.guidance.setting import GuidanceReport
from gigatok.evaluation.metrics.frechet import frechet_distance, gaussian
from gigatok.evaluation.stages import generator as generator_stage
from gigatok.evaluation.stages.generator import score_generator, study_identity
from gigatok.evaluation.store import samples as sample_store
from gigatok.interop.native import load_ar_dir, load_tokenizer_dir, save_model
from gigatok.sampling import sample_classes, sample_many


def evaluated(project, **changes: object) -> ScoreSheet:
    score_generator("S-S", project.evaluating(**changes), project.workspace)
    return ScoreSheet.read(project.workspace.generator("S-S").summary_path)


def test_all_scores_are_there_with_intervals(project) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sheet = evaluated(project)
    assert list(sheet.values()) == [
        "gfid/tiny",
        "kid/tiny",
        "mind/tiny",
        "precision/tiny",
        "recall/tiny",
        "inception_score/tiny",
        "gfid_infinity/tiny",
        "gsfid/tiny",
        "gfid_cfg_1/tiny",
        "gfid_cfg_2/tiny",
        "gfid_best_cfg/tiny",
        "kid_best_cfg/tiny",
        "mind_best_cfg/tiny",
        "precision_best_cfg/tiny",
        "recall_best_cfg/tiny",
        "inception_score_best_cfg/tiny",
        "frechet_ratio/tiny",
        "frechet_ratio_rest/tiny",
        "frechet_ratio_best_cfg/tiny",
        "frechet_ratio_rest_best_cfg/tiny",
        "ar_val_loss",
        "linear_probe_accuracy",
    ]
    for score in (*sheet.scores, *sheet.floors):
        if score.metric != "gfid_infinity/tiny":
            assert score.interval is not None, score
            assert score.interval[0] <= score.value <= score.interval[1]
    assert {floor.floor for floor in sheet.floors} == {"shuffled tokens", "majority class"}
    assert sheet.value("gfid") == sheet.value("gfid_cfg_1")
    assert sheet.value("gfid_best_cfg") == min(sheet.value("gfid_cfg_1"), sheet.value("gfid_cfg_2"))
    assert sheet.score("recall_best_cfg").protocol == sheet.score("recall").protocol.replace(
        sampler=sheet.score("gfid_best_cfg").protocol.sampler
    )
    assert sheet.score("gfid_cfg_2").protocol.sampler["cfg_scale"] == 2.0
    real = ScoreSheet.read(project.workspace.reference / "summary.json").value("real_gfid")
    assert sheet.value("frechet_ratio") == pytest.approx(sheet.value("gfid") / real)
    assert sheet.value("frechet_ratio_best_cfg") == pytest.approx(sheet.value("gfid_best_cfg") / real)
    rest = ScoreSheet.read(project.workspace.reference / "summary.json").value("real_gfid_rest")
    assert sheet.value("frechet_ratio_rest") == pytest.approx(sheet.value("gfid") / rest)
    with np.load(project.workspace.generator("S-S").details_path) as details:
        for metric in ("ar_val_loss", "linear_probe_accuracy"):
            values = details[f"images/{metric}"]
            assert values.mean() == pytest.approx(sheet.value(metric), rel=1e-5)
            assert len(values) == sheet.score(metric).protocol.sample_count


def test_what_lies_inside_a_manifold_is_kept_sample_by_sample(project) -> None:
    sheet = evaluated(project, cfg_scales=[1.0, 1.2, 1.5, 3.0, 6.0])
    assert sheet.value("gfid_best_cfg") < sheet.value("gfid")  # so that two sets of samples are seen
    with np.load(project.workspace.generator("S-S").details_path) as details:
        for metric, count in (("precision", 20), ("recall", sheet.score("recall").protocol.reference_count)):
            plain, guided = (details[f"images/{name}/tiny"] for name in (metric, f"{metric}_best_cfg"))
            assert set(np.unique([*plain, *guided])) <= {0.0, 1.0}
            assert len(plain) == len(guided) == count
            assert plain.mean() == pytest.approx(sheet.value(metric))
            assert guided.mean() == pytest.approx(sheet.value(f"{metric}_best_cfg"))
        assert len(details["images/gfid_best_cfg/tiny"]) == 20


def test_the_samples_are_those_of_a_plain_run_and_carry_the_score(project) -> None:
    sheet = evaluated(project)
    run = project.workspace.generator("S-S")
    arrays = np.load(run.path / "samples.npz")
    ar = load_ar_dir(run.path)
    classes = sample_classes(20, ar.config.num_classes)
    assert arrays["classes"].tolist() == classes.tolist()
    tokenizer = load_tokenizer_dir(project.workspace.tokenizer("S-S").path)
    plain = decode(tokenizer, sample_many(ar, classes, project.params.base.seed, 20), 20)
    # Decoding in other batches may round a pixel differently.
    assert np.abs(plain.astype(int) - arrays["samples"].astype(int)).max() <= 1
    assert arrays["samples_cfg_2"].shape == plain.shape
    with np.load(project.workspace.reference / "features.npz") as real:
        pool = project.judge.extract(arrays["samples"]).pool
        assert sheet.value("gfid") == pytest.approx(frechet_distance(*gaussian(real["samples"]), *gaussian(pool)))


def test_killed_sampling_goes_on_and_scoring_again_draws_and_judges_nothing(
    project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_store, "PART", 4)
    monkeypatch.setattr(sampler, "PART", 4)
    whole, drawn = sample_many, []

    def dies(ar, classes: torch.Tensor, *rest: object, **settings: object) -> torch.Tensor:
        if len(drawn) == 8:
            drawn.append(0)
            raise KeyboardInterrupt
        drawn.append(len(classes))
        return whole(ar, classes, *rest, **settings)

    monkeypatch.setattr(sample_store, "sample_many", dies)
    with pytest.raises(KeyboardInterrupt):
        evaluated(project)
    assert drawn == [4] * 8 + [0]
    evaluated(project)
    assert drawn == [4] * 8 + [0] + [4, 4]  # 40 samples in all: only the last 8 were missing
    path = project.workspace.generator("S-S").summary_path
    first, seen = path.read_bytes(), project.judge.network.seen
    evaluated(project)
    assert path.read_bytes() == first
    assert len(drawn) == 11
    assert project.judge.network.seen == seen


def test_other_weights_are_drawn_anew(project) -> None:
    before = evaluated(project)
    run = project.workspace.generator("S-S")
    ar = load_ar_dir(run.path)
    torch.nn.init.normal_(ar.head.weight)
    save_model(run.path, ar, ar.config)
    assert evaluated(project).value("gfid") != before.value("gfid")


def test_the_climb_reports_its_curve_and_tells_the_tracker_once(project) -> None:
    changes = {"guidance": {"kind": "zero-order", "start": 1.5}}
    sheet = evaluated(project, **changes)
    curve = {name: value for name, value in sheet.values().items() if name.startswith("gfid_cfg_")}
    assert {"gfid_cfg_1/tiny", "gfid_cfg_1p5/tiny", "gfid_cfg_1p75/tiny"} <= set(curve)
    assert sheet.value("gfid_best_cfg") == min(curve.values())
    run = project.workspace.generator("S-S")
    told = [point for point in read_journal(run.journal_path) if point.name == "guidance/gfid"]
    assert sorted(point.value for point in told) == sorted(curve.values())
    evaluated(project, **changes)
    again = [point for point in read_journal(run.journal_path) if point.name == "guidance/gfid"]
    assert again == told


def test_every_scale_of_a_list_is_a_trial_of_the_tracker_too(project) -> None:
    sheet = evaluated(project)
    evaluated(project)
    run = project.workspace.generator("S-S")
    told = [point.value for point in read_journal(run.journal_path) if point.name == "guidance/gfid"]
    assert told == [sheet.value("gfid_cfg_1"), sheet.value("gfid_cfg_2")]
    scales = [point.value for point in read_journal(run.journal_path) if point.name == "guidance/scale"]
    assert scales == [1.0, 2.0]


def test_a_study_is_shared_resumed_and_kept_as_an_artifact(project) -> None:
    guidance = {"kind": "study", "trials": 4, "samples": (10,), "scales": (1.5, 3.0), "starts": (0.0, 0.5)}
    sheet = evaluated(project, guidance=guidance)
    run = project.workspace.generator("S-S")
    studies = project.workspace.runs / "studies"
    assert (studies / "S-S.log").is_file()
    noted = [json.loads(line) for line in (run.path / "artifacts.jsonl").read_text().splitlines()]
    assert noted[0]["folder"] == "guidance"
    report = json.loads(next(studies.glob("*.json")).read_text())
    assert report["unguided"]["gfid"] == pytest.approx(sheet.value("gfid"))
    assert report["best"]["gfid"] == pytest.approx(sheet.value("gfid_best_cfg"))
    full = [trial for trial in report["curve"] if trial["samples"] == 20]
    assert len(full) == len([name for name in sheet.values() if name.startswith("gfid_cfg_")])
    size = (studies / "S-S.log").stat().st_size
    assert evaluated(project, guidance=guidance).values() == sheet.values()
    assert (studies / "S-S.log").stat().st_size - size < 2000  # opened again, no new trials


def test_no_set_of_samples_is_decoded_twice_for_its_scores(project, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def counted(tokenizer, indices: torch.Tensor, batch_size: int) -> np.ndarray:
        decoded.append(len(indices))
        return decode(tokenizer, indices, batch_size)

    def guided(self: GuidanceSearch) -> GuidanceReport:
        report = search(self)
        return report._replace(best=report.curve[-1])

    search = GuidanceSearch.search
    monkeypatch.setattr(GuidanceSearch, "search", guided)
    monkeypatch.setattr(sampler, "decode", counted)
    evaluated(project)
    assert decoded == [20, 20, 20]  # without guidance, with it, shuffled tokens


def test_several_seeds_have_a_mean_and_an_interval(project) -> None:
    one = evaluated(project)
    sheet = evaluated(project, seeds=(0, 1, 2))
    mean = sheet.score("gfid_seed_mean")
    assert sheet.value("gfid") == one.value("gfid")
    assert mean.value != one.value("gfid")
    assert mean.interval is not None
    assert mean.interval[0] < mean.value < mean.interval[1]
    assert mean.protocol.seed is None
    assert "seeds 0, 1, 2" in str(mean.protocol.notes)
    assert sheet.has("gfid_best_cfg_seed_mean")
    assert not one.has("gfid_seed_mean")


def test_the_stage_imports_neither_mlflow_nor_optuna_for_a_list() -> None:
    code = "import sys, gigatok.evaluation.stages.generator; print({'mlflow', 'optuna'} & sys.modules.keys())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"


def test_half_precision_is_asked_for_and_recorded(project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples and their decoding; the extractor stays in fp32."""
    decoded: list[bool] = []
    decode = sampler.decode

    def seen(*values: object) -> np.ndarray:
        decoded.append(torch.is_autocast_enabled("cpu"))
        return decode(*values)

    monkeypatch.setattr(sampler, "decode", seen)
    plain = evaluated(project)
    assert not any(decoded)
    decoded.clear()
    half = evaluated(project, precision="bf16")
    assert decoded
    assert all(decoded)
    of_samples = [score for score in half.scores if score.metric.startswith("gfid/")]
    assert [score.protocol.sampler["precision"] for score in of_samples] == ["bf16"]
    for score in plain.scores:
        assert "precision" not in (score.protocol.sampler or {})


def test_a_study_is_of_the_reference_images_and_of_compiled_or_plain_sampling(project) -> None:
    """A file of reference images that was replaced has its old path."""
    params, data = project.evaluating(), SimpleNamespace(data_sha256="d")

    def identity(content: str = "a", decoders: object = None) -> str:
        sampler = SimpleNamespace(weights_sha256="w", extractor=SimpleNamespace(sha256="e"), decoders=decoders)
        return study_identity(sampler, "t", params, data, SimpleNamespace(samples_content=content))

    assert identity() == identity()
    assert len({identity(), identity("b"), identity(decoders=object())}) == 3


def test_a_study_is_of_the_code_in_memory(project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module is edited while the stage runs: what scores the trials is what was loaded."""
    params, data, known = project.evaluating(), SimpleNamespace(data_sha256="d"), SimpleNamespace(samples_content="a")
    sampler = SimpleNamespace(weights_sha256="w", extractor=SimpleNamespace(sha256="e"), decoders=None)
    before = study_identity(sampler, "t", params, data, known)
    monkeypatch.setattr(generator_stage, "code_fingerprint", lambda _: "edited")
    assert study_identity(sampler, "t", params, data, known) == before
