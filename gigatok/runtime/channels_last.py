"""Images with their channels last in memory: the order in which bf16 convolutions run fastest on a CPU.

oneDNN's bf16 convolutions compute in that order. Images that lie channel by channel are rearranged before and after
each of them, which costs a fifth of the time at 256 px. In fp32 it is the other way round: the gradient of the weights
takes longer. Forward and backward of one layer, thousandths of a second, two images of 128 channels, 256 x 256, two
quiet cores of an AMD EPYC (Zen 5), torch 2.14:

    order              convolution, bf16   group norm, bf16   convolution, fp32
    channel by channel        45 + 112              2 + 5             83 + 187
    channels last             37 +  91              2 + 5             75 + 217

Blocks that ``torch.compile`` has compiled go torch's way, which loses the order at each norm.

Torch's own backward pass of a group norm takes 64 with channels last in bf16, and would cost what the convolutions
gain: :func:`group_norm` has another one.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gigatok.runtime.device import computes_now

LAST = torch.channels_last


def in_fast_order(x: Tensor) -> Tensor:
    """(B, C, H, W), the same values, in the order in memory that the convolutions after it run fastest in."""
    if x.device.type != "cpu" or not computes_now(x):
        return x
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return x.contiguous(memory_format=LAST) if kind == torch.bfloat16 else x


def lies_in_fast_order(x: Tensor) -> bool:
    """Whether (B, C, H, W) is bf16 on a CPU with its channels last, and not channel by channel as well."""
    half = x.dtype == torch.bfloat16 and x.device.type == "cpu"
    return half and x.is_contiguous(memory_format=LAST) and not x.is_contiguous()


class GroupNorm(nn.GroupNorm):
    """``nn.GroupNorm`` by :func:`group_norm`: same parameters, names and, up to rounding, gradients."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape and order in memory."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


def group_norm(
    x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """``F.group_norm``, whose backward pass is as fast with channels last as channel by channel.

    Args:
        x: (B, C, H, W).
        groups: a divisor of C; each group of C / groups channels has one mean and one variance.
        weight, bias: (C), both or neither.
        eps: added to the variance.

    Returns:
        (B, C, H, W) in the order in memory of ``x``; the values are torch's. Where :func:`lies_in_fast_order` it can be
        differentiated once.
    """
    if not torch.is_grad_enabled() or not computes_now(x) or not lies_in_fast_order(x):
        return F.group_norm(x, groups, weight, bias, eps)
    return cast(Tensor, _GroupNorm.apply(x, groups, weight, bias, eps))


class _GroupNorm(torch.autograd.Function):
    """Torch's forward pass; backward by batch norms of single images, which torch has fast kernels for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        b, c, h, w = x.shape
        out, mean, inverse = torch.ops.aten.native_group_norm(x, weight, bias, b, c, h * w, groups, eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        return cast(Tensor, out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor | None, Tensor | None, None]:
        """With n = (x - mean) / deviation and g = grad * weight, a group's gradient is
        (g - mean(g) - n * mean(g * n)) / deviation, means over the group. All three sums over pixels are those of a
        batch norm with given statistics, and so are both terms of the gradient.
        """
        x, weight, mean, inverse = ctx.saved_tensors
        b, c, h, w = x.shape
        groups = mean.shape[1]
        size = c // groups * h * w
        weights = x.new_ones(c, dtype=torch.float32) if weight is None else weight.float()
        mean, inverse = (each.float().repeat_interleave(c // groups, 1) for each in (mean, inverse))  # (B, C)
        variance = inverse.square().reciprocal()
        grad = grad.contiguous(memory_format=LAST)
        parts, products, sums = [], [], []
        for i in range(b):
            part, product, total = torch.ops.aten.native_batch_norm_backward(
                grad[i : i + 1], x[i : i + 1], weights, mean[i], variance[i], None, None, False, 0.0, [True] * 3
            )  # grad * weight / deviation (1, C, H, W), then of grad * n and of grad the sums over pixels (C)
            parts.append(part)
            products.append(product)
            sums.append(total)
        product, total = torch.stack(products).float(), torch.stack(sums).float()  # (B, C)
        scale, shift = (
            -inverse * torch.unflatten(each * weights, 1, (groups, -1)).sum(2).repeat_interleave(c // groups, 1) / size
            for each in (product, total)
        )
        gradient = torch.empty_like(grad)
        for i, part in enumerate(parts):
            own, unused = gradient[i : i + 1], x.new_empty(0, dtype=torch.float32)
            torch.ops.aten.native_batch_norm.out(
                x[i : i + 1],
                scale[i],
                shift[i],
                mean[i],
                variance[i],
                False,
                0.0,
                0.0,
                out=own,
                save_mean=unused,
                save_invstd=unused.clone(),
            )
            own += part
        if weight is None:
            return gradient, None, None, None, None
        return gradient, None, product.sum(0).to(weight.dtype), total.sum(0).to(weight.dtype), None
