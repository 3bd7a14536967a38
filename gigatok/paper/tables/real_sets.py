"""What two disjoint real sets score, under the columns of a model's scores, and where their sizes do not match."""

from __future__ import annotations

from collections.abc import Sequence

from gigatok.artifacts import Score
from gigatok.evaluation.metrics.names import BEST_GUIDANCE, REAL, REST
from gigatok.paper.results.metric import Metric
from gigatok.paper.results.metrics import SCALING_METRICS, full_name
from gigatok.paper.tables.scaling_rows import ScalingRow

NAME = "two disjoint real sets"
_BIASED = ("gfid", "mind")
"""Of samples to a whole reference set, with a bias that depends on both counts. The kernel distance has none."""


def real_text(rows: Sequence[ScalingRow], column: Metric) -> str:
    """What real images score in the place of a model's, with their numbers; blank where that was not measured."""
    score = _real_score(rows, column.key)
    if score is None:
        return ""
    drawn, others = score.protocol.sample_count or 0, score.protocol.reference_count or 0
    return f"{column.text(score.value)} (n {drawn:,}{f' to {others:,}' if others != drawn else ''})"


def equal_set_notes(rows: Sequence[ScalingRow]) -> list[str]:
    """By how much real images stand too high, where as many were compared with as many, but samples with more.

    Computed from the counts that the scores were stored with; empty where none of these is shown.
    """
    notes = {}
    for row in rows:
        for key in _BIASED:
            real, name = _real_score([row], key), full_name(row.metrics, key)
            samples = row.scores[name].protocol if name else None
            if real is None or samples is None or samples.sample_count is None or samples.reference_count is None:
                continue
            each, whole = real.protocol.reference_count, samples.reference_count
            if each == real.protocol.sample_count == samples.sample_count != whole:
                notes[each, whole] = _note(each, whole)
    return list(notes.values())


def count_notes(rows: Sequence[ScalingRow]) -> list[str]:
    """Columns in which real images stand beside the scores of more or fewer images, with both numbers.

    As many real images as samples need a set of twice as many, which a reference batch may lack.
    """
    labels: dict[tuple[int, int], dict[str, None]] = {}
    for row in rows:
        for column in SCALING_METRICS:
            real, name = _real_score([row], column.key), full_name(row.metrics, column.key)
            drawn = real.protocol.sample_count if real else None
            judged = row.scores[name].protocol.sample_count if name else None
            if drawn is not None and judged is not None and drawn != judged:
                labels.setdefault((drawn, judged), {})[column.label] = None
    return [
        f"Under {', '.join(names)}, the two disjoint real sets have {drawn:,} images, while scores are of {judged:,}. "
        "Distances depend on the number of images, so these are not to be compared."
        for (drawn, judged), names in labels.items()
    ]


def _note(each: int, whole: int) -> str:
    factor = (2 / each) / (1 / each + 1 / whole)
    return (
        f"Under gFID and MIND, the two disjoint real sets have {each:,} images each, while samples are compared with "
        f"{whole:,}. Fréchet distances are biased upwards, at best as one over the one count plus one over the other: "
        f"that of the real sets is up to about {factor:.1f} times too high beside gFID, and 'FDr, equal sets' too low."
    )


def _real_score(rows: Sequence[ScalingRow], key: str) -> Score | None:
    """The score of real images against all others of the reference set; that of two equal sets where there is none."""
    scores = {score.metric: score for row in rows for score in row.reference_run.scores}
    plain = f"{REAL}{key.removesuffix(BEST_GUIDANCE)}"
    name = full_name(scores, f"{plain}{REST}") or full_name(scores, plain)
    return scores[name] if name else None
