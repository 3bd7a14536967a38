"""Why two scores differ: each part's effect is the score that one would have measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gigatok.evaluation.extractors.base import Extractor
from gigatok.evaluation.inputs.evaluation_set import EvaluationSet, Moments, evaluation_set
from gigatok.evaluation.inputs.files import open_set, write_adm_npz
from gigatok.evaluation.metrics.frechet import gaussian
from gigatok.evaluation.protocols import find_protocol
from gigatok.evaluation.scoring.evaluate import evaluate
from gigatok.evaluation.scoring.explain import Explanation, explain
from gigatok.evaluation.scoring.pair import EvaluateOptions
from gigatok.evaluation.store import features, score_inputs


def _set(seed: int, low: int, count: int = 40) -> EvaluationSet:
    images = np.random.default_rng(seed).integers(low, 256, (count, 12, 12, 3), dtype=np.uint8)
    return evaluation_set(images, f"set{seed}")


def _of(metric: str, explanations: list[Explanation]) -> Explanation:
    return next(item for item in explanations if item.metric == metric)


def test_a_sheet_and_itself_are_measured_alike(tiny: Extractor, tmp_path: Path) -> None:
    sheet = evaluate(_set(0, 30), _set(1, 0), EvaluateOptions(extractor="tiny"))
    found = explain(sheet, sheet, tmp_path)
    assert len(found) == len(sheet.scores)
    assert all(item.comparable and not item.effects for item in found)


def test_another_reference_is_named_and_explains_the_whole_gap(tiny: Extractor, tmp_path: Path) -> None:
    samples = _set(0, 30)
    options = EvaluateOptions(extractor="tiny", cache=tmp_path)
    first, second = evaluate(samples, _set(1, 0), options), evaluate(samples, _set(2, 60), options)
    before = tiny.network.seen
    item = _of("gfid/tiny", explain(first, second, tmp_path))
    assert tiny.network.seen == before
    assert [difference.field for difference in item.differences] == ["reference"]
    (effect,) = item.effects
    assert effect.change == "reference"
    assert effect.value == pytest.approx(second.value("gfid/tiny"), rel=1e-9)


def test_sample_count_and_preprocessing_are_told_apart(tiny: Extractor, tmp_path: Path) -> None:
    samples, reference = _set(0, 0), _set(1, 0)
    options = EvaluateOptions(extractor="tiny", cache=tmp_path)
    first = evaluate(samples, reference, options)
    smaller = EvaluateOptions(extractor="tiny", cache=tmp_path, extractor_size=4)
    assert samples.images is not None
    fewer = evaluation_set(samples.images[:20], "fewer")
    second = evaluate(fewer, reference, smaller)
    evaluate(samples, reference, smaller)  # fills the cache for A under B's preprocessing
    effects = {effect.change: effect for effect in _of("gfid/tiny", explain(first, second, tmp_path)).effects}
    assert set(effects) == {"extractor and preprocessing", "sample count", "samples (not a matter of protocol)"}
    same = evaluate(samples, reference, smaller).value("gfid/tiny")
    assert effects["extractor and preprocessing"].value == pytest.approx(same, rel=1e-9)
    count = effects["sample count"].value
    assert count is not None
    assert count > first.value("gfid/tiny")
    unseen = effects["samples (not a matter of protocol)"]
    assert unseen.value is None
    assert unseen.reason == "features of the samples under this extractor and preprocessing are not cached"


def test_sheets_of_two_projects_are_taken_apart_with_the_features_of_both(tiny: Extractor, tmp_path: Path) -> None:
    reference, ours, theirs = _set(1, 0), tmp_path / "ours", tmp_path / "theirs"
    first = evaluate(_set(0, 30), reference, EvaluateOptions(extractor="tiny", cache=ours))
    second = evaluate(_set(3, 90, count=30), reference, EvaluateOptions(extractor="tiny", cache=theirs))
    assert _of("gfid/tiny", explain(first, second, ours)).effects[0].value is None
    effects = {effect.change: effect.value for effect in _of("gfid/tiny", explain(first, second, ours, theirs)).effects}
    assert effects["samples (not a matter of protocol)"] == pytest.approx(second.value("gfid/tiny"), rel=1e-9)
    assert effects["sample count"] is not None


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "of earlier versions"])
def test_sheets_of_two_versions_of_the_code_find_their_features(
    tiny: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    """The code of today is a third version, which has computed nothing."""
    sheets, caches, samples = [], [], _set(0, 30)
    for version, reference in (("1", _set(1, 0)), ("2", _set(2, 60))):
        monkeypatch.setattr(features, "extraction_code", lambda version=version: version * 64)
        monkeypatch.setattr(score_inputs, "extraction_code", lambda version=version: version * 64 if noted else "")
        caches.append(tmp_path / version)
        sheets.append(evaluate(samples, reference, EvaluateOptions(extractor="tiny", cache=caches[-1])))
    monkeypatch.setattr(features, "extraction_code", lambda: "3" * 64)
    (effect,) = _of("gfid/tiny", explain(*sheets, *caches)).effects
    assert (effect.change, effect.reason) == ("reference", None)
    assert effect.value == pytest.approx(sheets[1].value("gfid/tiny"), rel=1e-9)


def test_of_several_versions_features_of_the_sheets_own_are_taken(
    tiny: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, reference = _set(0, 30), _set(1, 0)
    options = EvaluateOptions(extractor="tiny", cache=tmp_path)
    for module in (features, score_inputs):
        monkeypatch.setattr(module, "extraction_code", lambda: "1" * 64)
    first, second = evaluate(samples, reference, options), evaluate(samples, _set(2, 60), options)
    for module in (features, score_inputs):
        monkeypatch.setattr(module, "extraction_code", lambda: "2" * 64)
    extract = Extractor.extract
    with monkeypatch.context() as other:  # what that version computes is three times as large
        other.setattr(Extractor, "extract", lambda *given: (found := extract(*given))._replace(pool=found.pool * 3))
        for judged in (reference, _set(2, 60)):
            evaluate(samples, judged, options)
    (effect,) = _of("gfid/tiny", explain(first, second, tmp_path)).effects
    assert effect.value == pytest.approx(second.value("gfid/tiny"), rel=1e-9)


def _stored(inception: Extractor, path: Path, judged: EvaluationSet) -> EvaluationSet:
    """``judged`` as ADM's files are: images, and statistics of more than these."""
    more = np.random.default_rng(9).integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
    write_adm_npz(
        path, judged.images, Moments(gaussian(find_protocol("adm").prepared(inception).extract(more).pool), None)
    )
    return open_set(path)


