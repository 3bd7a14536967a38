"""What makes a batch taken in parts equal to the batch taken at once: means, random numbers, buffers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def mean_terms(reports: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Means over micro-batches of equal size, by name."""
    if len(reports) == 1:
        return dict(reports[0])
    return {name: torch.stack([report[name] for report in reports]).mean(0) for name in reports[0]}


@contextmanager
def own_random(seed: int | None, first: int, device: torch.device) -> Iterator[None]:
    """Torch's default generators in the block are those of the images from position ``first`` of the global batch on.

    A function of seed and position, not of the process; afterwards the generators are as before. ``None``: as they are.
    """
    if seed is None:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed((seed + 0x9E3779B97F4A7C15 * (first + 1)) % 2**63)  # golden ratio: far apart
        yield


class HeldBuffers:
    """Buffers that a forward pass changes (spectral norm's vectors) change once for a batch, not once a micro-batch."""

    def __init__(self) -> None:
        self._after_first: dict[str, dict[str, Tensor]] = {}

    @contextmanager
    def of(self, module: nn.Module, name: str, *, first: bool) -> Iterator[None]:
        """The pass ``name`` of the first micro-batch changes the buffers; later ones see them as it left them."""
        if first:
            yield
            self._after_first[name] = {key: value.clone() for key, value in module.named_buffers()}
            return
        now = {key: value.clone() for key, value in module.named_buffers()}
        _set_buffers(module, self._after_first[name])
        module.eval()
        try:
            yield
        finally:
            module.train()
            _set_buffers(module, now)


@torch.no_grad()
def _set_buffers(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, buffer in module.named_buffers():
        buffer.copy_(values[name])
