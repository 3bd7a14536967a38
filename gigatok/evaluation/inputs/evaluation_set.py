"""Images to be scored, from a folder or an ``.npz``, and stored statistics in ADM's layout."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import GigatokError
from gigatok.data.images import Transparency
from gigatok.evaluation.arrays import UInt8
from gigatok.evaluation.metrics.frechet import Gaussian

_ROWS = 64
"""Of an array that are hashed at a time: those that do not lie in order are copied first."""


class Moments(NamedTuple):
    """Stored statistics of a reference set."""

    pool: Gaussian
    spatial: Gaussian | None


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """Images, or statistics, or both (ADM's ImageNet files: statistics of 1.28M images, and 10,000 of them)."""

    name: str
    sha256: str
    """SHA-256 of pixels (or statistics), not of files: the same images in another container are the same set."""
    images: UInt8 | None
    """(n, H, W, 3)"""
    moments: Moments | None = None
    codec: str = "none"
    """Codec of the image files; ``none`` for arrays."""
    crop: int | None = None
    """Side in pixels of the centre crop, where it changed an image."""
    names: tuple[str, ...] | None = None
    """Files' names, relative to their folder; ``None``: an array's rows have none."""
    order: Literal["array", "names", "folders", "classes"] = "array"
    """The order of rows, as in ``InputSet``."""
    linked: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What else the folder holds: reason -> how many files."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """Reason -> the first name."""
    traits: Mapping[str, int] = field(default_factory=dict)
    """How many images held more than the pixels that were taken."""
    transparency: Transparency = "white"
    """What became of transparent pixels, if ``traits`` counts any."""

    @cached_property
    def images_sha256(self) -> str:
        """SHA-256 of the images alone, the key of their cached features; without images, ``sha256``."""
        return self.sha256 if self.moments is None or self.images is None else content_sha256(self.images)

    @property
    def content(self) -> str:
        """What finds statistics and cached features again: ``sha256``, and ``+`` the images' where it is another."""
        return self.sha256 if self.images_sha256 == self.sha256 else f"{self.sha256}+{self.images_sha256}"

    def without_statistics(self) -> EvaluationSet:
        """The images alone, as a set of their own."""
        return replace(self, sha256=self.images_sha256, moments=None)

    def reordered(self, rows: Sequence[int], names: tuple[str, ...] | None) -> EvaluationSet:
        """The images of ``rows`` in that order, under ``names``."""
        if self.images is None or list(rows) == list(range(len(self.images))):
            return replace(self, names=names)
        images = self.images[list(rows)]
        return replace(self, names=names, images=images, moments=None, sha256=content_sha256(images))

    @property
    def identity(self) -> str:
        """Name and the start of the checksum, as scores record a reference."""
        return f"{self.name} ({self.sha256[:12]})"

    def needed_images(self, why: str) -> UInt8:
        """The images, or an error that says what for."""
        if self.images is None:
            raise GigatokError(f"{self.name} holds statistics only: {why} needs images")
        return self.images


def evaluation_set(images: UInt8, name: str, codec: str = "none") -> EvaluationSet:
    """Images that are in memory, e.g. fresh samples."""
    return EvaluationSet(name=name, sha256=content_sha256(images), images=images, codec=codec)


def content_sha256(*arrays: npt.NDArray[np.generic]) -> str:
    """Checksum of values, types and shapes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for part in np.split(array, range(_ROWS, len(array), _ROWS)) if array.ndim else (array,):
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
