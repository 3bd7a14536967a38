"""Scores of one plot that were measured differently: refused, or drawn with a note (``report.force``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gigatok.artifacts import Score
from gigatok.config import GigatokError
from gigatok.evaluation.scoring.comparable import require_comparable
from gigatok.paper.columns import own_to_each_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIXED = "measured differently: values cannot be compared"


def are_mixed(scores: Sequence[Score], *, force: bool) -> bool:
    """Whether scores of one plot were measured differently.

    Raises:
        GigatokError: they were, and ``force`` is false; the differences are listed.
    """
    own = own_to_each_run(scores[0].metric) if scores else ()
    try:
        return bool(require_comparable(scores, force=force, ignore=("seed", *own)))
    except GigatokError as error:
        raise GigatokError(f"{error} with report.force") from None


def say_mixed(axes: Axes) -> None:
    """Says at the foot of a panel that its values cannot be compared."""
    axes.text(0.5, 0.02, MIXED, transform=axes.transAxes, ha="center", fontsize=6.5, color="#b3341a", zorder=5)
