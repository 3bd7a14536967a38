"""The quantizer with its entropy loss, forward and backward: python benchmarks/quantizer.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from measuring import Case, main
from plain.quantizer import quantize, rotate
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gigatok.models.quantizer import VectorQuantizer

DIM = 8
TEMPERATURE = 0.01
SHAPES = [(1024, 16_384), (4096, 16_384), (1024, 1024), (1024, 256), (1024, 64), (4096, 4096)]
"""Vectors and codes: the paper's, then those of small runs, where starting each block counts."""
VECTORS, CODES = 1024, 16_384
"""Of all cases that tell how time grows with codes, and with vectors."""


def case(vectors: int, codes: int) -> Case:
    """Both from the same vectors and codebook; results are the indices and the gradients.

    What lies behind the quantizer hands a gradient back, through the rotation.
    """
    generator = torch.Generator().manual_seed(0)
    quantizer = VectorQuantizer(codes, DIM, entropy_temperature=TEMPERATURE)
    z, behind = torch.randn(2, vectors, DIM, generator=generator)

    def ours() -> tuple[Tensor, Tensor]:
        leaf = z.clone().requires_grad_()
        out = quantizer(leaf.unsqueeze(0))
        assert out.entropy_loss is not None
        loss = out.codebook_loss + out.commitment_loss + out.entropy_loss + (out.z_q[0] * behind).sum()
        return out.indices.flatten(), _gradients(loss, leaf)

    def plain() -> tuple[Tensor, Tensor]:
        leaf = z.clone().requires_grad_()
        found = quantize(leaf, quantizer.codebook, TEMPERATURE)
        loss = (
            found.codebook_loss
            + found.commitment_loss
            + found.entropy_loss
            + (rotate(found.z, found.z_q) * behind).sum()
        )
        return found.indices, _gradients(loss, leaf)

    def _gradients(loss: Tensor, leaf: Tensor) -> Tensor:
        found = torch.autograd.grad(loss, (leaf, quantizer.codebook))
        return torch.cat([part.flatten() for part in found])

    def agree(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> bool:
        close = torch.linalg.vector_norm(first[1] - second[1]) < 1e-3 * torch.linalg.vector_norm(second[1])
        return (first[0] == second[0]).float().mean().item() > 0.999 and bool(close)

    with FlopCounterMode(display=False) as counter:
        plain()
    growth: dict[str, float] = {"codes": codes} if vectors == VECTORS else {}
    growth |= {"vectors": vectors} if codes == CODES else {}
    return Case(ours, plain, agree, flops=float(counter.get_total_flops()), growth=growth)


CASES: dict[str, Callable[[], Case]] = {f"{n}-vectors-{k}-codes": partial(case, n, k) for n, k in SHAPES}

if __name__ == "__main__":
    main("Quantizer with entropy loss, forward and backward", CASES)
