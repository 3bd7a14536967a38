"""The metrics that tables, plots and statements show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gigatok.evaluation.metrics.names import REST, has_best_guidance, with_best_guidance
from gigatok.paper.results.metric import Metric, Owner

RECONSTRUCTION = "reconstruction_"
"""Prefix of a tokenizer's metrics that would otherwise be called like the samples'."""


def _ratio(key: str, label: str, what: str, owner: Owner = "generator", superseded_by: str = "") -> Metric:
    return Metric(key=key, owner=owner, label=label, better="lower", what=what, superseded_by=superseded_by)


_RATIO, _TO_REST = "frechet_ratio", f"frechet_ratio{REST}"
_SAMPLE_RATIOS = (
    _ratio(_TO_REST, "FDr", "gFID without guidance over that of as many real images against the rest of the real ones"),
    _ratio(with_best_guidance(_TO_REST), "FDr, guided", "the same of samples with the guidance of the lowest gFID"),
    _ratio(f"{_TO_REST}_mean", "FDr, mean", "mean of FDr without guidance over all extractors of the settings"),
    _ratio(_RATIO, "FDr, equal sets", "gFID without guidance over the distance of two real sets of as many images each",
           superseded_by=_TO_REST),
    _ratio(with_best_guidance(_RATIO), "FDr, equal sets, guided", "the same with the guidance of the lowest gFID",
           superseded_by=with_best_guidance(_TO_REST)),
    _ratio(f"{_RATIO}_mean", "FDr, equal sets, mean", "mean of it without guidance over all extractors",
           superseded_by=f"{_TO_REST}_mean"),
)  # fmt: skip
_RECONSTRUCTION_RATIOS = (
    _ratio(
        f"{RECONSTRUCTION}{_RATIO}", "FDr of reconstructions", "rFID over the distance of two equal sets", "tokenizer"
    ),
    _ratio(f"{RECONSTRUCTION}{_RATIO}_mean", "FDr of reconstructions, mean", "over all extractors", "tokenizer"),
)
SCALING_METRICS = (
    Metric(
        key="rfid",
        owner="tokenizer",
        label="rFID",
        better="lower",
        what="Frechet distance, reconstructions to originals",
    ),
    Metric(
        key="gfid",
        owner="generator",
        label="gFID",
        better="lower",
        what="Frechet distance, samples to real images, no guidance",
    ),
    Metric(
        key=with_best_guidance("gfid"),
        owner="generator",
        label="gFID, guided",
        better="lower",
        what="lowest gFID over the guidance scales tried",
    ),
    Metric(
        key="rfid_infinity",
        owner="tokenizer",
        label="rFID, n to ∞",
        better="lower",
        what="rFID extrapolated to infinitely many images",
    ),
    Metric(
        key="gfid_infinity",
        owner="generator",
        label="gFID, n to ∞",
        better="lower",
        what="gFID without guidance extrapolated to infinitely many samples",
    ),
    Metric(
        key="kid",
        owner="generator",
        label="KID",
        better="lower",
        what="kernel distance, samples to real images, no guidance",
    ),
    Metric(
        key=with_best_guidance("kid"),
        owner="generator",
        label="KID, guided",
        better="lower",
        what="kernel distance, samples with the guidance of the lowest gFID to real images",
    ),
    Metric(
        key="mind",
        owner="generator",
        label="MIND",
        better="lower",
        what="Monge inception distance (sliced Wasserstein), samples to real images, no guidance",
    ),
    Metric(
        key=with_best_guidance("mind"),
        owner="generator",
        label="MIND, guided",
        better="lower",
        what="Monge inception distance, samples with the guidance of the lowest gFID to real images",
    ),
    *_SAMPLE_RATIOS,
    Metric(
        key="inception_score", owner="generator", label="IS", better="higher", what="inception score of the samples"
    ),
    Metric(
        key="bits_per_image",
        owner="tokenizer",
        label="Rate",
        better="lower",
        unit="bits/image",
        what="tokens of an image times the logarithm of the codebook size",
    ),
    Metric(
        key="psnr",
        owner="tokenizer",
        label="PSNR",
        better="higher",
        unit="dB",
        what="reconstruction, validation images",
    ),
    Metric(key="ssim", owner="tokenizer", label="SSIM", better="higher", what="reconstruction, validation images"),
    Metric(
        key="perceptual_distance",
        owner="tokenizer",
        label="Perceptual",
        better="lower",
        what="perceptual distance of reconstructions (not LPIPS unless it says so)",
    ),
    Metric(
        key="lpips",
        owner="tokenizer",
        label="LPIPS",
        better="lower",
        what="perceptual distance of reconstructions, VGG-16",
    ),
    Metric(
        key=f"{RECONSTRUCTION}kid",
        owner="tokenizer",
        label="KID of reconstructions",
        better="lower",
        what="kernel distance, reconstructions to originals",
    ),
    Metric(
        key=f"{RECONSTRUCTION}mind",
        owner="tokenizer",
        label="MIND of reconstructions",
        better="lower",
        what="Monge inception distance (sliced Wasserstein), reconstructions to originals",
    ),
    *_RECONSTRUCTION_RATIOS,
    Metric(
        key="ar_val_loss",
        owner="generator",
        label="AR val. loss",
        better="lower",
        unit="nats/token",
        what="cross-entropy of the AR model on validation tokens",
    ),
    Metric(
        key="linear_probe_accuracy",
        owner="generator",
        label="Linear probe",
        better="higher",
        percent=True,
        what="accuracy of a linear classifier on the AR model's middle layer",
    ),
    Metric(
        key="codebook_usage",
        owner="tokenizer",
        label="Codebook usage",
        better="higher",
        percent=True,
        what="share of codes used at least once on the validation images",
    ),
    Metric(
        key="codebook_perplexity",
        owner="tokenizer",
        label="Perplexity",
        better="higher",
        unit="codes",
        what="exponential of the entropy of code frequencies",
    ),
)
"""In the order of the scaling table."""

PAPER_GFID = with_best_guidance("gfid")
"""The paper's gFID: the lowest over the guidance scales tried."""

