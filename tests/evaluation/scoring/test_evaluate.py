"""Scores of two sets: names, records, absences, intervals, the same numbers as the formulas give."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gigatok
from gigatok.artifacts import Crop, Estimator, FewSamples, Provenance, protocol_differences
from gigatok.config import ConfigError, GigatokError
from gigatok.evaluation.extractors.base import Extractor
from gigatok.evaluation.inputs.evaluation_set import EvaluationSet, Moments, evaluation_set
from gigatok.evaluation.metrics.frechet import frechet_distance, gaussian
from gigatok.evaluation.metrics.image_quality import psnr, ssim
from gigatok.evaluation.metrics.kernel_distance import kernel_distance
from gigatok.evaluation.metrics.precision_recall import precision_recall
from gigatok.evaluation.scoring import evaluate as evaluate_module
from gigatok.evaluation.scoring.evaluate import evaluate
from gigatok.evaluation.scoring.pair import EvaluateOptions
from gigatok.teachers import load_perceptual


def _sets(count: int = 40) -> tuple[EvaluationSet, EvaluationSet]:
    random = np.random.default_rng(0)
    real = random.integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    fake = random.integers(30, 256, (count, 12, 12, 3), dtype=np.uint8)
    return evaluation_set(fake, "fake"), evaluation_set(real, "real")


def test_scores_are_those_of_the_formulas_and_carry_their_protocol(tiny: Extractor) -> None:
    fake, real = _sets()
    sheet = evaluate(fake, real, EvaluateOptions(extractor="tiny"))
    assert fake.images is not None
    assert real.images is not None
    a, b = tiny.extract(fake.images), tiny.extract(real.images)
    assert sheet.value("gfid/tiny") == pytest.approx(frechet_distance(*gaussian(a.pool), *gaussian(b.pool)))
    assert sheet.value("gsfid/tiny") == pytest.approx(frechet_distance(*gaussian(a.spatial), *gaussian(b.spatial)))
    assert sheet.value("kid/tiny") == pytest.approx(kernel_distance(b.pool, a.pool))
    assert sheet.value("precision/tiny") == precision_recall(b.pool, a.pool).precision
    assert sheet.value("recall/tiny") == precision_recall(b.pool, a.pool).recall
    protocol = sheet.score("gfid/tiny").protocol
    assert protocol.reference == f"real ({real.sha256[:12]})"
    assert (protocol.reference_count, protocol.sample_count) == (40, 40)
    assert protocol.extractor_sha256 == tiny.sha256
    assert sheet.score("inception_score").protocol.reference is None
    assert sheet.notes[0].startswith("protocol ours")


def test_reconstructions_add_pixel_scores_under_the_protocols_ssim(tiny: Extractor) -> None:
    fake, real = _sets()
    options = EvaluateOptions(extractor="tiny", reconstructions=True)
    sheet = evaluate(fake, real, options)
    assert sheet.has("rfid/tiny")
    assert not sheet.has("gfid")
    assert sheet.value("psnr") == pytest.approx(psnr(real.images, fake.images).mean())
    release = evaluate(fake, real, EvaluateOptions(extractor="tiny", reconstructions=True, protocol="gigatok-release"))
    assert release.value("ssim") == pytest.approx(ssim(real.images, fake.images, "gigatok-release").mean())
    assert release.value("ssim") > sheet.value("ssim")
    differences = protocol_differences(release.score("ssim"), sheet.score("ssim"))
    assert [str(each) for each in differences] == ["estimator: {'ssim': 'gigatok-release'} | {'ssim': 'standard'}"]
    with pytest.raises(GigatokError, match="as many originals"):
        evaluate(evaluation_set(fake.images[:30], "few"), real, options)


def test_what_cannot_be_measured_is_absent_with_its_reason(tiny: Extractor) -> None:
    fake, real = _sets(3)
    sheet = evaluate(fake, real, EvaluateOptions(extractor="tiny", protocol="clean-fid"))
    assert not sheet.has("kid")
    assert not sheet.has("precision")
    reasons = " | ".join(sheet.notes)
    assert "kid is absent: subsets of 1000 need as many images" in reasons
    assert "precision is absent: 3 neighbours need more images" in reasons
    assert "inception_score is absent: 10 splits need as many samples" in reasons
    assert sheet.few_samples == FewSamples(samples=3, reference=3, dimensions=12)


def test_intervals_hold_the_value_and_infinity_is_its_own_score(tiny: Extractor) -> None:
    fake, real = _sets(400)
    sheet = evaluate(fake, real, EvaluateOptions(extractor="tiny", resamples=5, infinity=True))
    for score in sheet.scores:
        if "infinity" not in score.metric:
            assert score.interval is not None, score.metric
            assert score.interval[0] <= score.value <= score.interval[1], score.metric
    assert sheet.value("gfid_infinity/tiny") < sheet.value("gfid/tiny")
    assert sheet.score("gfid_infinity").protocol.estimator == Estimator(line_points=5, line_smallest=40)
    assert evaluate(fake, real, EvaluateOptions(extractor="tiny")).few_samples is None


def test_the_limit_of_reconstructions_keeps_pairs_together(tiny: Extractor) -> None:
    fake, real = _sets(80)
    options = EvaluateOptions(extractor="tiny", infinity=True, reconstructions=True, resamples=5)
    same = evaluate(real, real, replace(options, resamples=0))
    assert same.value("psnr") == pytest.approx(48.1308 + 10 * np.log10(3 * 12 * 12), abs=1e-3)
    assert any("psnr: 80 images equal their originals" in note for note in same.notes)
    # against all originals, fewer reconstructions would look worse than all: the line would fall below 0
    assert same.value("rfid_infinity/tiny") == pytest.approx(0.0, abs=1e-5)
    score = evaluate(fake, real, options).score("rfid_infinity/tiny")
    assert score.interval is not None
    assert score.interval[0] < score.value < score.interval[1]
    assert (score.protocol.interval_method, score.protocol.interval_over) == ("group jackknife", "pairs")


def test_fids_interval_follows_pairs(tiny: Extractor) -> None:
    fake, real = _sets(80)
    plain = evaluate(fake, real, EvaluateOptions(extractor="tiny", resamples=5)).score("gfid")
    paired = evaluate(fake, real, EvaluateOptions(extractor="tiny", resamples=5, reconstructions=True)).score("rfid")
    assert paired.value == pytest.approx(plain.value)
    assert plain.interval is not None
    assert paired.interval is not None
    assert paired.interval != plain.interval
    assert (plain.protocol.interval_method, plain.protocol.interval_over) == ("infinitesimal jackknife", "samples")
    assert (paired.protocol.interval_method, paired.protocol.interval_over) == ("infinitesimal jackknife", "pairs")
    # an interval is no difference of protocol
    assert protocol_differences(plain, evaluate(fake, real, EvaluateOptions(extractor="tiny")).score("gfid")) == []


def test_perceptual_distances_carry_their_network_and_absent_weights_a_reason(tiny: Extractor, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    fake, real = (evaluation_set(random.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8), name) for name in "ab")
    options = EvaluateOptions(
        extractor="tiny",
        reconstructions=True,
        perceptual=("efficientnet-lite0", "vgg16"),
        perceptual_weights=tmp_path / "vgg16.pth",
    )
    sheet = evaluate(fake, real, options)
    score = sheet.score("perceptual_distance/efficientnet-lite0")
    assert score.value > 0
    assert score.protocol.extractor_sha256 == load_perceptual("efficientnet-lite0").sha256
    assert not sheet.has("lpips")
    assert any(note.startswith("lpips/vgg16 is absent: ") and "vgg16.pth" in note for note in sheet.notes)


def test_the_plot_over_counts_is_written_on_request(tiny: Extractor, tmp_path: Path) -> None:
    fake, real = _sets(80)
    sheet = evaluate(fake, real, EvaluateOptions(extractor="tiny", count_plot=tmp_path / "counts.svg"))
    text = (tmp_path / "counts.svg").read_text()
    assert "<svg" in text
    assert sheet.has("gfid_infinity/tiny")


def test_statistics_serve_as_reference_for_inception_alone(tiny: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real = _sets()
    moments = Moments(gaussian(tiny.extract(real.images).pool), None)
    stored = EvaluationSet(name="stats.npz", sha256="f" * 64, images=None, moments=moments)
    with pytest.raises(ConfigError, match="use extractor inception-2015"):
        evaluate(fake, stored, EvaluateOptions(extractor="tiny"))
    sheet = evaluate(fake, stored, EvaluateOptions(extractor="inception-2015"))
    plain = evaluate(fake, real, EvaluateOptions(extractor="tiny"))
    assert sheet.value("gfid/tiny") == pytest.approx(plain.value("gfid/tiny"))
    assert sheet.score("gfid").protocol.reference_count is None
    assert any("kid is absent: the reference holds statistics only" in note for note in sheet.notes)


@pytest.mark.parametrize("name", ["clean-fid", "pytorch-fid"])
def test_statistics_of_one_resize_are_not_held_against_another(name: str, inception: Extractor) -> None:
    fake, real = _sets()
    moments = Moments(gaussian(inception.extract(real.images[:20]).pool), None)
    options = EvaluateOptions(extractor="inception-2015", protocol=name)
    stored = EvaluationSet(name="stats.npz", sha256="f" * 64, images=None, moments=moments)
    with pytest.raises(
        ConfigError, match=rf"statistics in stats\.npz .*protocol {name} has another: use --protocol adm"
    ):
        evaluate(fake, stored, options)
    both = EvaluationSet(name="real", sha256="f" * 64, images=real.images, moments=moments)
    sheet = evaluate(fake, both, options)
    assert any("the statistics in real are left out" in note for note in sheet.notes)
    assert sheet.score("gfid") == evaluate(fake, real, options).score("gfid")
    adm = evaluate(fake, both, replace(options, protocol="adm"))
    assert adm.score("gfid").protocol.reference_count is None
    assert not any("left out" in note for note in adm.notes)


def test_images_beside_statistics_do_for_pairs_and_other_extractors(inception: Extractor) -> None:
    fake, real = _sets()
    moments = Moments(gaussian(inception.extract(real.images[:20]).pool), None)
    both = EvaluationSet(name="real", sha256="f" * 64, images=real.images, moments=moments)
    for options in (
        EvaluateOptions(extractor="inception-2015", reconstructions=True),
        EvaluateOptions(extractor="other"),
    ):
        sheet = evaluate(fake, both, options)
        assert [(s.metric, s.value) for s in sheet.scores] == [
            (s.metric, s.value) for s in evaluate(fake, real, options).scores
        ]
        assert any("the statistics in real are left out" in note for note in sheet.notes)


def test_the_limit_is_a_rough_guide_with_fewer_samples_than_dimensions(tiny: Extractor) -> None:
    for paired, name in ((False, "gfid_infinity"), (True, "rfid_infinity")):
        options = EvaluateOptions(extractor="tiny", infinity=True, resamples=5, reconstructions=paired)
        few, enough = (evaluate(*_sets(count), options).score(name) for count in (11, 80))
        assert few.interval is None
        assert few.protocol.rough
        assert enough.interval is not None
        assert not enough.protocol.rough


@pytest.mark.parametrize("count", [1, 2, 3])
def test_with_too_few_samples_for_a_line_the_limit_is_absent(count: int, tiny: Extractor, tmp_path: Path) -> None:
    plot = tmp_path / "counts.svg"
    for paired in (False, True)[count == 1 :]:  # of one sample alone nothing can be measured
        options = EvaluateOptions(extractor="tiny", infinity=True, count_plot=plot, reconstructions=paired)
        sheet = evaluate(*_sets(count), options)
        assert not any("infinity" in score.metric for score in sheet.scores)
        assert f"fid_infinity is absent: {count} samples make no line over 1/n, 4 are needed" in sheet.notes
        assert not plot.exists()


def test_missing_weights_cost_only_what_needs_them(tiny: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> Extractor:
        raise GigatokError("weights are missing: pass --weights")

    fake, real = _sets()
    options = EvaluateOptions(extractor="tiny", reconstructions=True, infinity=True)
    whole = evaluate(fake, real, options)
    monkeypatch.setattr(evaluate_module, "load_extractor", load)
    sheet = evaluate(fake, real, options)
    assert [score.metric for score in sheet.scores] == ["psnr", "ssim"]
    assert sheet.score("psnr") == whole.score("psnr")
    absent = "fid, sfid, kid, mind, inception_score, precision, recall, fid_infinity are absent: weights are missing"
    assert any(note.startswith(absent) for note in sheet.notes)
    with pytest.raises(GigatokError, match=r"^weights are missing: pass --weights$"):
        evaluate(fake, real, replace(options, reconstructions=False))
    # too small for SSIM, and equal: PSNR stays finite
    same = evaluation_set(np.zeros((4, 4, 4, 3), dtype=np.uint8), "same")
    assert evaluate(same, same, options).values() == {"psnr": pytest.approx(10 * np.log10(255**2 * 48))}


def test_scores_say_which_code_measured_them(tiny: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def state(root: Path) -> tuple[str, bool]:
        asked.append(root)
        return "c0de", True

    monkeypatch.setattr(evaluate_module, "git_state", state)
    sheet = evaluate(*_sets(), EvaluateOptions(extractor="tiny", reconstructions=True, infinity=True))
    assert all(score.provenance == Provenance(commit="c0de", dirty=True) for score in sheet.scores)
    assert asked == [Path(gigatok.__file__).parent]  # the code's folder: the command may be called from any other


def test_a_crop_is_recorded(tiny: Extractor) -> None:
    fake, real = _sets()
    options = EvaluateOptions(extractor="tiny", reconstructions=True)
    cropped = evaluate(fake, replace(real, crop=12), options)
    assert cropped.score("rfid").protocol.preprocessing == tiny.preprocessing
    assert cropped.score("rfid").protocol.crop == cropped.score("psnr").protocol.crop == Crop(reference=12)
    both = evaluate(replace(fake, crop=12), replace(real, crop=12), options).score("psnr").protocol.crop
    assert both == Crop(samples=12, reference=12)
    assert evaluate(fake, real, options).score("psnr").protocol.crop is None


def test_one_pass_over_each_set_and_none_with_a_cache(tiny: Extractor, tmp_path: Path) -> None:
    fake, real = _sets()
    first = evaluate(fake, real, EvaluateOptions(extractor="tiny", cache=tmp_path))
    assert tiny.network.seen == 80
    second = evaluate(fake, real, EvaluateOptions(extractor="tiny", cache=tmp_path))
    assert tiny.network.seen == 80
    assert first == second


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="protocol 'x' is not one of ours, adm, gigatok-release"):
        evaluate(*_sets(), EvaluateOptions(protocol="x"))


def test_the_sheet_says_what_the_sets_were_made_of(tiny: Extractor) -> None:
    fake, real = _sets()
    samples = replace(
        fake,
        order="folders",
        linked=1,
        left_out={"hidden": 2},
        examples={"hidden": "._0.png"},
        traits={"EXIF rotation": 3, "transparency": 4},
        transparency="dropped",
    )
    sheet = evaluate(samples, real, EvaluateOptions(extractor="tiny", protocol="pytorch-fid"))
    first, second = sheet.inputs
    assert (first.role, first.images, first.order, first.linked) == ("samples", 40, "folders", 1)
    assert (first.left_out, first.traits["transparency"]) == ({"hidden": 2}, 4)
    assert (second.role, second.images, second.left_out, second.paired_by) == ("reference", 40, {}, None)
    assert sheet.score("gfid").protocol.transparency == "dropped"
    for note in (
        "fake: 40 images taken (1 through links), 2 left out: hidden 2 (._0.png)",
        "fake: 3 images with EXIF rotation: ignored",
        "fake: 4 images with transparency: the alpha channel is dropped and the stored colours are taken",
        "inception_score: the samples lie in the order of their folders, so each of its splits holds few classes and "
        "the score is too low: shuffle them",
    ):
        assert note in sheet.notes
    plain = evaluate(fake, real, EvaluateOptions(extractor="tiny"))
    assert plain.score("gfid").protocol.transparency is None
    assert not any("taken" in note or "order of their" in note for note in plain.notes)
