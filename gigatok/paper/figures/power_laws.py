"""Scaling laws over sizes: each metric against parameters and training compute, with the paper's own points."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gigatok.artifacts import Score, write_bytes
from gigatok.config import RUNGS, Params
from gigatok.paper.figures import style
from gigatok.paper.figures.drawing.panels import Panel, scale_note, write_panels
from gigatok.paper.figures.drawing.text import fitted as in_lines
from gigatok.paper.figures.power_law_fit import Interval, Point, PowerLaw, fit
from gigatok.paper.figures.style import MIXED
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.printed import load_claims, printed_rows
from gigatok.paper.results.comparable import are_mixed
from gigatok.paper.results.metrics import PAPER_GFID, find_metric, full_name
from gigatok.paper.results.pedigree import scale_label
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import ScalingRow, tokenizer_row
from gigatok.paper.text import markdown_table
from gigatok.planning.flops import training_flops

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = ("rfid", "perceptual_distance", "ar_val_loss", PAPER_GFID)
"""Metrics that fall as tokenizers get better."""
_PAPERS = {"rfid": "rfid", "perceptual_distance": "lpips", "lpips": "lpips", PAPER_GFID: "gfid"}
_MILLION = 1e6
_LAW = 2.9
"""Inches of a line under a panel."""
_NUMBERS = ("a", "a_low", "a_high", "b", "b_low", "b_high", "c", "c_low", "c_high")
_COLUMNS = ("metric", "against", "points", "x0", *_NUMBERS, "r2", "why_not")
Fitted = list[tuple[str, str, list[Point], PowerLaw | str]]


def write_scaling_laws(results: Results, out: Path) -> WrittenFigure:
    """``figures/scaling-law`` in every format and ``tables/scaling-law.{md,csv}``.

    Raises:
        GigatokError: scores of one metric were measured differently, and ``report.force`` is false. With it they are
            drawn without a law.
    """
    params = results.params
    rows = [tokenizer_row(results, name) for name in RUNGS.values() if name in params.tokenizers]
    scores: list[Score] = []
    columns: list[Fitted] = []
    for key in _measured_metrics(rows):
        known = [(row, row.scores[name]) for row in rows if (name := full_name(row.metrics, key)) and row.params]
        scores += [score for _, score in known]
        mixed = are_mixed([score for _, score in known], force=params.report.force)
        by_parameters = [_point(row, score, float(row.params or 0)) for row, score in known]
        by_compute = [_point(row, score, training_flops(params, row.tokenizer)) for row, score in known]
        shown = find_metric(key)
        label = shown.label if shown else key
        papers, printed = "LPIPS, the paper's" if _PAPERS.get(key) == "lpips" else f"{label}, the paper's", _papers(key)
        columns.append(
            [
                (label, "tokenizer parameters", by_parameters, MIXED if mixed else fit(by_parameters)),
                (label, "training FLOPs", by_compute, MIXED if mixed else fit(by_compute)),
                (papers, "tokenizer parameters (paper)", printed, fit(printed)),
            ]
        )
    fitted = [panel for column in columns for panel in column]
    _draw(columns, params, out / "figures" / "scaling-law")
    write_bytes(out / "tables" / "scaling-law.md", _markdown(fitted, params).encode())
    write_bytes(out / "tables" / "scaling-law.csv", _csv(fitted).encode())
    return WrittenFigure(0, "Power laws y = c + a x^-b", out / "figures" / "scaling-law.png", tuple(scores))


def _draw(columns: Sequence[Fitted], params: Params, stem: Path) -> None:
    """A row of panels for each x axis on which a law was found; one sentence for the others."""
    lines = list(zip(*columns, strict=True))
    drawn = [line for line in lines if any(isinstance(law, PowerLaw) for *_, law in line)]
    sentence = _without_law([panel for line in lines if line not in drawn for panel in line])
    panels = [
        Panel(title, partial(_panel, xlabel=xlabel, points=points, law=law, ours=line is not lines[-1]))
        for line in drawn
        for title, xlabel, points, law in line
        if points
    ]
    notes = [scale_note(params.profile), *([sentence] if sentence and panels else [])]
    write_panels(stem, panels, notes=notes, nothing=sentence, row=2.3)


def _without_law(panels: Fitted) -> str:
    """Why there is no law in any of some panels, in one sentence; empty without panels."""
    reasons = Counter(str(law).removeprefix("no power law: ") for *_, law in panels)
    listed = "; ".join(f"{reason} ({count} of {len(panels)})" for reason, count in reasons.most_common())
    return (
        f"No power law against {' or '.join(dict.fromkeys(against for _, against, *_ in panels))}: {listed}."
        if panels
        else ""
    )


def _measured_metrics(rows: Sequence[ScalingRow]) -> list[str]:
    """``METRICS``, with LPIPS in the place of the profile's own perceptual distance where it was measured."""
    lpips = any(full_name(row.metrics, "lpips") for row in rows)
    return ["lpips" if key == "perceptual_distance" and lpips else key for key in METRICS]


