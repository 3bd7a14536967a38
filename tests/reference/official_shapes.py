"""Official names and shapes of tokenizers that have no stored case, derived from those that have one."""

from __future__ import annotations

import formula
import torch

STORED = {"width": 512, "teacher": 768}


def tokenizer_shapes(
    layout: str, *, encoder: int, decoder: int, depth: int, block: str = "qformer", alignment: bool = True
) -> dict[str, list[int]]:
    """Shapes with other transformer widths, and ``depth`` blocks in encoder and decoder (at most 6)."""
    stored = formula.shapes("VQ_SS256" if layout == "1d" else "VQ_SS256_2d")
    found = {}
    for name, shape in stored.items():
        part, *rest = name.split(".")
        if not part.startswith(("s1", "s2")):
            found[name] = shape
            continue
        if rest[0] == "transformer" and int(rest[1]) >= depth:
            continue
        if block == "plain" and rest[2:3] in (["multihead_attn"], ["norm3"]):
            continue
        if not alignment and rest[0] == "distill_mlp":
            continue
        width = encoder if part.endswith("encoder") else decoder
        sizes = {STORED["width"] * times: width * times for times in (1, 3, 4)}
        found[name] = [sizes.get(size, size) for size in shape]
    return found


def quick_state(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Formula weights for the transformers, zeros (quick to make) for the rest."""
    transformers = {name: shape for name, shape in shapes.items() if name.startswith(("s1", "s2"))}
    zeros = {name: torch.zeros(shape) for name, shape in shapes.items() if name not in transformers}
    return {**formula.state_dict(transformers), **zeros}
