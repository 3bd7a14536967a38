"""Vector quantizer: nearest code on the unit sphere, its losses, and how gradients pass it (SPEC section 3).

Letters: B batch, N tokens an image, n = B*N, K codes, C dimensions of a code.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.config import GigatokError
from gigatok.models.assignment import entropy_of_assignment, nearest_codes

NORM_EPS = 1e-12
ROTATION_EPS = 1e-6

Gradient = Literal["rotation", "straight-through"]


class QuantizerOutput(NamedTuple):
    """What the quantizer returns; losses are unweighted scalars."""

    z_q: Tensor
    """(B, N, C): the codes' values, through which gradients reach the encoder."""
    indices: Tensor
    """(B, N) int64."""
    codebook_loss: Tensor
    """Mean squared distance, for the codebook's gradient."""
    commitment_loss: Tensor
    """Mean squared distance, for the encoder's gradient."""
    entropy_loss: Tensor | None
    """Mean entropy of the soft assignments minus the entropy of their mean; ``None`` when switched off."""


def straight_through(z: Tensor, z_q: Tensor) -> Tensor:
    """Value of ``z_q``, gradient of ``z``."""
    return z + (z_q - z).detach()


def rotation_trick(z: Tensor, z_q: Tensor) -> Tensor:
    """Rotate and scale ``z`` onto ``z_q``; the gradient is rotated back (arXiv 2410.06424).

    Rotation and scale are constants to the gradient, so none reaches the codebook. The value differs from
    ``z_q`` by about 1e-6, relative. Both (..., C).
    """
    norm, norm_q = (torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (z, z_q))
    u = (z / (norm + ROTATION_EPS)).detach()
    target = (z_q / (norm_q + ROTATION_EPS)).detach()
    r = F.normalize(u + target, dim=-1, eps=NORM_EPS)
    scale = (norm_q / (norm + ROTATION_EPS)).detach()
    reflected = z - 2 * (z * r).sum(-1, keepdim=True) * r
    return cast(Tensor, (reflected + 2 * (z * u).sum(-1, keepdim=True) * target) * scale)


class VectorQuantizer(nn.Module):
    """A codebook of ``codebook_size`` codes of ``codebook_dim`` dimensions.

    ``l2_normalize``: codes and inputs are compared, and returned, on the unit sphere.
    ``entropy_temperature``: of the soft assignments of the entropy loss; ``None`` spares its cost.
    ``entropy_group``: images over which assignments are averaged for it; the loss is the mean over groups. ``None``:
    all images of the call.
    """

    def __init__(
        self,
        codebook_size: int,
        codebook_dim: int,
        l2_normalize: bool = True,
        gradient: Gradient = "rotation",
        entropy_temperature: float | None = 0.01,
        entropy_group: int | None = None,
    ) -> None:
        super().__init__()
        if gradient not in ("rotation", "straight-through"):
            raise GigatokError(f"gradient {gradient!r} is unknown: use 'rotation' or 'straight-through'")
        self.l2_normalize = l2_normalize
        self.gradient = gradient
        self.entropy_temperature = entropy_temperature
        self.entropy_group = entropy_group
        codebook = torch.empty(codebook_size, codebook_dim).uniform_(-1 / codebook_size, 1 / codebook_size)
        self.codebook = nn.Parameter(self._normalise(codebook))

    def _normalise(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1, eps=NORM_EPS) if self.l2_normalize else x

    def codes(self) -> Tensor:
        """The codebook as it is used: (K, C), normalised where ``l2_normalize``."""
        return self._normalise(self.codebook)

    def forward(self, z: Tensor) -> QuantizerOutput:
        """Quantize z (B, N, C), any float type; all maths here is fp32, also under autocast."""
        with torch.autocast(z.device.type, enabled=False):
            z = self._normalise(z.float())
            codes = self.codes()
            flat = z.reshape(-1, z.shape[-1])
            entropy = None
            if self.entropy_temperature is None:
                indices = nearest_codes(flat, codes)
            else:
                indices, entropy = self._assign(z, codes, self.entropy_temperature)
            indices = indices.view(z.shape[:-1])
            z_q = F.embedding(indices, codes)
            return QuantizerOutput(
                self._pass_gradient(z, z_q),
                indices,
                codebook_loss=F.mse_loss(z_q, z.detach()),
                commitment_loss=F.mse_loss(z, z_q.detach()),
                entropy_loss=entropy,
            )

    def _assign(self, z: Tensor, codes: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """z (B, N, C) -> indices (B*N,) and the entropy loss, the mean over groups of images."""
        groups = torch.split(z, self.entropy_group or len(z))
        found = [entropy_of_assignment(group.reshape(-1, group.shape[-1]), codes, temperature) for group in groups]
        if len(found) == 1:
            return found[0]
        indices, entropies = zip(*found, strict=True)
        return torch.cat(indices), torch.stack(entropies).mean()

    def _pass_gradient(self, z: Tensor, z_q: Tensor) -> Tensor:
        return rotation_trick(z, z_q) if self.gradient == "rotation" else straight_through(z, z_q)

    @torch.no_grad()
    def search(self, z: Tensor) -> Tensor:
        """Indices of the nearest codes: (B, N, C) -> (B, N) int64."""
        with torch.autocast(z.device.type, enabled=False):
            flat = self._normalise(z.float()).reshape(-1, z.shape[-1])
            return nearest_codes(flat, self.codes()).view(z.shape[:-1])

    def lookup(self, indices: Tensor) -> Tensor:
        """Values of ``indices`` (...) -> (..., C). A value outside 0..K-1 is an error of torch."""
        return F.embedding(indices, self.codes())

    @torch.no_grad()
    def restart_dead_codes(self, z: Tensor, used: Tensor, generator: torch.Generator | None = None) -> int:
        """Replace codes that are not ``used`` (K,) bool by random rows of z (..., C); returns how many.

        Not in the paper; helps short runs. With more dead codes than rows, the rest stays as it is.
        """
        dead = torch.nonzero(~used.to(self.codebook.device)).flatten()
        rows = self._normalise(z.detach().float()).reshape(-1, z.shape[-1])
        order = torch.randperm(len(rows), generator=generator, device=generator.device if generator else None)
        count = min(len(dead), len(rows))
        self.codebook[dead[:count]] = rows[order[:count].to(rows.device)].to(self.codebook.dtype)
        return count