def _point(row: ScalingRow, score: Score, x: float) -> Point:
    return Point(x, score.value, score.interval, row.tokenizer)


def _papers(key: str) -> list[Point]:
    """What table 10 prints of tokenizers with the B model."""
    sizes = load_claims()["table9"]
    counts = dict(zip(sizes["columns"], sizes["params"], strict=True))
    printed = printed_rows(10)
    return [
        Point(counts[name] * _MILLION, value, None, name)
        for name in counts
        if (value := printed.get(f"GigaTok-{name}, LlamaGen-B (1d)", {}).get(_PAPERS.get(key, ""))) is not None
    ]


def _power_of_ten(value: float) -> str:
    return f"{value:.0e}".replace("e+", "e")


def _panel(axes: Axes, *, xlabel: str, points: Sequence[Point], law: PowerLaw | str, ours: bool) -> None:
    look: dict[str, Any] = {**(style.WITH if ours else style.OTHER), "linestyle": "none"}
    look |= {} if ours else {"markerfacecolor": "none"}
    xs = np.array([point.x for point in points])
    errors = [[abs(p.y - (p.interval[place] if p.interval else p.y)) for p in points] for place in (0, 1)]
    axes.errorbar(xs, [p.y for p in points], yerr=errors if ours else None, capsize=2, elinewidth=0.8, **look)
    style.label_points(axes, [(point.x, point.y, point.label) for point in points], "#444444")
    if "FLOPs" in xlabel:
        style.log_axis(axes, xs.tolist(), _power_of_ten)
    else:
        style.parameter_axis(axes, xs.tolist())
    if isinstance(law, str):
        axes.set_xlabel(f"{xlabel}\n{in_lines(law, _LAW)}")
        return
    grid = np.geomspace(xs.min(), xs.max(), 60)
    axes.plot(grid, law(grid), color=look["color"], linewidth=1.2)
    band = law.band(grid)
    if band:
        axes.fill_between(grid, *band, color=look["color"], alpha=0.15, linewidth=0)
    said = f"b = {_with(law.b, law.b_interval)}, c = {law.c:.4g}"
    axes.set_xlabel(f"{xlabel}\n{in_lines(said, _LAW)}")


def _markdown(fitted: Fitted, params: Params) -> str:
    body = [[title, against, str(len(points)), *_numbers(law)] for title, against, points, law in fitted if points]
    return "\n".join(
        [
            "# Power laws\n",
            f"y = c + a (x / x0)^-b through our sizes ({scale_label(params)}) and through the paper's of table 10; x0 "
            "is the smallest. Intervals: 95%, from draws of every score within its own interval (over training seeds "
            "where there are several); no interval where the scores have none, as in the paper. FLOPs are those of "
            "training the tokenizer: forward and backward, without teacher, perceptual network, adversary and AR "
            "model. Three numbers through so few points, at paper scale of tokenizers trained for different numbers of "
            "epochs: look at the picture before believing an exponent.\n",
            markdown_table(["Metric", "Against", "Points", "a", "b", "c", "R2"], body, left=2),
        ]
    )


def _numbers(law: PowerLaw | str) -> list[str]:
    if isinstance(law, str):
        return ["-", law, "-", "-"]
    return [
        _with(law.a, law.a_interval),
        _with(law.b, law.b_interval),
        _with(law.c, law.c_interval),
        f"{law.r2:.3f}",
    ]


def _with(value: float, interval: Interval | None) -> str:
    """A number, and its interval where there is one."""
    return f"{value:.3g}" + (f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval else "")


def _csv(fitted: Fitted) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for title, against, points, law in fitted:
        if isinstance(law, str):
            writer.writerow((title, against, len(points), *[""] * (len(_COLUMNS) - 4), law))
            continue
        ends = [each or ("", "") for each in (law.a_interval, law.b_interval, law.c_interval)]
        known = (law.a, *ends[0], law.b, *ends[1], law.c, *ends[2])
        writer.writerow((title, against, len(points), law.x0, *known, law.r2, ""))
    return out.getvalue()
