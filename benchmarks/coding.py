"""Encoding and decoding with S-S: python benchmarks/coding.py [--cases encode-256px-fp32 ...]."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Literal

import torch
from measuring import Case, main
from plain import tokenizer as plain
from torch import Tensor

from gigatok.models import Tokenizer, build_tokenizer
from gigatok.planning.flops import encoder_flops, tokenizer_flops

SIDES = (64, 128, 256)
SAME_CODES = {torch.float32: 0.98, torch.bfloat16: 0.8}
"""Share of equal codes at least: rounding moves vectors that lie between two of 16,384 codes."""
NEAR = {torch.float32: 1e-4, torch.bfloat16: 0.1}
"""Length of the difference between decoded images over the length of the image, at most."""


@cache
def tokenizer_of(side: int) -> Tokenizer:
    """S-S with random weights: they cost what trained ones do."""
    torch.manual_seed(0)
    return build_tokenizer("S-S", image_size=side).eval()


def case(way: Literal["encode", "decode"], side: int, dtype: torch.dtype) -> Case:
    """One image."""
    tokenizer = tokenizer_of(side)
    config = tokenizer.config.model_copy(update={"alignment_layer": None})
    images = torch.rand(1, 3, side, side) * 2 - 1
    indices = torch.randint(config.codebook_size, (1, config.tokens))
    half = torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)

    def ours() -> Tensor:
        with torch.inference_mode(), half:
            return tokenizer.encode(images) if way == "encode" else tokenizer.decode(indices)

    def textbook() -> Tensor:
        with torch.inference_mode(), half:
            return plain.encode(tokenizer, images) if way == "encode" else plain.decode(tokenizer, indices)

    def agree(first: Tensor, second: Tensor) -> bool:
        if way == "encode":
            return (first == second).float().mean().item() > SAME_CODES[dtype]
        return bool((first - second).norm() < NEAR[dtype] * second.norm())

    encoding = encoder_flops(config)
    flops = float(encoding if way == "encode" else tokenizer_flops(config) - encoding)
    kind = "bf16" if dtype == torch.bfloat16 else "fp32"
    return Case(ours, textbook, agree, flops=flops, dtype=dtype, growth={f"side, {way}, {kind}": side})


CASES: dict[str, Callable[[], Case]] = {
    f"{way}-{side}px-{name}": partial(case, way, side, dtype)  # type: ignore[arg-type]
    for way in ("encode", "decode")
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    for side in SIDES
}

if __name__ == "__main__":
    main("S-S, encoding and decoding one image", CASES)
