"""Sheets of earlier versions: facts that stood in notes become fields, once, while a sheet is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Fields = dict[str, Any]

_OVER = {
    "infinitesimal jackknife": ("infinitesimal jackknife", "samples"),
    "infinitesimal jackknife over pairs of original and reconstruction": ("infinitesimal jackknife", "pairs"),
    "bootstrap over images": ("percentile bootstrap", "samples"),
    "Wilson's, over samples": ("Wilson score", "samples"),
    "jackknife over 10 groups of samples": ("group jackknife", "samples"),
    "jackknife over 10 groups of samples, each with its originals": ("group jackknife", "pairs"),
    "spread of 20 resampled sets": ("resampling spread", "samples"),
    "Student's t": ("Student's t", "sample seeds"),
}
_ESTIMATORS: list[tuple[str, Callable[[tuple[str, ...]], Fields]]] = [
    (r"reference: its stored statistics", lambda _: {"reference_moments": "stored"}),
    (r"unbiased estimate on all samples", lambda _: {"kernel_subsets": 0}),
    (
        r"mean of (\d+) subsets of (\d+), seed (\d+)",
        lambda m: {"kernel_subsets": int(m[0]), "kernel_subset_size": int(m[1]), "kernel_seed": int(m[2])},
    ),
    (r"(\d+) splits in the samples' order", lambda m: {"splits": int(m[0])}),
    (r"k = (\d+), (float64|float16) distances", lambda m: {"neighbours": int(m[0]), "distances": m[1]}),
    (r"mean over images, (standard|gigatok-release)", lambda m: {"ssim": m[0]}),
    (
        r"line over 1/n through (\d+) (?:nested )?counts, (\d+) to \d+(?:: fewer samples.*)?",
        lambda m: {"line_points": int(m[0]), "line_smallest": int(m[1])},
    ),
]
_FEW = re.compile(r"Fréchet distances of (\d+) samples to (\d+) images in (\d+) dimensions are biased upwards.*")


def upgraded(sheet: Any) -> Any:
    """A sheet as it was read from JSON, with the fields of today; what is no sheet is returned as it is."""
    if not isinstance(sheet, dict) or "few_samples" in sheet:
        return sheet
    kept, few = [], None
    for note in sheet.get("notes") or ():
        found = _FEW.fullmatch(note) if isinstance(note, str) else None
        if found is None:
            kept.append(note)
        else:
            few = dict(zip(("samples", "reference", "dimensions"), map(int, found.groups()), strict=True))
    scores = {name: [_score(each) for each in sheet.get(name) or ()] for name in ("scores", "floors")}
    return {**sheet, **scores, "notes": kept, "few_samples": few}


def _score(score: Any) -> Any:
    if not isinstance(score, dict) or not isinstance(score.get("protocol", {}), dict):
        return score
    floor = score.get("floor")
    kind = None if floor is None else "baseline" if "k-means" in str(floor) else "floor"
    return {**score, "floor_kind": kind, "protocol": _protocol(str(score.get("metric")), score.get("protocol", {}))}


def _protocol(metric: str, protocol: Fields) -> Fields:
    fields, estimator, kept = dict(protocol), _unstated(metric, protocol), []
    for note in str(protocol.get("notes") or "").split("; "):
        method = note.removeprefix("95% interval: ")
        known = next(((f, found) for p, f in _ESTIMATORS if (found := re.fullmatch(p, note))), None)
        if method != note and method in _OVER:
            fields["interval_method"], fields["interval_over"] = _OVER[method]
        elif known is not None:
            estimator |= known[0](known[1].groups())
            fields["rough"] = "rough guide" in note
        elif note:
            kept.append(note)
    if metric.startswith("inception_score"):  # of the samples alone
        fields["reference"] = fields["reference_count"] = None
    crop, _, own = str(protocol.get("preprocessing") or "").rpartition(", then ")
    first = crop or own
    sides = re.findall(r"(samples|reference) to (\d+)x", first) if first.startswith("ADM centre crop") else []
    if sides:
        fields |= {"crop": {name: int(side) for name, side in sides}, "preprocessing": own if crop else None}
    return {**fields, "estimator": estimator or None, "notes": "; ".join(kept) or None}


def _unstated(metric: str, protocol: Fields) -> Fields:
    """What the pipeline's sheets left to the reader: the only way it had."""
    count = protocol.get("sample_count")
    if metric.startswith("kid"):
        return {"kernel_subsets": 0}
    if metric.startswith("inception_score") and isinstance(count, int):
        return {"splits": min(10, count)}
    if metric.startswith("ssim"):
        return {"ssim": "standard"}
    if protocol.get("probe"):
        return {"probe": "sgd" if "LARS" in str(protocol["probe"]) else "lbfgs"}
    return {}
