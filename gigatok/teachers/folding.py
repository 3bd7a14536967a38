"""Batch norms of a frozen timm EfficientNet folded into the convolutions: same values, less work."""

from __future__ import annotations

import torch
from timm.layers.norm_act import BatchNormAct2d
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from torch import nn


def fold_batch_norm(convolution: nn.Conv2d, norm: BatchNormAct2d) -> nn.Module:
    """Fold eval-mode ``norm`` into the convolution before it, in place; returns the norm's activation."""
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    weight, bias = norm.get_parameter("weight"), norm.get_parameter("bias")
    with torch.no_grad():
        scale = weight / torch.sqrt(variance + norm.eps)
        old_bias = convolution.bias if convolution.bias is not None else torch.zeros_like(mean)
        convolution.weight = nn.Parameter(convolution.weight * scale[:, None, None, None], requires_grad=False)
        convolution.bias = nn.Parameter((old_bias - mean) * scale + bias, requires_grad=False)
    return norm.get_submodule("act")


def fold_block(block: nn.Module) -> None:
    """Fold all batch norms of one EfficientNet block, in place."""
    if isinstance(block, InvertedResidual):
        pairs = [("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")]
    elif isinstance(block, DepthwiseSeparableConv):
        pairs = [("conv_dw", "bn1"), ("conv_pw", "bn2")]
    else:
        raise TypeError(f"no folding rule for {type(block).__name__}")
    for convolution, norm in pairs:
        layer = block.get_submodule(convolution)
        assert isinstance(layer, nn.Conv2d)  # for the type checker: timm's blocks hold nothing else here
        setattr(block, norm, fold_batch_norm(layer, _norm(block, norm)))


def folded_stages(network: nn.Module, count: int) -> nn.ModuleList:
    """The stem and the first ``count`` stages of a timm EfficientNet, folded in place; the rest is dropped.

    Stage 0 is the stem with its activation, stage i is ``blocks[i - 1]``.
    """
    convolution = network.get_submodule("conv_stem")
    assert isinstance(convolution, nn.Conv2d)  # for the type checker
    stem = nn.Sequential(convolution, fold_batch_norm(convolution, _norm(network, "bn1")))
    stages = [network.get_submodule(f"blocks.{index}") for index in range(count)]
    for stage in stages:
        for block in stage.children():
            fold_block(block)
    return nn.ModuleList([stem, *stages])


def _norm(module: nn.Module, name: str) -> BatchNormAct2d:
    found = module.get_submodule(name)
    assert isinstance(found, BatchNormAct2d)  # for the type checker
    return found
