"""Resizes of the named protocols against the libraries whose habits they keep."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from gigatok.evaluation.extractors.base import Extractor
from gigatok.evaluation.protocols import PROTOCOLS, find_protocol


def _image(size: int) -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, size, size), dtype=np.uint8)
    return torch.from_numpy(pixels)


@pytest.mark.parametrize("size", [64, 299, 340])
def test_adm_resizes_as_tensorflow_1_does(size: int) -> None:
    theirs = interpolate_bilinear_2d_like_tensorflow1x(_image(size).float(), size=(299, 299), align_corners=False)
    ours = find_protocol("adm").inception_resize(_image(size))
    torch.testing.assert_close(ours, (theirs - 128) / 128, atol=2e-4, rtol=0)


@pytest.mark.parametrize("size", [64, 340])
def test_clean_fid_resizes_float_channels_as_pillow_does(size: int) -> None:
    channels = [
        Image.fromarray(channel.numpy().astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC)
        for channel in _image(size)[0]
    ]
    theirs = np.stack([np.asarray(channel) for channel in channels]).clip(0, 255)
    ours = find_protocol("clean-fid").inception_resize(_image(size))[0]
    np.testing.assert_allclose(ours.numpy(), (theirs - 128) / 128, atol=1e-3)


def test_pytorch_fid_resizes_without_antialiasing() -> None:
    theirs = 2 * F.interpolate(_image(340).float() / 255, size=(299, 299), mode="bilinear", align_corners=False) - 1
    ours = find_protocol("pytorch-fid").inception_resize(_image(340))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_other_extractors_keep_their_own_resize(tiny: Extractor) -> None:
    assert all(protocol.prepared(tiny) is tiny for protocol in PROTOCOLS.values())


def test_every_protocol_is_in_the_documented_table() -> None:
    table = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
    assert all(f"| `{name}` |" in table for name in PROTOCOLS)
    assert len({protocol.summary for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)
