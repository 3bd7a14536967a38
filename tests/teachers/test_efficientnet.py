"""EfficientNet-Lite: the packaged weights are where they belong and mean what they should."""

import matplotlib.cbook
import numpy as np
import pytest
import timm
import torch
from PIL import Image

from gigatok.config import GigatokError
from gigatok.teachers import load_efficientnet_lite
from gigatok.teachers.efficientnet import EFFICIENTNET_LITE, _in_order
from gigatok.teachers.weight_files import packaged_file, read_state_dict

NATIVE = {"lite0": 224, "lite2": 260}
MILITARY_UNIFORM = 652


@pytest.fixture(scope="module", params=list(NATIVE))
def loaded(request):
    return request.param, *load_efficientnet_lite(request.param)


def test_every_tensor_of_the_file_is_in_the_network(loaded):
    variant, network, _ = loaded
    source = EFFICIENTNET_LITE[variant]
    stored = read_state_dict(packaged_file(source.package, source.distribution, "models/*.pth"))
    found = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    wanted = [value for name, value in stored.items() if "num_batches" not in name]
    assert len(found) == len(wanted)
    assert all(torch.equal(a, b) for a, b in zip(found.values(), wanted, strict=True))


def test_a_photograph_is_recognised(loaded):
    variant, network, _ = loaded
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photo:
        side = min(photo.size)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        square = photo.convert("RGB").crop((left, top, left + side, top + side))
    pixels = np.asarray(square.resize((NATIVE[variant],) * 2, Image.Resampling.BICUBIC), dtype=np.float32)
    with torch.no_grad():
        logits = network(torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None])
    assert logits.shape == (1, 1000)
    assert MILITARY_UNIFORM in logits[0].topk(3).indices.tolist()


def test_input_range_is_minus_one_to_one(loaded):
    """The first batch norm remembers the mean of what the network was trained on: about -0.1, not 0 or 0.45."""
    _, network, _ = loaded
    weights = network.conv_stem.weight.sum((2, 3))  # response to a constant colour
    remembered = network.bn1.running_mean
    colour = torch.linalg.lstsq(weights, remembered[:, None]).solution[:, 0]
    assert (weights @ colour - remembered).norm() < 0.02 * remembered.norm()
    assert -0.2 < colour.min() < colour.max() < 0


def test_is_frozen_and_knows_its_file(loaded):
    variant, network, sha256 = loaded
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert sha256[:8] == {"lite0": "57934424", "lite2": "9656183e"}[variant]  # as in the file's name


def test_refuses_unknown_variants():
    with pytest.raises(GigatokError, match="lite0, lite2"):
        load_efficientnet_lite("lite1")


@pytest.mark.parametrize("change", ["missing", "shape", "order"])
def test_refuses_files_that_do_not_fit(change):
    expected = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    found = dict(expected)
    if change == "missing":
        del found["classifier.bias"]
    elif change == "shape":
        found["classifier.bias"] = torch.zeros(999)
    else:  # weight and bias of a batch norm have one shape: only their names tell them apart
        names = list(expected)
        first, second = names.index("bn1.weight"), names.index("bn1.bias")
        names[first], names[second] = names[second], names[first]
        found = {name: expected[name] for name in names}
    with pytest.raises(GigatokError, match=r"install its version 0\.1\.0"):
        _in_order(expected, found, "package")
