"""LPIPS: its maths against a slow reference and the authors' package, its heads, its refusals."""

import pytest
import torch
import torch.nn.functional as F

from gigatok.config import GigatokError
from gigatok.teachers.lpips import STAGES, Lpips, VggFeatures, load_lpips
from gigatok.teachers.weight_files import packaged_file, read_state_dict


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return VggFeatures().state_dict()


@pytest.fixture(scope="module")
def heads():
    return read_state_dict(packaged_file("torchmetrics", "torchmetrics", "functional/image/lpips_models/vgg.pth"))


@pytest.fixture(scope="module")
def network(weights, heads):
    return Lpips(weights, heads, "sha")


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(1)
    return torch.rand(2, 3, 32, 48) * 2 - 1, torch.rand(2, 3, 32, 48) * 2 - 1


def slow_lpips(weights, heads, a, b):
    """One distance of one image pair, layer by layer from the paper."""
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x = torch.stack([a, b])
    x = (x - shift[:, None, None]) / scale[:, None, None]
    total, layer = 0.0, 0
    for stage, channels in enumerate(STAGES):
        if stage:
            x = F.max_pool2d(x, 2)
            layer += 1
        for _ in channels:
            x = F.conv2d(x, weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"], padding=1)
            x = x.clamp(min=0)
            layer += 2
        head = heads[f"lin{stage}.model.1.weight"].flatten()
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                u, v = x[0, :, row, column], x[1, :, row, column]
                difference = u / (u.norm() + 1e-10) - v / (v.norm() + 1e-10)
                total += (difference.square() @ head).item() / (x.shape[2] * x.shape[3])
    return total


def test_equals_a_slow_reference(network, weights, heads, pair):
    found = network(*pair)
    for index in range(2):
        expected = slow_lpips(weights, heads, pair[0][index], pair[1][index])
        assert found[index].item() == pytest.approx(expected, rel=1e-4)


def test_equals_the_authors_package(heads, pair):
    package = pytest.importorskip("lpips")
    with pytest.warns(UserWarning, match="pretrained"):  # its way of building VGG16 is deprecated
        theirs = package.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval()
    slices = [getattr(theirs.net, f"slice{number}") for number in range(1, 6)]
    weights = {f"features.{key}": value for part in slices for key, value in part.state_dict().items()}
    with torch.no_grad():
        expected = theirs(*pair).flatten()
    torch.testing.assert_close(Lpips(weights, heads, "sha")(*pair), expected, atol=1e-6, rtol=1e-5)


def test_shipped_heads_are_the_published_ones(heads):
    widths = [heads[f"lin{index}.model.1.weight"].shape for index in range(5)]
    assert widths == [(1, channels[-1], 1, 1) for channels in STAGES]
    assert all((head >= 0).all() for head in heads.values())


def test_gradient_reaches_images_only(network, pair):
    images = pair[0].clone().requires_grad_()
    network(images, pair[1]).sum().backward()
    assert torch.isfinite(images.grad).all()
    assert images.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_dropout_of_the_heads_is_off_unless_asked_for(network, weights, heads, pair):
    network.train()
    assert torch.equal(network(*pair), network(*pair))
    official = Lpips(weights, heads, "sha", head_dropout=0.5)
    first, second = official(*pair), official(*pair)
    assert not torch.equal(first, second)
    torch.testing.assert_close(first, network(*pair), rtol=0.2, atol=0)  # dropout keeps the mean


@pytest.mark.parametrize("missing", ["features.28.weight", "lin4.model.1.weight"])
def test_refuses_incomplete_weights(weights, heads, missing):
    rest = [{key: value for key, value in part.items() if key != missing} for part in (weights, heads)]
    with pytest.raises(GigatokError, match="do not fit VGG16"):
        Lpips(*rest, "sha")


def test_loads_torchvisions_layout_from_a_local_file(tmp_path, weights, network, pair):
    path = tmp_path / "vgg16.pth"
    torch.save({**weights, "classifier.0.bias": torch.zeros(3)}, path)  # a classifier is of no use here
    loaded = load_lpips(path)
    assert torch.equal(loaded(*pair), network(*pair))
    assert len(loaded.sha256) == 64
