"""How numbers were measured, said once a document: each way has a number that tables and figures refer to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gigatok.artifacts import Score
from gigatok.evaluation.metrics.names import has_best_guidance
from gigatok.paper.results.pedigree import COUNTED, metric_label, protocol_line, resumption_lines, short


class Mark(NamedTuple):
    """Metrics that were measured alike, and the number of the note that says how."""

    labels: str
    number: int


class Footnotes:
    """Numbers the ways of measuring in the order in which a document refers to them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._data: dict[str, None] = {}
        self._resumed: dict[str, None] = {}

    def marks(self, scores: Iterable[Score]) -> list[Mark]:
        """The metrics of the scores, those measured alike together, each with its number."""
        labels: dict[int, list[str]] = {}
        scores = list(scores)
        self._resumed |= dict.fromkeys(resumption_lines(scores))
        for score in scores:
            line = protocol_line(score.protocol, own_guidance=has_best_guidance(score.metric))
            number = self._numbers.setdefault(line or COUNTED, len(self._numbers) + 1)
            label, known = metric_label(score.metric), labels.setdefault(number, [])
            known += [label] if label not in known else []
            self._data[short(score.provenance.data_sha)] = None
        return [Mark(", ".join(names), number) for number, names in sorted(labels.items())]

    @property
    def notes(self) -> list[tuple[int, str]]:
        """Number and text of every way that was referred to."""
        return [(number, f"{line}.") for line, number in self._numbers.items()]

    @property
    def data(self) -> str:
        """First digits of the SHA-256 of the data; several only where the data changed between runs."""
        return ", ".join(self._data)

    @property
    def resumed(self) -> list[str]:
        """A sentence for each training that took over what another run had made."""
        return list(self._resumed)
