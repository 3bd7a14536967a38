"""Features, distances, image quality, probes and baselines: everything a score is computed with."""

from gigatok.evaluation.codebook import codebook_perplexity, codebook_usage
from gigatok.evaluation.extractors import Extractor, Features, load_extractor
from gigatok.evaluation.frechet import (
    FewSamplesWarning,
    Gaussian,
    frechet_distance,
    frechet_distance_of_features,
    gaussian,
)
from gigatok.evaluation.image_quality import psnr, ssim
from gigatok.evaluation.inception_score import InceptionScore, inception_score
from gigatok.evaluation.kernel_distance import KernelDistance, kernel_distance, kernel_distance_of_subsets
from gigatok.evaluation.kmeans import PatchKMeans
from gigatok.evaluation.perceptual import perceptual_distances
from gigatok.evaluation.precision_recall import PrecisionRecall, precision_recall
from gigatok.evaluation.probe import ProbeSpec, linear_probe

__all__ = [
    "Extractor",
    "Features",
    "FewSamplesWarning",
    "Gaussian",
    "InceptionScore",
    "KernelDistance",
    "PatchKMeans",
    "PrecisionRecall",
    "ProbeSpec",
    "codebook_perplexity",
    "codebook_usage",
    "frechet_distance",
    "frechet_distance_of_features",
    "gaussian",
    "inception_score",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "linear_probe",
    "load_extractor",
    "perceptual_distances",
    "precision_recall",
    "psnr",
    "ssim",
]
