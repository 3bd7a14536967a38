"""A frozen timm EfficientNet with less work for the same values: batch norms folded, nothing padded by copying."""

from __future__ import annotations

from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

MIRRORED = (2, 3)
"""Dimensions in which ``mirror`` mirrors images (B, C, H, W), kernels and maps: ``images.flip(MIRRORED)``."""


def fold_batch_norms(network: nn.Module) -> None:
    """Merge every batch norm that follows a convolution among its parent's children into it, in place.

    timm's ``BatchNormAct2d`` carries the activation; what is left of it is that activation.
    """
    for parent in list(network.modules()):
        previous: nn.Module | None = None
        for name, child in list(parent.named_children()):
            if isinstance(previous, nn.Conv2d) and isinstance(child, nn.BatchNorm2d):
                _fold(previous, child)
                setattr(parent, name, child.act if isinstance(child, BatchNormAct2d) else nn.Identity())
            previous = child


def mirror(network: nn.Module) -> None:
    """Make the network, in place, see images mirrored in both directions: its maps come out mirrored, values equal.

    TensorFlow's "same" padding of a strided convolution is wider at the far side where a side's length is even, so
    timm copies each input into a larger one. Mirrored, the centres of the kernels fall where padding both sides
    alike puts them, for even and odd lengths, and the convolution pads by itself: a sixth less time.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(parent, name, _mirrored(child))


def folded_stages(network: nn.Module, count: int) -> nn.ModuleList:
    """The stem and the first ``count`` stages of a timm EfficientNet, folded and mirrored in place.

    Stage 0 is the stem with its activation, stage i is ``blocks[i - 1]``. The rest is dropped.
    """
    fold_batch_norms(network)
    mirror(network)
    stem = nn.Sequential(network.get_submodule("conv_stem"), network.get_submodule("bn1"))
    return nn.ModuleList([stem, *(network.get_submodule(f"blocks.{index}") for index in range(count))])


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        mean,
        variance,
        norm.eps,
        norm.weight,
        norm.bias,
    )


def _mirrored(convolution: nn.Conv2d) -> nn.Conv2d:
    height, width = convolution.kernel_size
    made = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        (height, width),
        stride=(convolution.stride[0], convolution.stride[1]),
        padding=(height // 2, width // 2),
        groups=convolution.groups,
        bias=convolution.bias is not None,
        device="meta",
    )
    made.weight = nn.Parameter(convolution.weight.detach().flip(MIRRORED), requires_grad=False)
    if convolution.bias is not None:
        made.bias = nn.Parameter(convolution.bias.detach(), requires_grad=False)
    return made
