"""EfficientNet-Lite: timm's values with the packaged weights, which are where they belong and mean what they should."""

import matplotlib.cbook
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from plain.efficientnet import timm_network

from gigatok.config import GigatokError
from gigatok.teachers import load_efficientnet_lite
from gigatok.teachers.efficientnet import EFFICIENTNET_LITE, MIRRORED, EfficientNetLite, read_weights
from gigatok.teachers.weight_files import packaged_file, read_state_dict

NATIVE = {"lite0": 224, "lite2": 260}
MILITARY_UNIFORM = 652


@pytest.fixture(scope="module")
def networks():
    """Of each variant: ours, and timm's with its batch norms, its padding and its layout."""
    return {variant: (load_efficientnet_lite(variant).network, timm_network(variant)) for variant in NATIVE}


@pytest.fixture(params=list(NATIVE))
def variant(request):
    return request.param


def stored(variant):
    """The packaged file's tensors."""
    source = EFFICIENTNET_LITE[variant]
    return read_state_dict(packaged_file(source.package, source.distribution, "models/*.pth"))


def close(found, expected, tolerance=1e-5):
    scale = max(1.0, float(expected.detach().abs().max()))
    torch.testing.assert_close(found / scale, expected / scale, atol=tolerance, rtol=0)


@settings(max_examples=16, deadline=None, derandomize=True)
@given(
    variant=st.sampled_from(list(NATIVE)),
    count=st.integers(1, 3),
    height=st.integers(1, 49),
    width=st.integers(1, 49),
    last=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_stage_is_timms_mirrored_for_any_shape(networks, variant, count, height, width, last, seed):
    """Values of all stages, features and logits, and the gradient of the images; also of images channels last."""
    ours, plain = networks[variant]
    images = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    order = torch.channels_last if last else torch.contiguous_format
    images = images.contiguous(memory_format=order).requires_grad_()
    expected, found = plain.bn1(plain.conv_stem(images)), ours.stem(images.flip(MIRRORED))
    close(found.flip(MIRRORED), expected)
    for stage, wanted in zip(ours.stages, plain.blocks, strict=True):
        found, expected = stage(found), wanted(expected)
        close(found.flip(MIRRORED), expected)
    maps = plain.forward_features(images)
    close(ours.features(images), plain.forward_head(maps, pre_logits=True))
    close(ours(images), plain(images))
    gradients = [torch.autograd.grad(each.square().mean(), images)[0] for each in (found, expected)]
    close(gradients[0] / gradients[1].abs().max(), gradients[1] / gradients[1].abs().max(), 1e-3)


def test_every_tensor_of_the_file_is_in_the_network(networks, variant):
    weights = sum(parameter.numel() for parameter in networks[variant][0].parameters())
    kinds = [name.rsplit(".", 1)[-1] for name in stored(variant)]
    norms = sum(value.numel() for name, value in stored(variant).items() if name.endswith("running_mean"))
    whole = sum(value.numel() for name, value in stored(variant).items() if "num_batches" not in name)
    assert weights == whole - 3 * norms  # of a norm's four tensors a bias is left
    assert len(networks[variant][0].state_dict()) == 2 * (kinds.count("running_mean") + 1)


def test_a_photograph_is_recognised(networks, variant):
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photo:
        side = min(photo.size)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        square = photo.convert("RGB").crop((left, top, left + side, top + side))
    pixels = np.asarray(square.resize((NATIVE[variant],) * 2, Image.Resampling.BICUBIC), dtype=np.float32)
    with torch.no_grad():
        logits = networks[variant][0](torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None])
    assert logits.shape == (1, 1000)
    assert MILITARY_UNIFORM in logits[0].topk(3).indices.tolist()


def test_input_range_is_minus_one_to_one(variant):
    """The first batch norm remembers the mean of what the network was trained on: about -0.1, not 0 or 0.45."""
    convolution, *norm = list(stored(variant).values())[:5]
    weights, remembered = convolution.sum((2, 3)), norm[2]  # response to a constant colour
    colour = torch.linalg.lstsq(weights, remembered[:, None]).solution[:, 0]
    assert (weights @ colour - remembered).norm() < 0.02 * remembered.norm()
    assert -0.2 < colour.min() < colour.max() < 0


def test_is_frozen_and_knows_its_file(variant):
    network, sha256 = load_efficientnet_lite(variant)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert sha256[:8] == {"lite0": "57934424", "lite2": "9656183e"}[variant]  # as in the file's name


def test_refuses_unknown_variants():
    with pytest.raises(GigatokError, match="lite0, lite2"):
        load_efficientnet_lite("lite1")


@pytest.mark.parametrize("change", ["missing", "shape", "order", "more"])
def test_refuses_files_that_do_not_fit(change):
    found = stored("lite0")
    last = list(found)[-1]
    if change == "missing":
        del found[last]
    elif change == "shape":
        found[last] = torch.zeros(999)
    elif change == "more":
        found["more.weight"] = torch.zeros(1)
    else:  # weight and bias of a batch norm have one shape: only their names tell them apart
        names = list(found)
        names[1], names[2] = names[2], names[1]
        found = {name: found[name] for name in names}
    with pytest.raises(GigatokError, match=r"install version 0\.1\.0 of package") as caught:
        read_weights(EfficientNetLite(EFFICIENTNET_LITE["lite0"].stages), found, "package")
    assert "\n" not in str(caught.value)
