"""Reconstruction and generation by class and by designer, as tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from gigatok.artifacts import write_bytes
from gigatok.config import Params
from gigatok.paper.results.groups import MEASURES, GroupScore, Kind
from gigatok.paper.results.metrics import find_metric
from gigatok.paper.results.pedigree import scale_label
from gigatok.paper.text import markdown_table

TITLES: dict[Kind, str] = {"class": "By class", "designer": "By designer"}
_WHAT = (
    "Means over the images of a group, with 95% intervals over these images; of a recipe trained several times the "
    "first training. PSNR and validation loss are of validation images. Precision is the share of a class's samples "
    "that lie among real images, recall the share of real images that lie among the samples, both with the guidance "
    "of the lowest gFID."
)
_COLUMNS = ("group", "images", "run", "metric", "value", "low", "high")


def write_group_table(scores: Sequence[GroupScore], kind: Kind, params: Params, folder: Path) -> None:
    """``by-class.{md,csv}`` or ``by-designer.{md,csv}``; without scores the Markdown says what they need."""
    write_bytes(folder / f"by-{kind}.md", _markdown(scores, kind, params).encode())
    write_bytes(folder / f"by-{kind}.csv", _csv(scores).encode())


def _markdown(scores: Sequence[GroupScore], kind: Kind, params: Params) -> str:
    parts = [f"# {TITLES[kind]}\n", f"{_WHAT} Ours at {scale_label(params)}.\n"]
    if not scores:
        parts.append(missing_groups(kind, params))
    for measure in MEASURES:
        chosen = [score for score in scores if score.metric == measure.key]
        shown = find_metric(measure.key)
        if not chosen or shown is None:
            continue
        runs = list(dict.fromkeys(score.run for score in chosen))
        cells = {(score.group, score.run): score for score in chosen}
        images = {score.group: score.images for score in chosen}
        body = [
            [group, str(images[group]), *(_cell(cells.get((group, run)), measure.key) for run in runs)]
            for group in sorted(images)
        ]
        unit = f", {shown.unit}" if shown.unit else ""
        counted = "Samples" if measure.of == "samples" else "Images"
        parts.append(f"## {shown.label}{unit}, {shown.better} is better\n")
        parts.append(markdown_table([kind.capitalize(), counted, *runs], body))
    return "\n".join(parts)


def missing_groups(kind: Kind, params: Params) -> str:
    """Why there is no such table or figure."""
    if kind == "designer" and params.prepare.source != "emoji":
        return "Images of this source have no designers.\n"
    return f"No run keeps its values image by image yet; they are made by: dvc repro {_first(params)}\n"


def _first(params: Params) -> str:
    return f"evaluate_tokenizer@{next(iter(params.tokenizers), 'S-S')}"


def _cell(score: GroupScore | None, metric: str) -> str:
    shown = find_metric(metric)
    if score is None or shown is None:
        return "-"
    if score.interval is None:
        return shown.text(score.value)
    return f"{shown.text(score.value)} [{shown.text(score.interval[0])}, {shown.text(score.interval[1])}]"


def _csv(scores: Sequence[GroupScore]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for score in scores:
        low, high = score.interval or ("", "")
        writer.writerow((score.group, score.images, score.run, score.metric, score.value, low, high))
    return out.getvalue()
