"""Sets of samples: balanced classes, and samples that are their own whatever is drawn with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigatok.config import ConfigError, GigatokError
from gigatok.models.ar import ArModel
from gigatok.sampling import SampleSpec, generate, sample_classes, sample_many
from gigatok.sampling.generate import Sampler
from gigatok.sampling.many import sample_uniforms


def test_classes_are_balanced_and_a_longer_set_begins_with_a_shorter_one() -> None:
    assert torch.bincount(sample_classes(20, 6)).tolist() == [4, 4, 3, 3, 3, 3]
    assert torch.equal(sample_classes(50, 6)[:20], sample_classes(20, 6))


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_batch_size_does_not_matter(ar: ArModel, batch_size: int) -> None:
    classes = sample_classes(10, 6)
    expected = sample_many(ar, classes, seed=5, batch_size=10, cfg_scale=1.5)
    assert torch.equal(sample_many(ar, classes, seed=5, batch_size=batch_size, cfg_scale=1.5), expected)


def test_any_part_of_a_set_can_be_drawn_alone(ar: ArModel) -> None:
    classes = sample_classes(10, 6)
    whole = sample_many(ar, classes, seed=5, batch_size=4)
    part = np.array([7, 2, 9])
    assert torch.equal(sample_many(ar, classes[part], seed=5, batch_size=2, ids=part), whole[part])


def test_seed_and_number_both_matter(ar: ArModel) -> None:
    classes = torch.zeros(3, dtype=torch.int64)
    one, other = (sample_many(ar, classes, seed=seed, batch_size=3) for seed in (0, 1))
    rows = {tuple(row) for row in torch.cat((one, other)).tolist()}
    assert len(rows) == 6


def test_uniforms_are_uniform_and_each_samples_own() -> None:
    numbers = sample_uniforms(3, np.arange(2000), 16)
    assert numbers.shape == (2000, 16)
    assert numbers.dtype == torch.float64
    assert 0 <= numbers.min() < 0.001
    assert 0.999 < numbers.max() < 1
    assert numbers.mean().item() == pytest.approx(0.5, abs=0.01)
    assert len(torch.unique(numbers)) == numbers.numel()
    assert torch.equal(numbers[1500:1502], sample_uniforms(3, np.array([1500, 1501]), 16))


def test_greedy_settings_and_progress_are_passed_on(ar: ArModel) -> None:
    classes = sample_classes(5, 6)
    seen: list[int] = []
    drawn = sample_many(ar, classes, seed=0, batch_size=2, progress=seen.append, greedy=True, cfg_scale=2.0)
    assert torch.equal(drawn, generate(ar, classes, greedy=True, cfg_scale=2.0))
    assert seen == [2, 4, 5]


def test_arrays_are_welcome_and_no_samples_are_no_error(ar: ArModel) -> None:
    assert sample_many(ar, np.array([1, 2]), seed=0, batch_size=8).shape == (2, 12)
    assert sample_many(ar, np.array([], dtype=np.int64), seed=0, batch_size=8).shape == (0, 12)


def test_wrong_arguments_are_named(ar: ArModel) -> None:
    classes = sample_classes(2, 6)
    with pytest.raises(GigatokError, match="batch_size 0"):
        sample_many(ar, classes, seed=0, batch_size=0)
    with pytest.raises(GigatokError, match="3 ids for 2 classes"):
        sample_many(ar, classes, seed=0, batch_size=2, ids=np.arange(3))
    with pytest.raises(ConfigError, match="top_q"):
        sample_many(ar, classes, seed=0, batch_size=2, top_q=1)


def test_bf16_draws_what_the_model_gives_in_that_type(ar: ArModel) -> None:
    classes = sample_classes(10, 6)
    drawn = sample_many(ar, classes, seed=5, batch_size=4, cfg_scale=1.5, precision="bf16")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(drawn, sample_many(ar, classes, seed=5, batch_size=4, cfg_scale=1.5))
    sampler = Sampler(ar, SampleSpec.of(precision="bf16"), ar.config.num_tokens)
    sampler(classes[:2], None if sampler.spec.greedy else torch.rand(2, ar.config.num_tokens, dtype=torch.float64))
    assert sampler._decoder is not None
    assert sampler._decoder.dtype == torch.bfloat16


def test_a_record_says_the_precision_only_where_it_is_not_the_default() -> None:
    assert "precision" not in SampleSpec.of(precision="fp32").model_dump()
    assert SampleSpec.of(precision="bf16").model_dump()["precision"] == "bf16"
    with pytest.raises(ConfigError, match="precision = 'fp8'"):
        SampleSpec.of(precision="fp8")
