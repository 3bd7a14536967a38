"""The real images that samples and reconstructions are compared with, and their features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import ScoreSheet, Workspace
from gigatok.artifacts.arrays import read_npz
from gigatok.artifacts.outputs.digests import make_sound
from gigatok.config import ConfigError, GigatokError
from gigatok.config.evaluation import ReferenceSection
from gigatok.config.reading import reason
from gigatok.data import DataSummary, PreparedData
from gigatok.evaluation.inputs.evaluation_set import Moments, content_sha256
from gigatok.evaluation.inputs.files import open_set
from gigatok.evaluation.metrics.frechet import Gaussian
from gigatok.evaluation.metrics.reference_set import PairSums, ReferenceSet
from gigatok.evaluation.protocols import find_protocol


class ReferenceIdentity(NamedTuple):
    """What the pipeline's scores are compared with."""

    content: str
    """Hash as in ``EvaluationSet.content``."""
    moments: Moments | None = None
    protocol: str = "ours"


Pool = npt.NDArray[np.float32]
_AGAIN = "run 'dvc repro -f reference'"


class StoredReference(NamedTuple):
    """Features of real images, as the stage ``reference`` stores them."""

    samples: Pool
    """(m, d) of the images that samples are compared with: the training images, or ADM's reference batch."""
    validation: Pool
    """(n, d) of the images that reconstructions are compared with."""
    samples_content: str
    """What finds statistics and cached features again, as in ``EvaluationSet.content``."""
    validation_sha256: str
    """SHA-256 of the images, the key of their features in the cache."""
    samples_name: str
    """What they are, as scores record their reference."""
    samples_moments: Gaussian | None = None
    """Stored statistics that stand in the place of the features' own: ADM's are of all training images."""
    samples_spatial: Gaussian | None = None
    """Moments of spatial features, for sFID; ``None``: the extractor has none."""
    validation_spatial: Gaussian | None = None
    samples_sums: PairSums | None = None
    """Kernel and radius sums of the sample reference, stored for all generators; ``None``: too few images."""

    def reference_set(self, section: ReferenceSection) -> ReferenceSet:
        """What the distances of samples are taken from."""
        distances = find_protocol(section.protocol).distances
        moments, sums = self.samples_moments, self.samples_sums
        return ReferenceSet(self.samples, moments=moments, distances=distances, sums=sums)

    def identity(self, section: ReferenceSection) -> ReferenceIdentity:
        """The same, as saved inputs of scores name it."""
        stored = self.samples_moments
        moments = None if stored is None else Moments(stored, self.samples_spatial)
        return ReferenceIdentity(self.samples_content, moments, section.protocol)


def training_reference(data: DataSummary) -> str:
    """Name of the training images as a reference: other data or another size is another reference."""
    return f"training images, data {data.data_sha256[:12]}"


def validation_reference(data: DataSummary) -> str:
    """Name of the validation images as a reference."""
    return f"validation originals, data {data.data_sha256[:12]}"


def read_stored_reference(workspace: Workspace) -> StoredReference:
    """What the stage ``reference`` stored.

    Raises:
        GigatokError: it has not run, or its file is damaged and DVC's cache does not hold it.
    """
    path, sheet = workspace.reference / "features.npz", workspace.reference / "summary.json"
    if not path.is_file():
        raise GigatokError(f"{path} does not exist: run 'dvc repro reference'")
    make_sound(path, ScoreSheet.read(sheet).files.get(path.name) if sheet.is_file() else None, fix=_AGAIN)
    arrays = read_npz(path, fix=_AGAIN).arrays
    try:
        moments = {
            name: Gaussian(arrays[f"{name}_mean"], arrays[f"{name}_covariance"])
            for name in ("samples_moments", "samples_spatial", "validation_spatial")
            if f"{name}_mean" in arrays
        }
        sums = None
        if "samples_kernel_within" in arrays:
            sums = PairSums(float(arrays["samples_kernel_within"]), arrays["samples_squared_radii"])
        return StoredReference(
            samples_sums=sums,
            samples=_pool(arrays, "samples"),
            validation=_pool(arrays, "validation"),
            samples_content=str(arrays["samples_content"]),
            validation_sha256=str(arrays["validation_sha256"]),
            samples_name=str(arrays["samples_name"]),
            **moments,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GigatokError(f"{path} lacks what stage 'reference' writes ({reason(error)}): {_AGAIN}") from None


def _pool(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Pool:
    pool = arrays[name]
    if pool.ndim != 2 or pool.dtype.kind != "f" or not pool.size:
        raise ValueError(f"{name} is {pool.dtype} {pool.shape}, not floats (n, d)")
    return pool


class SampleReference(NamedTuple):
    """The real images of samples."""

    images: npt.NDArray[np.uint8]
    """(m, S, S, 3)"""
    name: str
    content: str
    """Hash as in ``EvaluationSet.content``."""
    moments: Moments | None = None
    """Moments of Inception features of more images than these."""


def sample_reference(section: ReferenceSection, data: PreparedData) -> SampleReference:
    """The images of ``reference.samples``; without it all training images.

    Raises:
        GigatokError: the file is missing or damaged, holds no images, or images of another size.
    """
    if section.samples is None:
        images = data.train.uint8()
        return SampleReference(images, training_reference(data.summary), content_sha256(images))
    found = open_set(section.samples)
    images, side = found.needed_images("reference.samples"), data.summary.image_size
    if images.shape[1:3] != (side, side):
        raise ConfigError(
            f"reference.samples {section.samples!r} has images {images.shape[1:3]}, prepare.image_size is {side}: "
            "use a reference batch of that size"
        )
    if section.extractor == "inception-2015":
        return SampleReference(images, found.identity, found.content, found.moments)
    return SampleReference(images, found.identity, found.images_sha256)
