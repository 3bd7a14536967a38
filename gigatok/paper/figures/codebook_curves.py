"""How the codebook was used while training (paper figure 5): usage and perplexity over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gigatok.config import Params
from gigatok.paper.figures.drawing.labels import LineEnd, label_ends
from gigatok.paper.figures.drawing.palette import Look, Palette, mixed
from gigatok.paper.figures.drawing.panels import Panel, row_for, scale_note, write_panels
from gigatok.paper.figures.drawing.text import short_name
from gigatok.paper.results.run import Curve
from gigatok.paper.tables.scaling_rows import ScalingRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIRST = "Of several trainings the first one's."
"""What curves show where the scores are means over several."""
PANELS = (
    ("codebook_usage", "Codebook usage (higher is better)", "%", 100.0),
    ("codebook_perplexity", "Perplexity (higher is better)", "codes", 1.0),
)


def write_codebook_curves(rows: Sequence[ScalingRow], params: Params, folder: Path) -> Path:
    """``codebook`` in every format: a line for each tokenizer, dash-dotted without regularization."""
    looks = Palette(params)
    runs = {row.tokenizer: row.tokenizer_run.curves for row in rows}
    curves = {name: runs[name] for name in looks.ordered(runs)}
    recipes = {name: looks.recipe(name) for name in curves}
    panels = [
        Panel(
            title,
            partial(
                _panel,
                lines={name: each[key] for name, each in curves.items() if each.get(key)},
                looks={name: looks.tokenizer(name) for name in curves},
                recipes=recipes,
                unit=unit,
                scale=scale,
            ),
        )
        for key, title, unit, scale in PANELS
        if any(each.get(key) for each in curves.values())
    ]
    nothing = "No tokenizer of the scaling series was trained yet: gigatok-bench scaling trains them."
    notes = [scale_note(params.profile), "Darker: larger."]
    notes += [FIRST] if any(row.tokenizer_run.repeats for row in rows) else []
    return write_panels(
        folder / "codebook",
        panels,
        notes=notes,
        nothing=nothing,
        xlabel="tokenizer training steps",
        row=row_for(len(curves)),
    )


def _panel(
    axes: Axes,
    *,
    lines: Mapping[str, Curve],
    looks: Mapping[str, Look],
    recipes: Mapping[str, str],
    unit: str,
    scale: float,
) -> None:
    """Names stand at the ends of lines, but for usage: there all lines end at the same value in most runs."""
    axes.set_ylabel(unit)
    ends = []
    for name, points in lines.items():
        xs, ys = zip(*points, strict=True)
        look = {**looks[name], "marker": looks[name]["marker"] if len(points) == 1 else ""}
        axes.plot(xs, [y * scale for y in ys], label=recipes[name], **look)
        ends.append(LineEnd(xs[-1], ys[-1] * scale, short_name(name), mixed(look["color"], -0.2)))
    axes.set_ylim(bottom=0)
    if scale == 100:
        axes.set_ylim(0, 104)  # on a finer scale one code more or less would look like a collapse
    else:
        label_ends(axes, ends)
