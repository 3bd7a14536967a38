"""Products of a few rows with a large matrix: the one place that knows which way round is fast.

A sampler's step multiplies every weight with 1 to about 100 rows. A library's general product first rearranges the
matrix for its kernel and then uses it for these few rows only, so the rearrangement costs more than the arithmetic.
Two ways avoid it: multiply from the left, where the matrix is read as it lies, and rearrange it once for all steps.

Measured on one core of an AMD EPYC (Zen 4) with torch 2.14; thousandths of a second for 12 MB (4,096 x 768) of fp32,
then 6 MB of bf16 (``docs/performance.md`` has the whole table):

    rows            1      2      4      8     16     64    256
    plain fp32   1.04   2.06   1.49   1.77   2.27   5.91   18.8
    transposed   1.02   0.66   1.08   2.37   2.52   5.59   18.4
    packed       0.88   1.10   0.84   1.00   1.35   4.12   14.9
    plain bf16   0.73   0.73   0.79   0.90   1.17   2.50    8.0
    transposed   0.70   1.12   1.11   1.11   1.15   2.23    7.7
    packed       0.49   0.58   0.50   0.63   0.78   2.12    7.6

Letters: n rows, K inputs, M outputs.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

Way = Literal["plain", "transposed", "packed"]

SMALL_MATRIX = 2**18
"""Elements up to which a matrix stays in the cache of a core; there nothing beats the plain product."""
TRANSPOSED_ROWS = 2
"""In fp32 the transposed product wins with exactly this many rows: one sample with its guidance."""


def fastest_way(rows: int, weight: Tensor) -> Way:
    """The way measured fastest for ``rows`` rows; it depends on shape, type and device alone, never on a clock.

    Args:
        weight: (M, K), float.
    """
    if weight.device.type != "cpu" or weight.numel() < SMALL_MATRIX:
        return "plain"
    if weight.dtype == torch.float32 and rows == TRANSPOSED_ROWS:
        return "transposed"
    return "packed" if _packs(weight.dtype) else "plain"


class Product:
    """``F.linear(x, weight)`` without bias or gradient, for many calls with about the same number of rows.

    It may keep a rearranged copy of ``weight``: make a new one after the weight has changed.
    """

    def __init__(self, weight: Tensor, rows: int, way: Way | None = None) -> None:
        """``weight`` (M, K); ``rows`` n to be expected; ``way``: instead of the fastest one."""
        self.way = fastest_way(rows, weight) if way is None else way
        weight = weight.detach()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, rows) if self.way == "packed" else weight

    def __call__(self, x: Tensor) -> Tensor:
        """(n, K) in the weight's type -> (n, M)."""
        if self.way == "packed":
            return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, self.weight, None, "none", [], ""))
        if self.way == "transposed":
            # Both contiguous: rows that lie column by column would cost five times as much here and in what follows.
            return (self.weight @ x.contiguous().t()).t().contiguous()
        return F.linear(x, self.weight)


def _packs(dtype: torch.dtype) -> bool:
    """Whether this build and processor have the operators that keep a matrix in the kernel's own order."""
    if not (torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
