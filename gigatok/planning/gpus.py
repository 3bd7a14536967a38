"""GPUs by name: memory and peak speed, from their makers' data sheets."""

from __future__ import annotations

from typing import Literal, NamedTuple

GIB = 1024**3
CUDA_CONTEXT = int(1.0 * GIB)
"""What a process takes before its first tensor: CUDA's context, cuBLAS's and cuDNN's workspaces. Not measured here."""
FRAGMENTATION = 0.05
"""Share of its memory that PyTorch's allocator holds without using it. Not measured here."""


class Gpu(NamedTuple):
    """One GPU."""

    memory: int
    """Bytes that a process sees: a little less than the data sheet's."""
    half_flops: float
    """Peak operations a second of dense matrix products in bf16 (fp16 where there is no bf16), no sparsity."""
    float_flops: float
    """Likewise in fp32 without TF32."""
    bf16: bool = True

    @property
    def usable(self) -> int:
        """Bytes for tensors."""
        return usable(self.memory)

    def flops(self, precision: Literal["fp32", "bf16", "fp16"]) -> float:
        """Peak operations a second in that number format."""
        return self.float_flops if precision == "fp32" else self.half_flops


def usable(memory: int) -> int:
    """Bytes for tensors of a GPU with ``memory`` bytes."""
    return int((memory - CUDA_CONTEXT) * (1 - FRAGMENTATION))


# NVIDIA's data sheets of each product: "FP32" and "BFLOAT16 Tensor Core" without sparsity (half of the starred values).
GPUS = {
    "t4": Gpu(int(14.6 * GIB), 65e12, 8.1e12, bf16=False),  # T4 datasheet, 2019
    "v100": Gpu(int(31.7 * GIB), 125e12, 15.7e12, bf16=False),  # V100 SXM2 32 GB datasheet, 2020
    "a10": Gpu(int(22.5 * GIB), 125e12, 31.2e12),  # A10 datasheet, 2021
    "a100-40": Gpu(int(39.4 * GIB), 312e12, 19.5e12),  # A100 SXM 40 GB datasheet, 2020
    "a100": Gpu(int(79.2 * GIB), 312e12, 19.5e12),  # A100 SXM 80 GB datasheet, 2021
    "l40s": Gpu(int(44.4 * GIB), 362e12, 91.6e12),  # L40S datasheet, 2023
    "rtx4090": Gpu(int(23.5 * GIB), 165e12, 82.6e12),  # Ada architecture white paper, appendix A, 2023
    "h100": Gpu(int(79.1 * GIB), 989e12, 66.9e12),  # H100 SXM datasheet, 2023
    "h200": Gpu(int(139.8 * GIB), 989e12, 66.9e12),  # H200 SXM datasheet, 2024
    "b200": Gpu(int(178.0 * GIB), 2250e12, 75e12),  # DGX B200 datasheet, 2024
}
