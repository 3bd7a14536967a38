"""Samples of a GPU: those of a CPU, of the compiled step that one CUDA graph replays, whatever the batch."""

from __future__ import annotations

import pytest
import torch

from gigatok.config import ArConfig
from gigatok.models.ar import ArModel
from gigatok.runtime.device import refuse_unrepeatable
from gigatok.sampling import CompiledDecoders, sample_many

SETTINGS = ({}, {"cfg_scale": 2.0, "cfg_schedule": "cosine"}, {"top_k": 50, "top_p": 0.9, "temperature": 0.8})


def model() -> ArModel:
    torch.manual_seed(0)
    made = ArModel(ArConfig(width=64, depth=3, heads=2, codebook_size=600, num_tokens=24, num_classes=5))
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return made.eval()


@pytest.mark.parametrize("settings", SETTINGS)
def test_samples_are_those_of_a_cpu(cuda: torch.device, settings: dict[str, object]) -> None:
    """A draw whose number lies between two codes' borders within rounding may differ: few do."""
    ar, classes = model(), torch.arange(40) % 5
    expected = sample_many(ar, classes, 3, 40, **settings)
    found = sample_many(ar.to(cuda), classes, 3, 40, **settings)
    assert found.shape == expected.shape
    assert (found == expected).all(dim=1).float().mean() > 0.9


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_cuda_graph_draws_the_same_in_every_batch_size(cuda: torch.device, settings: dict[str, object]) -> None:
    ar, classes = model().to(cuda), torch.arange(40) % 5
    expected = sample_many(ar, classes, 3, 40, **settings)
    decoders = CompiledDecoders(ar)
    for size in (40, 16):
        found = sample_many(ar, classes, 3, size, decoders=decoders, **settings)
        assert (found == expected).all(dim=1).float().mean() > 0.9, size


def test_bf16_and_repeatable_operations(cuda: torch.device) -> None:
    ar, classes = model().to(cuda), torch.arange(10) % 5
    refuse_unrepeatable()
    try:
        first, again = (sample_many(ar, classes, 3, 10, top_p=0.9, precision="bf16") for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(first, again)
