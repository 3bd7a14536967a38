"""Scores by class and by designer, from the values that runs keep image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gigatok.config import Params
from gigatok.evaluation.metrics.intervals import seed_interval, share_estimate
from gigatok.evaluation.metrics.names import with_best_guidance
from gigatok.paper.results.metrics import full_name, owner
from gigatok.paper.results.reader import Results
from gigatok.paper.results.run import Run

Kind = Literal["class", "designer"]
Split = Literal["validation", "train"]
Labels = npt.NDArray[np.int64]
_PREFIX = "images/"


class Measure(NamedTuple):
    """What is said of each group."""

    key: str
    of: Literal["validation", "train", "samples"]
    """Whose groups its values follow: images of a split, or samples by the class they were drawn for."""
    share: bool = False
    """Its values are 0 or 1."""


MEASURES = (
    Measure("psnr", "validation"),
    Measure("ar_val_loss", "validation"),
    Measure(with_best_guidance("precision"), "samples", share=True),
    Measure(with_best_guidance("recall"), "train", share=True),
)
"""Reconstruction, then generation."""


@dataclass(frozen=True, kw_only=True)
class GroupScore:
    """A metric of one run over one group of images."""

    kind: Kind
    group: str
    run: str
    metric: str
    """Its key."""
    value: float
    interval: tuple[float, float] | None
    """95%, over the images of the group; ``None``: a single image."""
    images: int


def group_scores(results: Results, names: Sequence[str], kind: Kind) -> list[GroupScore]:
    """Every measure of the tokenizers of that name and their generators by group, in the order of the groups.

    Runs from before such values were kept, and sources without designers, give none. Of several trainings the first
    counts.
    """
    found = []
    for measure in MEASURES:
        for name in names:
            run = results.single(owner(measure.key), name)
            details = run.details
            metric = full_name([each.removeprefix(_PREFIX) for each in details], measure.key)
            groups = None if metric is None else _groups(results, run, measure, kind)
            if metric is None or groups is None:
                continue
            values = details[f"{_PREFIX}{metric}"].astype(np.float64)
            if len(values) == len(groups):
                found += _means(kind, name, measure, values, groups)
    return found


def _means(
    kind: Kind, name: str, measure: Measure, values: npt.NDArray[np.float64], groups: npt.NDArray[np.str_]
) -> list[GroupScore]:
    scores = []
    for group in np.unique(groups):
        chosen = values[groups == group]
        value = float(chosen.mean())
        interval = seed_interval(chosen.tolist()) if len(chosen) > 1 else None
        if measure.share:
            interval = share_estimate(value, len(chosen)).interval
        scores.append(
            GroupScore(
                kind=kind,
                group=str(group),
                run=name,
                metric=measure.key,
                value=value,
                interval=interval,
                images=len(chosen),
            )
        )
    return scores


def _groups(results: Results, run: Run, measure: Measure, kind: Kind) -> npt.NDArray[np.str_] | None:
    """(n,) the group of each value of a measure; ``None``: not known."""
    if measure.of == "samples":
        samples = run.samples
        return None if samples is None or kind == "designer" else _named(samples.classes, results.classes)
    if measure.of == "train" and results.params.reference.samples is not None:
        return None  # samples are compared with other images than the training set
    index = _index(results.runs_root / "data" / "index.parquet", measure.of)
    if index is None:
        return None
    ids, labels = index
    if kind == "class":
        return _named(labels, results.classes)
    return _designers(results.params, ids)


def _named(labels: npt.NDArray[Any], classes: Sequence[str]) -> npt.NDArray[np.str_]:
    return np.array([classes[label] if label < len(classes) else f"class {label}" for label in labels.tolist()])


def _designers(params: Params, ids: Labels) -> npt.NDArray[np.str_] | None:
    if params.prepare.source != "emoji":
        return None
    return np.array([_emoji_designers()[each] for each in ids.tolist()])


@cache
def _emoji_designers() -> list[str]:
    import pyarrow.parquet as pq

    from gigatok.data.emoji import find_emoji

    return [str(each) for each in pq.read_table(find_emoji(), columns=["designer"])["designer"].to_pylist()]


def _index(path: Path, split: Split) -> tuple[Labels, Labels] | None:
    """Ids and labels of the images of a split, in the order in which they are scored; ``None`` before ``prepare``."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    table = pq.read_table(path, columns=["id", "label", "split"])
    chosen = table.filter(pc.equal(table["split"], split))
    ids, labels = (chosen[name].to_numpy().astype(np.int64) for name in ("id", "label"))
    return ids, labels
