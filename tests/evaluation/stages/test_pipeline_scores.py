"""What the scoring stages add to their judge: other extractors, and inputs that ``explain`` can take apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigatok.artifacts import ScoreSheet
from gigatok.cli.commands.explain import caches_of_runs
from gigatok.config import GigatokError
from gigatok.evaluation.scoring.explain import Explanation, explain
from gigatok.evaluation.stages import common as stage_common
from gigatok.evaluation.stages import generator as generator_stage
from gigatok.evaluation.stages import reference as reference_stage
from gigatok.evaluation.stages import tokenizer as tokenizer_stage
from gigatok.evaluation.stages import tokenizer_work


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch, make_extractor: Callable[..., Any]) -> None:
    """``dinov2-s``, tiny and of another size, and ``clip-b32``, whose weights are nowhere."""

    def load(name: str, weights: object, device: object) -> object:
        if name == "clip-b32":
            raise GigatokError("no weights at all")
        return make_extractor(name, sha256="1" * 64, size=4)

    monkeypatch.setattr(stage_common, "load_extractor", load)


def with_others(project: Any) -> Any:
    section = project.params.reference.replace(more_extractors=("dinov2-s", "clip-b32"))
    return project._replace(params=project.params.model_copy(update={"reference": section}))


def scored(project: Any, kind: str) -> ScoreSheet:
    if kind == "tokenizer":
        tokenizer_stage.score_tokenizer("S-S", project.params, project.workspace)
        return ScoreSheet.read(project.workspace.tokenizer("S-S").summary_path)
    generator_stage.score_generator("S-S", project.params, project.workspace)
    return ScoreSheet.read(project.workspace.generator("S-S").summary_path)


@pytest.mark.parametrize(("kind", "metric"), [("tokenizer", "rfd/dinov2-s"), ("generator", "gfd/dinov2-s")])
def test_other_extractors_add_a_distance_or_say_why_not(project: Any, others: None, kind: str, metric: str) -> None:
    plain, more = scored(project, kind), scored(with_others(project), kind)
    assert not plain.has(metric)
    assert more.score(metric).interval is not None
    assert more.score(metric).protocol.extractor_sha256 == "1" * 64
    assert "distances with clip-b32 are absent: no weights at all" in more.notes
    assert {name: value for name, value in more.values().items() if name != metric} == plain.values()


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_a_sheet_of_the_pipeline_is_scored_again_from_its_features(
    project: Any, kind: str, monkeypatch: pytest.MonkeyPatch, make_extractor: Callable[..., Any]
) -> None:
    metric = {"tokenizer": "rfid", "generator": "gfid"}[kind]
    first = scored(project, kind)
    smaller = make_extractor(sha256="2" * 64, size=4)
    for stage in (reference_stage, tokenizer_work, generator_stage):
        monkeypatch.setattr(stage, "open_extractor", lambda section, device: smaller)
    reference_stage.score_reference(project.params, project.workspace)
    second = scored(project, kind)
    path = project.workspace.tokenizer("S-S").summary_path
    found = {item.metric.split("/")[0]: item for item in explain(first, second, *caches_of_runs(path))}
    item: Explanation = found[metric]
    assert "extractor_size" in {difference.field for difference in item.differences}
    effect = next(each for each in item.effects if each.change == "extractor and preprocessing")
    assert effect.value == pytest.approx(item.second.value, rel=1e-6)


def test_no_cache_is_found_beside_other_sheets(tmp_path: Path) -> None:
    assert caches_of_runs(tmp_path / "ours.json") == []
