"""Why two scores differ: each part's effect is the score that one would have measured."""

from pathlib import Path

import numpy as np
import pytest

from gigatok.evaluation import EvaluateOptions, Extractor, array_set, evaluate, explain
from gigatok.evaluation.explanation import Explanation
from gigatok.evaluation.image_sets import JudgedSet


def _set(seed: int, low: int, count: int = 40) -> JudgedSet:
    images = np.random.default_rng(seed).integers(low, 256, (count, 12, 12, 3), dtype=np.uint8)
    return array_set(images, f"set{seed}")


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
    assert [difference.split(":")[0] for difference in item.differences] == ["reference"]
    (effect,) = item.effects
    assert effect.change == "reference"
    assert effect.value == pytest.approx(second.value("gfid/tiny"), rel=1e-9)


def test_sample_count_and_preprocessing_are_told_apart(tiny: Extractor, tmp_path: Path) -> None:
    samples, reference = _set(0, 0), _set(1, 0)
    options = EvaluateOptions(extractor="tiny", cache=tmp_path)
    first = evaluate(samples, reference, options)
    smaller = EvaluateOptions(extractor="tiny", cache=tmp_path, extractor_size=4)
    assert samples.images is not None
    fewer = array_set(samples.images[:20], "fewer")
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
