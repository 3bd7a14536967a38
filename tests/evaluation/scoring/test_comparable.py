"""Scores of different protocols are not compared by accident."""

import pytest

from gigatok.artifacts import Protocol, Score
from gigatok.config import GigatokError
from gigatok.evaluation.scoring.comparable import require_comparable


def _score(**fields: object) -> Score:
    return Score(metric="gfid/x", value=1.0, protocol=Protocol.model_validate(fields))


def test_equal_protocols_and_other_seeds_may_be_compared() -> None:
    assert require_comparable([_score(sample_count=10, seed=0), _score(sample_count=10, seed=1)]) == []


def test_differences_are_refused_and_listed_once() -> None:
    scores = [_score(sample_count=10), _score(sample_count=20), _score(sample_count=20, reference="train")]
    with pytest.raises(GigatokError, match=r"sample_count: 10 \| 20; reference: None \| 'train'"):
        require_comparable(scores)
    assert len(require_comparable(scores, force=True)) == 2


def test_what_is_compared_on_purpose_is_let_through() -> None:
    scores = [_score(sampler={"cfg_scale": 1.0}), _score(sampler={"cfg_scale": 2.0})]
    assert require_comparable(scores, ignore=("sampler",)) == []
    with pytest.raises(GigatokError, match="sampler"):
        require_comparable(scores)