def test_images_beside_stored_statistics_are_found_again(inception: Extractor, tmp_path: Path) -> None:
    options = EvaluateOptions(extractor="inception-2015", protocol="adm", cache=tmp_path / "cache")
    samples = _stored(inception, tmp_path / "samples.npz", _set(0, 30))
    first, second = (
        evaluate(samples, _stored(inception, tmp_path / f"{seed}.npz", _set(seed, low)), options)
        for seed, low in ((1, 0), (2, 60))
    )
    for metric in ("gfid", "kid", "precision", "recall"):
        (effect,) = _of(f"{metric}/inception-2015", explain(first, second, tmp_path / "cache")).effects
        assert (effect.change, effect.reason) == ("reference", None)
        assert effect.value == pytest.approx(second.value(metric), rel=1e-9)


def test_stored_statistics_are_not_held_against_another_resize(inception: Extractor, tmp_path: Path) -> None:
    adm = EvaluateOptions(extractor="inception-2015", protocol="adm", cache=tmp_path / "cache")
    samples, reference = _set(0, 30), _stored(inception, tmp_path / "reference.npz", _set(1, 0))
    first = evaluate(samples, reference, adm)
    second = evaluate(samples, reference, replace(adm, protocol="pytorch-fid"))
    explanations = explain(first, second, tmp_path / "cache")
    effects = {effect.change: effect for effect in _of("gfid/inception-2015", explanations).effects}
    assert effects["extractor and preprocessing"].value is None
    assert "statistics belong to inception-2015 with TensorFlow's resize" in str(
        effects["extractor and preprocessing"].reason
    )
    alone = evaluate(samples, _set(1, 0), adm)
    assert effects["reference"].value == pytest.approx(alone.value("gfid"), rel=1e-9)
    kid = {effect.change: effect for effect in _of("kid/inception-2015", explanations).effects}
    assert kid["extractor and preprocessing"].value == pytest.approx(second.value("kid"), rel=1e-9)


def test_fewer_reconstructions_are_held_against_their_own_originals(tiny: Extractor, tmp_path: Path) -> None:
    originals = _set(1, 0)
    assert originals.images is not None
    # almost perfect reconstructions, with one grey level less
    near = evaluation_set(originals.images - (originals.images > 0).astype(np.uint8), "near")
    assert near.images is not None
    fewer = (evaluation_set(images[:20], name) for images, name in ((near.images, "few"), (originals.images, "first")))
    options = EvaluateOptions(extractor="tiny", cache=tmp_path, reconstructions=True)
    first, second = evaluate(near, originals, options), evaluate(*fewer, options)
    for metric in ("rfid/tiny", "kid/tiny"):
        effects = {effect.change: effect.value for effect in _of(metric, explain(first, second, tmp_path)).effects}
        assert effects["sample count"] == pytest.approx(second.value(metric), rel=0.2)


def test_a_crop_is_no_effect_of_the_extractor(tiny: Extractor, tmp_path: Path) -> None:
    whole, reference = _set(0, 30), _set(1, 0)
    assert whole.images is not None
    cropped = replace(evaluation_set(np.ascontiguousarray(whole.images[:, 2:-2, 2:-2]), whole.name), crop=8)
    options = EvaluateOptions(extractor="tiny", cache=tmp_path)
    first, second = (evaluate(samples, reference, options) for samples in (whole, cropped))
    item = _of("gfid/tiny", explain(first, second, tmp_path))
    assert [difference.field for difference in item.differences] == ["crop"]
    (effect,) = item.effects
    assert effect.change == "samples, with their crop"
    assert effect.value == pytest.approx(second.value("gfid/tiny"), rel=1e-9)


def test_settings_of_a_metric_are_an_effect_of_their_own(tiny: Extractor, tmp_path: Path) -> None:
    samples, reference = _set(0, 30), _set(1, 0)
    first = evaluate(samples, reference, EvaluateOptions(extractor="tiny", cache=tmp_path))
    second = evaluate(samples, reference, EvaluateOptions(extractor="tiny", cache=tmp_path, protocol="adm"))
    explanations = explain(first, second, tmp_path)
    assert _of("gfid/tiny", explanations).comparable
    item = _of("precision/tiny", explanations)
    (effect,) = item.effects
    assert effect.change == "precision settings"
    assert effect.value == second.value("precision/tiny")


def test_without_cached_features_differences_are_still_listed(tiny: Extractor) -> None:
    first = evaluate(_set(0, 30), _set(1, 0), EvaluateOptions(extractor="tiny"))
    second = evaluate(_set(0, 30), _set(2, 60), EvaluateOptions(extractor="tiny"))
    item = _of("kid/tiny", explain(first, second))
    assert not item.comparable
    assert item.effects[0].value is None
    assert "no cached features" in str(item.effects[0].reason)
