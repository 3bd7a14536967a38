"""Products of a few rows with a large matrix: the one place that knows which way is fast.

A sampler's step multiplies every weight with 1 to about 100 rows. A library's general product first rearranges the
matrix for its kernel and then uses it for these few rows only, so the rearrangement costs more than the arithmetic:
it is done once, for all steps.

Measured on two quiet cores of an AMD EPYC with torch 2.14; thousandths of a second for the 48 matrices of
GPT-B's blocks, 340 MB of fp32, then 170 MB of bf16 (``docs/performance.md`` has more):

    rows            1      2      4      8     16     32     64
    plain fp32   17.7   34.7   26.5   24.9   31.1   44.4   69.8
    packed       10.2    8.0    7.8    9.0   11.1   16.6   26.5
    plain bf16    6.5    6.8    7.0    7.7    9.1   11.8   16.5
    packed        4.4    4.2    4.2    4.8    5.6    8.3   13.4

Letters: n rows, K inputs, M outputs.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

Way = Literal["plain", "packed"]

SMALL_MATRIX = 2**18
"""Elements up to which a matrix stays in the cache of a core; there nothing beats the plain product."""


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
            return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, self.weight, None, "none", [], ""))
        return F.linear(x, self.weight)


def _packs(dtype: torch.dtype) -> bool:
    """Whether this build and processor have the operators that keep a matrix in the kernel's own order."""
    if not (torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
