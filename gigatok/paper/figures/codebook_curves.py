"""How the codebook was used while training (paper figure 5): usage and perplexity over steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gigatok.config.experiments import base_name
from gigatok.paper.figures import style
from gigatok.paper.tables.scaling_rows import ScalingRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = (("codebook_usage", "codes used (%)", 100.0), ("codebook_perplexity", "perplexity (codes)", 1.0))


def write_codebook_curves(rows: Sequence[ScalingRow], folder: Path) -> Path:
    """``codebook.png`` and ``.svg``: a line for each tokenizer, dash-dotted without regularization."""
    with style.figure(10.5, 3.6) as drawing:
        for place, (name, label, scale) in enumerate(PANELS):
            _panel(drawing.add_subplot(1, len(PANELS), place + 1), rows, name, label, scale)
        handles, labels = drawing.axes[0].get_legend_handles_labels()
        if handles:
            drawing.legend(handles, [str(each) for each in labels], loc="outside right upper", fontsize=7.5)
        style.save(drawing, folder / "codebook")
    return folder / "codebook.png"


def _panel(axes: Axes, rows: Sequence[ScalingRow], name: str, label: str, scale: float) -> None:
    axes.set(xlabel="training step", ylabel=label)
    sizes = list(dict.fromkeys(base_name(row.tokenizer) for row in rows))
    for row in rows:
        points = row.tokenizer_run.curves.get(name, [])
        place = sizes.index(base_name(row.tokenizer))
        if points:
            axes.plot(
                [step for step, _ in points],
                [value * scale for _, value in points],
                color=style.ACCENTS[place % len(style.ACCENTS)],
                linestyle="-" if row.semantic else "-.",
                linewidth=1.5 if row.semantic else 1.1,
                label=row.tokenizer,
            )
    if not axes.lines:
        style.not_run(axes)
    else:
        axes.set_ylim(bottom=0)
