"""Products with a weight matrix: the one place that knows which library and which arrangement is fast.

**In training**, hundreds of rows and a gradient: :class:`Linear`. ``F.linear`` multiplies fp32 by MKL, which leaves an
AMD processor half idle; oneDNN, which computes all convolutions, does not. Forward and both gradients on one thread of
an AMD EPYC (Zen 5) with torch 2.14, millionths of a second:

    n x K -> M     1280 x 16 -> 48   1280 x 40 -> 160   1280 x 72 -> 216   512 x 192 -> 512   1024 x 256 -> 1024
    MKL                         96                538               1208               2847                15123
    oneDNN                     119                382                693               1339                 7238

**In sampling**, one to about 100 rows and no gradient: :class:`Product`. A library's general product first rearranges
the matrix for its kernel and then uses it for these few rows only, so the rearrangement costs more than the arithmetic:
it is done once, for all steps. Thousandths of a second for the 48 matrices of GPT-B's blocks, 340 MB of fp32, then
170 MB of bf16, two quiet cores of an AMD EPYC (``docs/performance.md`` has more):

    rows            1      2      4      8     16     32     64
    plain fp32   17.7   34.7   26.5   24.9   31.1   44.4   69.8
    packed       10.2    8.0    7.8    9.0   11.1   16.6   26.5
    plain bf16    6.5    6.8    7.0    7.7    9.1   11.8   16.5
    packed        4.4    4.2    4.2    4.8    5.6    8.3   13.4

Letters: n rows, K inputs, M outputs.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gigatok.runtime.device import computes_now

Way = Literal["plain", "packed"]

SMALL_MATRIX = 2**18
"""Elements up to which a matrix stays in the cache of a core; there nothing beats the plain product."""

NARROW = 2**12
"""Elements of a matrix below which starting oneDNN's product costs more than it saves."""


class Linear(nn.Linear):
    """``nn.Linear`` by :func:`linear`: same parameters, names and, up to rounding, values."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., M)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` by the library that is fastest. Which one depends on shape and type of ``weight`` alone: a row gets
    the same one whatever the batch or the number of processes, and the same bits unless it is the only row.

    Args:
        x: (..., K).
        weight: (M, K).
        bias: (M).

    Returns:
        (..., M). It can be differentiated once.
    """
    if weight.numel() < NARROW or x.numel() == 0 or not _takes_onednn(x, weight):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in (x, weight, bias)):
        return cast(Tensor, _OneDnnLinear.apply(x, weight, bias))
    return _onednn(x, weight, bias)


class _OneDnnLinear(torch.autograd.Function):
    """x W^T + b, and its gradients, as three products of oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2) if grad.ndim > 2 else grad.view(-1, grad.shape[-1])  # (n, M)
        inputs = x.reshape(-1, x.shape[-1])  # (n, K)
        return (
            _onednn(grad, weight.t()) if for_x else None,
            _onednn(rows.t(), inputs.t()) if for_weight else None,
            rows.sum(0) if for_bias else None,
        )


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], ""))


def _takes_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether both are plain fp32 tensors on a CPU whose values are computed now, in their own type."""
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and computes_now(x, weight)
        and not torch.is_autocast_enabled("cpu")
        and _packs(torch.float32)
    )


def fastest_way(weight: Tensor) -> Way:
    """The way measured fastest for few rows; it depends on shape, type and device alone, never on a clock.

    Args:
        weight: (M, K), float.
    """
    if weight.device.type != "cpu" or weight.numel() < SMALL_MATRIX:
        return "plain"
    return "packed" if _packs(weight.dtype) else "plain"


class Product:
    """``F.linear(x, weight)`` without bias or gradient, for many calls with about the same number of rows.

    It may keep a rearranged copy of ``weight``: make a new one after the weight has changed.
    """

    def __init__(self, weight: Tensor, rows: int, way: Way | None = None) -> None:
        """``weight`` (M, K); ``rows`` n to be expected; ``way``: instead of the fastest one."""
        self.way = fastest_way(weight) if way is None else way
        weight = weight.detach()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, rows) if self.way == "packed" else weight

    def __call__(self, x: Tensor) -> Tensor:
        """(n, K) in the weight's type -> (n, M)."""
        if self.way == "packed":
            return _onednn(x, self.weight)
        return F.linear(x, self.weight)


def _packs(dtype: torch.dtype) -> bool:
    """Whether this build and processor have the operators that keep a matrix in the kernel's own order."""
    if not (torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