OTHER_METRICS = (
    Metric(
        key=with_best_guidance("inception_score"),
        owner="generator",
        label="IS, guided",
        better="higher",
        what="inception score of the samples with the guidance of the lowest gFID",
    ),
    Metric(
        key="precision",
        owner="generator",
        label="Precision",
        better="higher",
        what="share of samples that lie among real images, no guidance",
    ),
    Metric(
        key="recall",
        owner="generator",
        label="Recall",
        better="higher",
        what="share of real images that lie among samples, no guidance",
    ),
    Metric(
        key=with_best_guidance("precision"),
        owner="generator",
        label="Precision, guided",
        better="higher",
        what="share of samples that lie among real images, with the guidance of the lowest gFID",
    ),
    Metric(
        key=with_best_guidance("recall"),
        owner="generator",
        label="Recall, guided",
        better="higher",
        what="share of real images that lie among samples, with the guidance of the lowest gFID",
    ),
    Metric(
        key="rfid_perturbed",
        owner="tokenizer",
        label="rFID, perturbed",
        better="lower",
        what="rFID after some tokens of each image were replaced by near codes",
    ),
    Metric(
        key="effective_codebook_size",
        owner="tokenizer",
        label="Effective codes",
        better="higher",
        unit="codes",
        what="equally frequent codes at which two tokens would be equal as often",
    ),
    Metric(
        key="first_token_entropy",
        owner="tokenizer",
        label="First-token entropy",
        better="higher",
        unit="nats",
        what="entropy of an image's first token over the training images",
    ),
    Metric(
        key="determined_share",
        owner="tokenizer",
        label="Determined share",
        better="lower",
        percent=True,
        what="share of an image's tokens that earlier tokens determine among the training images",
    ),
    Metric(
        key="tokenizer_probe_accuracy",
        owner="tokenizer",
        label="Encoder probe",
        better="higher",
        percent=True,
        what="accuracy of a linear classifier on the tokenizer's encoder, before quantisation",
    ),
)
"""Metrics of score sheets and figures that the scaling table does not show."""


_LEADING = ("rfid/", "gfid/")
"""Begin the metrics that only the extractor of the settings (``reference.extractor``) gives."""


def find_metric(key: str) -> Metric | None:
    """The column of a metric name or key; ``None`` for metrics that no table shows."""
    base = key.split("/")[0]
    return next((each for each in (*SCALING_METRICS, *OTHER_METRICS) if each.key == base), None)


def owner(key: str) -> Owner:
    """Whose sheet holds the metric of that name or key. Metrics that no table shows are the tokenizer's."""
    found = find_metric(key)
    return found.owner if found else "tokenizer"


def own_to_each_run(metric: str) -> tuple[str, ...]:
    """Fields of a metric's protocol in which runs differ by design: each has its own best guidance."""
    return ("sampler",) if has_best_guidance(metric) else ()


def full_name(values: Iterable[str] | Mapping[str, object], key: str) -> str | None:
    """The full metric name for a column key: ``rfid`` finds ``rfid/efficientnet-lite2``.

    Of several extractors the one of rFID or gFID among the same values counts: a further extractor
    (``reference.more_extractors``) measures ``rfd`` and ``gfd``, so that one column never mixes extractors. Where that
    does not decide, the alphabetically first counts, so that tables do not depend on file order.
    """
    names = list(values)
    found = sorted(name for name in names if name == key or name.startswith(f"{key}/"))
    if len(found) < 2:
        return found[0] if found else None
    leading = {name.partition("/")[2] for name in names if name.startswith(_LEADING)}
    return next((name for name in found if name.partition("/")[2] in leading), found[0])
