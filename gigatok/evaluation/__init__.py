"""Features, distances, image quality, probes and baselines: everything a score is computed with.

What needs torch, timm or Optuna is imported on first use: a stage that needs PSNR does not wait for all of them.
Functions that share their module's name are imported at once, or the name could come to mean the module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gigatok.evaluation.codebook import (
    codebook_perplexity,
    codebook_usage,
)
from gigatok.evaluation.frechet import (
    FewSamplesWarning,
    Gaussian,
    frechet_distance,
    frechet_distance_of_features,
    gaussian,
)
from gigatok.evaluation.inception_score import (
    InceptionScore,
    inception_score,
)
from gigatok.evaluation.kernel_distance import (
    KernelDistance,
    kernel_distance,
    kernel_distance_of_subsets,
)
from gigatok.evaluation.precision_recall import (
    PrecisionRecall,
    precision_recall,
)

if TYPE_CHECKING:
    from gigatok.evaluation.cache import (
        PartStore,
        cached_features,
    )
    from gigatok.evaluation.comparison import require_comparable
    from gigatok.evaluation.explanation import (
        Explanation,
        explain,
    )
    from gigatok.evaluation.extractors import (
        Extractor,
        Features,
        load_extractor,
    )
    from gigatok.evaluation.guidance import (
        Guidance,
        GuidanceReport,
        zero_order_search,
    )
    from gigatok.evaluation.image_quality import (
        psnr,
        ssim,
    )
    from gigatok.evaluation.image_sets import (
        JudgedSet,
        array_set,
        open_set,
        write_adm_npz,
    )
    from gigatok.evaluation.judged_pair import EvaluateOptions
    from gigatok.evaluation.judging import evaluate
    from gigatok.evaluation.kmeans import PatchKMeans
    from gigatok.evaluation.optuna_study import (
        StudySpace,
        guidance_study,
    )
    from gigatok.evaluation.perceptual import perceptual_distances
    from gigatok.evaluation.probe import (
        ProbeSpec,
        linear_probe,
    )
    from gigatok.evaluation.protocols import (
        PROTOCOLS,
        EvaluationProtocol,
        find_protocol,
    )
    from gigatok.evaluation.uncertainty import (
        Extrapolation,
        bootstrap_interval,
        frechet_at_infinity,
        mean_interval,
        seed_interval,
    )

__all__ = [
    "PROTOCOLS",
    "EvaluateOptions",
    "EvaluationProtocol",
    "Explanation",
    "Extractor",
    "Extrapolation",
    "Features",
    "FewSamplesWarning",
    "Gaussian",
    "Guidance",
    "GuidanceReport",
    "InceptionScore",
    "JudgedSet",
    "KernelDistance",
    "PartStore",
    "PatchKMeans",
    "PrecisionRecall",
    "ProbeSpec",
    "StudySpace",
    "array_set",
    "bootstrap_interval",
    "cached_features",
    "codebook_perplexity",
    "codebook_usage",
    "evaluate",
    "explain",
    "find_protocol",
    "frechet_at_infinity",
    "frechet_distance",
    "frechet_distance_of_features",
    "gaussian",
    "guidance_study",
    "inception_score",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "linear_probe",
    "load_extractor",
    "mean_interval",
    "open_set",
    "perceptual_distances",
    "precision_recall",
    "psnr",
    "require_comparable",
    "seed_interval",
    "ssim",
    "write_adm_npz",
    "zero_order_search",
]

_MODULES = {
    "comparison": ("require_comparable",),
    "cache": (
        "PartStore",
        "cached_features",
    ),
    "judged_pair": ("EvaluateOptions",),
    "judging": ("evaluate",),
    "explanation": (
        "Explanation",
        "explain",
    ),
    "extractors": (
        "Extractor",
        "Features",
        "load_extractor",
    ),
    "guidance": (
        "Guidance",
        "GuidanceReport",
        "zero_order_search",
    ),
    "optuna_study": (
        "StudySpace",
        "guidance_study",
    ),
    "image_quality": (
        "psnr",
        "ssim",
    ),
    "image_sets": (
        "JudgedSet",
        "array_set",
        "open_set",
        "write_adm_npz",
    ),
    "kmeans": ("PatchKMeans",),
    "perceptual": ("perceptual_distances",),
    "probe": (
        "ProbeSpec",
        "linear_probe",
    ),
    "protocols": (
        "PROTOCOLS",
        "EvaluationProtocol",
        "find_protocol",
    ),
    "uncertainty": (
        "Extrapolation",
        "bootstrap_interval",
        "frechet_at_infinity",
        "mean_interval",
        "seed_interval",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
