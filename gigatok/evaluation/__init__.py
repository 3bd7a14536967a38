"""Features, distances, image quality, probes and baselines: everything a score is computed with.

Names are imported on first use: a stage that needs PSNR does not wait for torch, SciPy, timm or Optuna. Everything
else is imported from its own module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigatok.evaluation.extractors.registry import load_extractor
    from gigatok.evaluation.metrics.frechet import frechet_distance, gaussian
    from gigatok.evaluation.metrics.image_quality import psnr
    from gigatok.evaluation.metrics.inception_score import inception_score
    from gigatok.evaluation.metrics.intervals import seed_interval
    from gigatok.evaluation.metrics.precision_recall import precision_recall
    from gigatok.evaluation.scoring.comparable import require_comparable

__all__ = [
    "frechet_distance",
    "gaussian",
    "inception_score",
    "load_extractor",
    "precision_recall",
    "psnr",
    "require_comparable",
    "seed_interval",
]

_MODULE_OF = {
    "frechet_distance": "metrics.frechet",
    "gaussian": "metrics.frechet",
    "inception_score": "metrics.inception_score",
    "load_extractor": "extractors.registry",
    "precision_recall": "metrics.precision_recall",
    "psnr": "metrics.image_quality",
    "require_comparable": "scoring.comparable",
    "seed_interval": "metrics.intervals",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
