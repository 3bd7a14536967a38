"""Encoding and decoding with S-S: python benchmarks/coding.py [--cases encode-256px-fp32 ...]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from measuring import Case, main
from plain import tokenizer as plain
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gigatok.models import build_tokenizer

SIDES = (64, 128, 256)


def case(way: Literal["encode", "decode"], side: int, dtype: torch.dtype) -> Case:
    """One image, the weights random: they cost what trained ones do."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer("S-S", image_size=side).eval()
    images = torch.rand(1, 3, side, side) * 2 - 1
    indices = torch.randint(tokenizer.config.codebook_size, (1, tokenizer.config.tokens))

    half = torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)

    def ours() -> Tensor:
        with torch.inference_mode(), half:
            return tokenizer.encode(images) if way == "encode" else tokenizer.decode(indices)

    def textbook() -> Tensor:
        with torch.inference_mode(), half:
            return plain.encode(tokenizer, images) if way == "encode" else plain.decode(tokenizer, indices)

    def agree(first: Tensor, second: Tensor) -> bool:
        if dtype != torch.float32:
            return first.shape == second.shape
        if way == "encode":
            return (first == second).float().mean().item() > 0.98
        return torch.allclose(first, second, atol=1e-4, rtol=1e-3)

    with FlopCounterMode(display=False) as counter:
        textbook()
    kind = "bf16" if dtype == torch.bfloat16 else "fp32"
    return Case(ours, textbook, agree, float(counter.get_total_flops()), None, dtype, {f"side, {way}, {kind}": side})


CASES: dict[str, Callable[[], Case]] = {
    f"{way}-{side}px-{name}": partial(case, way, side, dtype)  # type: ignore[arg-type]
    for way in ("encode", "decode")
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    for side in SIDES
}

if __name__ == "__main__":
    main("S-S, encoding and decoding one image", CASES)
