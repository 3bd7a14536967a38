"""How numbers and tables are written: Markdown, and LaTeX tables that carry their notes with them."""

from __future__ import annotations

import re
from collections.abc import Sequence

NOT_RUN = "not run"
_SYMBOLS = {**{letter: f"\\{letter}" for letter in "%&_#"}, "†": r"$^\dagger$", "∞": r"$\infty$"}
_HTML = re.compile(r"<(?=[A-Za-z/!?])|&(?=#|[A-Za-z][A-Za-z0-9]*;)")
"""Where Markdown takes a tag or an entity to begin. ``S-B < B-S`` and ``Food & Drink`` are neither."""


def escape(text: str) -> str:
    """Text as LaTeX sets it."""
    return "".join(_SYMBOLS.get(letter, letter) for letter in text)


def tabular(columns: str, heads: Sequence[str], lines: Sequence[str], notes: Sequence[str] = ()) -> str:
    """A ``tabular`` between rules.

    Args:
        columns: its column specification.
        heads, lines: rows, escaped, their cells joined by ``&``.
        notes: plain sentences under the last rule, each over the whole width, broken into lines.
    """
    width = sum(columns.count(kind) for kind in "lrc")
    under = [rf"\multicolumn{{{width}}}{{p{{0.95\linewidth}}}}{{\footnotesize {escape(note)}}} \\" for note in notes]
    body = ["\\hline", *(f"{head} \\\\" for head in heads), "\\hline", *(f"{line} \\\\" for line in lines), "\\hline"]
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", *body, *under, "\\end{tabular}", ""])


def digits(value: float | None) -> str:
    """Five significant digits, or ``-``."""
    return "-" if value is None else f"{value:.5g}"


def markdown_text(text: str) -> str:
    """Text that Markdown never takes for HTML: names of classes, folders and reports come from anywhere."""
    return _HTML.sub(lambda found: {"<": "&lt;", "&": "&amp;"}[found[0]], text)


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns are set left, the rest right. HTML in a cell is text."""
    rule = [":--" if place < left else "--:" for place in range(len(head))]
    lines = [head, rule, *body]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return markdown_text(" ".join(text.splitlines())).replace("|", "\\|")


def significant(value: float) -> float:
    """The value to ten significant digits: what lies beyond differs between machines and means nothing."""
    return float(f"{value:.10g}")


def compact(value: float) -> str:
    """A count as axis labels show it: ``550K``, ``2.9M``, ``1.4B``."""
    for factor, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:g}"
