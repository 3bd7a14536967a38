"""The codes seen lately: usage and perplexity while training, and which codes are dead."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

WINDOW = 65_536
"""Indices looked back on, as in the official implementation; ours starts empty, not filled with code 0."""


class RecentCodes:
    """Ring buffer of the last ``WINDOW`` indices.

    Args:
        codebook_size: number of codes K.
        window: indices looked back on.
        device: of the indices to come: counting there, a step does not wait for a GPU.
    """

    def __init__(self, codebook_size: int, window: int = WINDOW, device: torch.device | str = "cpu") -> None:
        self.codebook_size = codebook_size
        self._ring = torch.zeros(window, dtype=torch.int64, device=device)
        self._seen = 0
        self._marked = torch.zeros(codebook_size, dtype=torch.bool, device=device)

    def add(self, indices: Tensor) -> None:
        """Count ``indices`` (any shape) among the recent ones."""
        flat = indices.detach().reshape(-1).to(self._ring.device)
        self._marked.index_fill_(0, flat, True)  # assigned by an index, True would be sent from the host, which waits
        flat = flat[-self._ring.numel() :]
        places = torch.arange(self._seen, self._seen + flat.numel(), device=flat.device) % self._ring.numel()
        self._ring[places] = flat
        self._seen += flat.numel()

    def counts(self) -> Tensor:
        """How often each code occurs in the window: (K,) int64."""
        return torch.bincount(self._ring[: min(self._seen, self._ring.numel())], minlength=self.codebook_size)

    def take_used(self) -> Tensor:
        """(K,) bool: codes that occurred since the last call."""
        used = self._marked.clone()
        self._marked.zero_()
        return used

    def usage(self) -> float:
        """Share of codes in use, 0 to 1."""
        return float((self.counts() > 0).float().mean())

    def perplexity(self) -> float:
        """exp of the entropy of the code frequencies: 1 (one code) to K (all alike).

        Raises:
            ValueError: nothing was added yet.
        """
        counts = self.counts().cpu().double()  # Apple's GPUs have no float64
        if counts.sum() == 0:
            raise ValueError("perplexity of no indices: add() some first")
        shares = counts / counts.sum()
        return float(torch.special.entr(shares).sum().exp())

    def state_dict(self) -> dict[str, Any]:
        """Ring and position, in the host's memory."""
        return {"ring": self._ring.clone().cpu(), "seen": self._seen, "marked": self._marked.clone().cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``."""
        self._ring.copy_(state["ring"])
        self._seen = int(state["seen"])
        self._marked.copy_(state["marked"])
