"""The packed judge against the network that it stands for, and where it is taken."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gigatok.evaluation.extractors import packed
from gigatok.evaluation.extractors.efficientnet import EfficientNetFeatures
from gigatok.evaluation.extractors.packed import BATCH, PackedEfficientNet
from gigatok.teachers import load_efficientnet_lite

HERE = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")


@pytest.fixture(scope="module")
def network() -> EfficientNetFeatures:
    return EfficientNetFeatures(load_efficientnet_lite("lite2").network)


def images(count: int, rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    made = torch.rand(count, 3, rows, columns, generator=generator) * 2 - 1
    return made.contiguous(memory_format=torch.channels_last)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    count=st.integers(1, 2 * BATCH + 3),
    rows=st.integers(16, 90),
    columns=st.integers(16, 90),
    few=st.sampled_from([1, 3, 7, 100]),
    seed=st.integers(0, 1000),
)
def test_features_are_those_of_the_network(
    network: EfficientNetFeatures, count: int, rows: int, columns: int, few: int, seed: int
) -> None:
    """Of any count and size; the first call, which rearranges the weights, may have seen others.

    On the machines tried so far they have equal bits, but kernels are oneDNN's to choose.
    """
    x = images(count, rows, columns, seed)
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "EARLY_PIXELS", few * rows * columns)
        found = network(x)
        pool = network.network.features(x)
    torch.testing.assert_close(found.pool, pool, atol=1e-5, rtol=1e-5)
    expected = network.network.classifier(pool).softmax(dim=1)
    torch.testing.assert_close(found.probabilities, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.skipif(not HERE, reason="this build of torch has no such operations")
def test_enough_images_on_a_cpu_without_a_gradient_are_taken(
    network: EfficientNetFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = PackedEfficientNet(network.network).takes
    many = images(BATCH, 16, 16)
    assert not taken(many)  # a gradient may be wanted
    with torch.inference_mode():
        assert taken(many)
        assert not taken(many[1:])
        assert not taken(many.double())
        assert not taken(many.to("meta"))
        with torch.autocast("cpu", torch.bfloat16):
            assert not taken(many)
        with torch.backends.mkldnn.flags(enabled=False):
            assert not taken(many)
        monkeypatch.setattr(PackedEfficientNet, "features", lambda self, x: pytest.fail("not for so few"))
        network(many[1:])


def test_a_network_can_be_copied_after_a_batch(network: EfficientNetFeatures) -> None:
    x = images(BATCH, 16, 16)
    with torch.inference_mode():
        expected = network(x).pool
        assert torch.equal(copy.deepcopy(network)(x).pool, expected)
        assert torch.equal(pickle.loads(pickle.dumps(network))(x).pool, expected)


@pytest.mark.skipif(not HERE, reason="this build of torch has no such operations")
def test_a_map_of_the_first_stages_is_that_of_few_images(
    network: EfficientNetFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is what the time is about."""
    monkeypatch.setattr(packed, "EARLY_PIXELS", 5 * 32**2)
    seen: list[int] = []
    plain = PackedEfficientNet._early
    monkeypatch.setattr(PackedEfficientNet, "_early", lambda self, x: (seen.append(len(x)), plain(self, x))[1])
    with torch.inference_mode():
        network(images(BATCH + 1, 32, 32))
    assert seen == [5, 5, 5, 2]
