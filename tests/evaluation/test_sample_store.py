"""Stored samples: equal to a plain run for any batch size, resumed after a kill, a prefix of larger sets."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gigatok.config import ArConfig
from gigatok.evaluation import sample_store
from gigatok.evaluation.sample_store import stored_indices
from gigatok.models import ArModel
from gigatok.sampling import SampleSpec, sample_classes, sample_many


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ArModel:
    monkeypatch.setattr(sample_store, "PART", 4)
    torch.manual_seed(0)
    config = ArConfig(width=16, depth=1, heads=2, ffn_multiple_of=8, codebook_size=11, num_tokens=4, num_classes=3)
    ar = ArModel(config).eval()
    for parameter in ar.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return ar


def test_equal_to_a_plain_run_and_a_prefix_of_a_larger_one(model: ArModel, tmp_path: Path) -> None:
    spec = SampleSpec(cfg_scale=1.5)
    small = stored_indices(tmp_path, model, "w", 6, seed=3, spec=spec, batch_size=2)
    large = stored_indices(tmp_path, model, "w", 10, seed=3, spec=spec, batch_size=5)
    plain = sample_many(model, sample_classes(10, 3), 3, 10, **spec.model_dump())
    assert torch.equal(large, plain)
    assert torch.equal(small, plain[:6])


def test_a_killed_run_goes_on_where_it_stopped(model: ArModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def flaky(ar: ArModel, classes: torch.Tensor, *args: object, **settings: object) -> torch.Tensor:
        if drawn == [4, 4]:
            drawn.append(0)
            raise KeyboardInterrupt
        drawn.append(len(classes))
        return sample_many(ar, classes, *args, **settings)

    monkeypatch.setattr(sample_store, "sample_many", flaky)
    with pytest.raises(KeyboardInterrupt):
        stored_indices(tmp_path, model, "w", 12, seed=0, spec=SampleSpec())
    found = stored_indices(tmp_path, model, "w", 12, seed=0, spec=SampleSpec())
    assert drawn == [4, 4, 0, 4]
    assert torch.equal(found, sample_many(model, sample_classes(12, 3), 0, 5))


def test_weights_sampler_and_seed_make_other_entries(model: ArModel, tmp_path: Path) -> None:
    base = stored_indices(tmp_path, model, "w", 8, seed=0, spec=SampleSpec())
    others = [
        stored_indices(tmp_path, model, "w", 8, seed=1, spec=SampleSpec()),
        stored_indices(tmp_path, model, "w", 8, seed=0, spec=SampleSpec(temperature=3.0)),
    ]
    assert all(not torch.equal(base, other) for other in others)
    stored_indices(tmp_path, model, "v", 8, seed=0, spec=SampleSpec())
    assert len({path.parent for path in tmp_path.rglob("key.json")}) == 4
    assert np.asarray(base).dtype == np.int64
