"""Which scores may stand beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from gigatok.artifacts import ProtocolDifference, Score, protocol_differences
from gigatok.config import GigatokError


def require_comparable(
    scores: Sequence[Score], *, force: bool = False, ignore: Sequence[str] = ("seed",)
) -> list[ProtocolDifference]:
    """Refuse scores that were measured differently.

    Args:
        scores: what is to be compared or plotted together
        force: return the differences instead of refusing, to be shown beside the numbers
        ignore: protocol fields that may differ; the seed does between runs of one experiment, and what is compared
            on purpose (``sampler``, say, along a guidance curve) may be added

    Returns:
        Every difference from the first score, each once; empty: they are comparable.

    Raises:
        GigatokError: they differ, and ``force`` is false.
    """
    found: list[ProtocolDifference] = []
    for score in scores[1:]:
        for difference in protocol_differences(scores[0], score):
            if difference.field not in ignore and difference not in found:
                found.append(difference)
    if found and not force:
        names = ", ".join(dict.fromkeys(score.metric for score in scores))
        raise GigatokError(
            f"{names} were measured differently, in {'; '.join(map(str, found))}: measure alike, or force it"
        )
    return found
