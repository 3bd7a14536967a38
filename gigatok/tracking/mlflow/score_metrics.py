"""Scores as MLflow shows them: one name, one thing, in every run of the experiment."""

from __future__ import annotations

from gigatok.artifacts import Score, ScoreSheet

LOW, HIGH = ".low", ".high"
"""Ends of a score's interval are metrics beside it: ``psnr``, ``psnr.low``, ``psnr.high``."""
BASELINE = "baseline"
"""What no skill scores is ``baseline/<which>/<metric>``, e.g. ``baseline/mean image/psnr``."""
OF_RECONSTRUCTIONS = "reconstruction_"
_OF_SAMPLES = ("kid", "mind", "inception_score", "precision", "recall")
"""Plain names belong to generated samples; of a tokenizer's reconstructions they have a prefix, as in the tables."""


def score_metrics(sheet: ScoreSheet) -> dict[str, float]:
    """Name to value of all scores, their intervals and the baselines of a sheet."""
    values: dict[str, float] = {}
    for score in sheet.scores:
        name = metric_name(sheet.kind, score)
        values[name] = score.value
        if score.interval is not None:
            values[name + LOW], values[name + HIGH] = score.interval
    for floor in sheet.floors:
        values[f"{BASELINE}/{_plain(floor.floor or 'unnamed')}/{metric_name(sheet.kind, floor)}"] = floor.value
    return values


def metric_name(kind: str, score: Score) -> str:
    """What MLflow calls a score of a run of this kind."""
    plain = score.metric.partition("/")[0]
    return OF_RECONSTRUCTIONS + score.metric if kind == "tokenizer" and plain in _OF_SAMPLES else score.metric


def _plain(text: str) -> str:
    """``text`` in the characters that MLflow allows, without a further level."""
    return "".join(each if each.isalnum() or each in "-_. " else "_" for each in text)
