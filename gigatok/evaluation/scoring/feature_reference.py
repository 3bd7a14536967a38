"""What samples are compared with, in the features of one extractor."""

from __future__ import annotations

from dataclasses import dataclass

from gigatok.config import GigatokError
from gigatok.evaluation.extractors.base import Features
from gigatok.evaluation.inputs.evaluation_set import Moments
from gigatok.evaluation.metrics.frechet import Gaussian, gaussian
from gigatok.evaluation.metrics.reference_set import PairedReferenceSet, ReferenceMoments, ReferenceSet
from gigatok.evaluation.protocols import EvaluationProtocol


class Unavailable(GigatokError):
    """A metric that these inputs do not allow; the text is the reason."""


@dataclass(frozen=True)
class FeatureReference:
    """What samples are compared with, as one extractor sees it; made once for many sets of samples."""

    pool: ReferenceSet
    """Pooled features, or their stored moments."""
    spatial: Gaussian | None = None
    """Moments of the spatial features; ``None``: there are none."""

    @classmethod
    def of(
        cls, features: Features | None, moments: Moments | None, protocol: EvaluationProtocol, *, paired: bool = False
    ) -> FeatureReference:
        """From features, stored statistics (which go first: they are of more images), or both.

        Args:
            paired: sample i is a reconstruction of image i
        """
        stored = None if moments is None else moments.pool
        spatial = None if moments is None else moments.spatial
        if spatial is None and features is not None and features.spatial is not None and len(features.spatial) > 1:
            spatial = gaussian(features.spatial)
        if features is None:
            if stored is None:
                raise Unavailable("the reference holds neither images nor statistics")
            return cls(ReferenceMoments(stored), spatial)
        if paired and stored is None:
            return cls(PairedReferenceSet(features.pool, distances=protocol.distances), spatial)
        real = ReferenceSet(features.pool, moments=stored, distances=protocol.distances, neighbours=protocol.neighbours)
        return cls(real, spatial)

    @property
    def paired(self) -> bool:
        """Whether sample i belongs to image i."""
        return isinstance(self.pool, PairedReferenceSet)

    @property
    def known_images(self) -> int:
        """Images there are features of, or 2 where stored statistics stand for more."""
        return 2 if isinstance(self.pool, ReferenceMoments) else len(self.pool)

    def needed_images(self) -> ReferenceSet:
        """The features, or the reason why a metric is absent."""
        if isinstance(self.pool, ReferenceMoments):
            raise Unavailable("the reference holds statistics only, no images")
        return self.pool
