"""``inception-2015``: the network of FID, in pytorch-fid's port, with everything ADM's evaluator reads from it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gigatok.artifacts.weights import require_sound
from gigatok.config import GigatokError
from gigatok.config.evaluation import INCEPTION_SIZE
from gigatok.evaluation.extractors.base import Extractor, FeatureNetwork, NetworkOutput
from gigatok.evaluation.extractors.resize import Resize
from gigatok.teachers.pretrained import torch_hub_weights
from gigatok.teachers.weight_files import file_sha256, read_state_dict

SPATIAL_CHANNELS = 7
_CLASSES = 1008
_CENTRE = (128 / 255,) * 3


def load_inception(name: str, weights: Path | None, image_size: int | None) -> Extractor:
    """The extractor with the resize of ADM's TensorFlow graph; protocols with another resize replace it.

    Args:
        weights: ``pt_inception-2015-12-05-6726825d.pth``; ``None``: torch's download cache, or a download
        image_size: must be left out or 299

    Raises:
        GigatokError: no file and no download, or a file that does not fit.
    """
    from pytorch_fid import inception as port  # here: it imports torchvision, which takes seconds

    path = torch_hub_weights(port.FID_WEIGHTS_URL, weights, network=name, setting="weights")
    network = _build()
    try:
        state = read_state_dict(path)
        require_sound(state, f"weights {str(path)!r}", like=network.state_dict())
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise GigatokError(f"weights {str(path)!r} are not those of {name} ({reason}): download them again") from None
    return Extractor(
        name=name,
        sha256=file_sha256(path),
        image_size=INCEPTION_SIZE,
        dim=2048,
        network=InceptionFeatures(network),
        # TensorFlow's graph: (x - 128) / 128 after its own bilinear resize.
        resize=Resize(size=INCEPTION_SIZE, mode="tensorflow-bilinear", mean=_CENTRE, std=_CENTRE, antialias=False),
    )


def _build() -> nn.Module:
    """pytorch-fid's patched Inception without its download. Checks from outside the project call it by this name."""
    from pytorch_fid import inception as port

    network: nn.Module = port._inception_v3(num_classes=_CLASSES, aux_logits=False, weights=None)
    patched = {
        "Mixed_5b": port.FIDInceptionA(192, pool_features=32),
        "Mixed_5c": port.FIDInceptionA(256, pool_features=64),
        "Mixed_5d": port.FIDInceptionA(288, pool_features=64),
        "Mixed_6b": port.FIDInceptionC(768, channels_7x7=128),
        "Mixed_6c": port.FIDInceptionC(768, channels_7x7=160),
        "Mixed_6d": port.FIDInceptionC(768, channels_7x7=160),
        "Mixed_6e": port.FIDInceptionC(768, channels_7x7=192),
        "Mixed_7b": port.FIDInceptionE_1(1280),
        "Mixed_7c": port.FIDInceptionE_2(2048),
    }
    for name, module in patched.items():
        setattr(network, name, module)
    return network


class InceptionFeatures(FeatureNetwork):
    """Pool features, the spatial map of sFID and class probabilities in one pass."""

    STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
    SECOND = ("Conv2d_3b_1x1", "Conv2d_4a_3x3")
    TO_SPATIAL = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c")
    REST = ("Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c")

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> NetworkOutput:
        """(B, 3, 299, 299) in about [-1, 1] -> pool (B, 2048), spatial (B, 17 * 17 * 7), probabilities (B, 1008).

        The spatial map is the first branch of TensorFlow's ``mixed_6`` (``Mixed_6d`` here), flattened with
        channels last, as stored reference statistics have it. Logits leave the bias out, as ADM's evaluator and
        torch-fidelity do.
        """
        x = F.max_pool2d(self._run(self.STEM, images), kernel_size=3, stride=2)
        x = F.max_pool2d(self._run(self.SECOND, x), kernel_size=3, stride=2)
        x = self._run(self.TO_SPATIAL, x)
        first_branch: Tensor = self.network.get_submodule("Mixed_6d.branch1x1")(x)  # (B, 192, 17, 17)
        spatial = first_branch[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
        pool = self._run(self.REST, x).mean(dim=(2, 3))
        logits = pool @ self.network.get_parameter("fc.weight").T
        return NetworkOutput(pool=pool, spatial=spatial, probabilities=torch.softmax(logits, dim=1))

    def _run(self, names: tuple[str, ...], x: Tensor) -> Tensor:
        for name in names:
            x = self.network.get_submodule(name)(x)
        return x
