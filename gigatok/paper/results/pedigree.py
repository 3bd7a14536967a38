"""How a number was measured: one line under a table or figure, and the full pedigree of one cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from gigatok.artifacts import Protocol, Provenance, Score
from gigatok.config import Params
from gigatok.evaluation.metrics.names import ENCODER_PROBE, ENCODER_PROBE_AT, has_best_guidance
from gigatok.paper.results.metrics import RECONSTRUCTION, find_metric
from gigatok.paper.results.repeats import AT_SCALE
from gigatok.paper.results.run import Run

RESUMED = "‡"
"""Marks values from trainings that were resumed with ``--resume-anyway``."""
COUNTED = "counted from the settings, on no images"
"""How a score without any protocol was found."""
_SHORT = 12


def scale_label(params: Params) -> str:
    """What tables, figures and claims call the experiment's scale."""
    return "paper scale" if params.profile == "paper" else f"proxy scale: profile {params.profile}"


def short(text: str | None) -> str:
    """The first digits of a hash; ``-`` where there is none."""
    return text[:_SHORT] if text else "-"


def protocol_line(protocol: Protocol, *, own_guidance: bool = False) -> str:
    """Extractor, reference, counts, guidance and seed in one line; what does not apply is left out.

    Args:
        own_guidance: the line is for several runs, each with the guidance that is best for it
    """
    extractor = protocol.extractor
    if extractor and protocol.extractor_sha256:
        extractor += f" (sha256 {short(protocol.extractor_sha256)})"
    if extractor and protocol.extractor_size:
        extractor += f" at {protocol.extractor_size} px"
    reference = protocol.reference
    if reference and protocol.reference_count is not None:
        reference += f" ({protocol.reference_count:,} images)"
    parts = [
        extractor,
        f"reference: {reference}" if reference else None,
        f"{protocol.sample_count:,} images scored" if protocol.sample_count is not None else None,
        protocol.class_policy,
        "each run at its best guidance" if own_guidance else _guidance(protocol),
        f"rounding {protocol.rounding}" if protocol.rounding else None,
        protocol.probe,
        f"seed {protocol.seed}" if protocol.seed is not None else None,
    ]
    return "; ".join(part for part in parts if part)


def _guidance(protocol: Protocol) -> str | None:
    scale = (protocol.sampler or {}).get("cfg_scale")
    if not isinstance(scale, int | float):
        return None
    return "no guidance" if scale == 1 else f"guidance {scale:g}"


def metric_label(metric: str) -> str:
    """A metric's name for readers: ``rfid/x`` is ``rFID``; names that no table shows stay as they are."""
    if found := find_metric(metric):
        return found.label
    families = {
        RECONSTRUCTION: "{} of reconstructions",
        AT_SCALE: "{} at a given guidance",
        ENCODER_PROBE_AT: "{}, intermediate checkpoints",
    }
    for prefix, words in families.items():
        plain = {AT_SCALE: "gfid", ENCODER_PROBE_AT: ENCODER_PROBE}.get(prefix, metric.removeprefix(prefix))
        if metric.startswith(prefix) and (found := find_metric(plain)):
            return words.format(found.label)
    return metric.split("/")[0]


def measured_lines(scores: Iterable[Score]) -> list[str]:
    """One line for each way of measuring among the scores, one for the data, then ``resumption_lines``."""
    scores = list(scores)
    by_protocol: dict[str, list[str]] = {}
    for score in scores:
        label = metric_label(score.metric)
        own = has_best_guidance(score.metric)
        labels = by_protocol.setdefault(protocol_line(score.protocol, own_guidance=own), [])
        if label not in labels:
            labels.append(label)
    lines = [f"{', '.join(labels)}: {line or COUNTED}." for line, labels in by_protocol.items()]
    return [*lines, _made_by([score.provenance for score in scores]), *resumption_lines(scores)] if scores else []


def resumed(score: Score) -> bool:
    """Whether a training behind the score took over what another run had made."""
    return bool(score.provenance.resumed_anyway)


def resumption_lines(scores: Iterable[Score]) -> list[str]:
    """One line for each training that took over what another run had made; values from it bear ``RESUMED``."""
    taken = dict.fromkeys(each.describe() for score in scores for each in score.provenance.resumed_anyway or ())
    return [f"{RESUMED}: from a training that was resumed anyway: {text}." for text in taken]


def pedigree(score: Score, run: Run) -> list[tuple[str, str]]:
    """Everything known about one number, as label and value, in reading order."""
    made = score.provenance
    happened: list[tuple[str, Any]] = [
        ("MLflow run", run.mlflow_run),
        ("commit", _commit(made)),
        ("trained", _date(run.provenance.get("finished"))),
        ("host", run.provenance.get("host")),
    ]
    return [*lasting_pedigree(score, run), *((label, str(value)) for label, value in happened if value)]


def lasting_pedigree(score: Score, run: Run) -> list[tuple[str, str]]:
    """The pedigree without what a repetition with equal scores changes; the report keeps that in ``runs.json``."""
    protocol, made = score.protocol, score.provenance
    interval = f"{score.interval[0]:.6g} to {score.interval[1]:.6g}" if score.interval else None
    if interval and protocol.interval_method:
        interval += f" (95%, {protocol.interval_method} over {protocol.interval_over})"
    sampler = ", ".join(f"{key} {value}" for key, value in (protocol.sampler or {}).items())
    known: list[tuple[str, Any]] = [
        ("metric", score.metric),
        ("value", f"{score.value:.6g}"),
        ("interval", interval),
        ("run", made.run or run.name),
        ("protocol", protocol_line(protocol)),
        ("estimator", protocol.estimator.describe() if protocol.estimator else None),
        ("rough guide", "fewer samples than feature dimensions" if protocol.rough else None),
        ("crop", protocol.crop.describe() if protocol.crop else None),
        ("preprocessing", protocol.preprocessing),
        ("codec", protocol.codec),
        ("sampler", sampler),
        ("note", protocol.notes),
        ("resumed anyway", "; ".join(each.describe() for each in made.resumed_anyway or ())),
        ("seed", made.seed),
        ("profile", made.profile),
        ("data", made.data_sha),
        ("params", made.params_sha),
    ]
    return [(label, str(value)) for label, value in known if value not in (None, "")]


def _made_by(made: Sequence[Provenance]) -> str:
    """Hashes of the data. Each number has the hash of its settings in its own pedigree."""
    return f"Data {', '.join(dict.fromkeys(short(each.data_sha) for each in made))}."


def _commit(made: Provenance) -> str:
    if not made.commit:
        return "-"
    return f"{short(made.commit)}{' with uncommitted changes' if made.dirty else ''}"


def _date(value: object) -> str | None:
    """A provenance time (unix seconds or ISO text) as UTC text."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return str(value) if value else None
