"""LaTeX tables that carry their notes with them, since tables are pasted into papers."""

from __future__ import annotations

from collections.abc import Sequence

_SYMBOLS = {**{letter: f"\\{letter}" for letter in "%&_#"}, "†": r"$^\dagger$", "∞": r"$\infty$"}


def escape(text: str) -> str:
    """Text as LaTeX sets it."""
    return "".join(_SYMBOLS.get(letter, letter) for letter in text)


def tabular(columns: str, heads: Sequence[str], lines: Sequence[str], notes: Sequence[str] = ()) -> str:
    """A ``tabular`` between rules.

    Args:
        columns: its column specification.
        heads, lines: rows, escaped, their cells joined by ``&``.
        notes: plain sentences under the last rule, each over the whole width.
    """
    width = sum(columns.count(kind) for kind in "lrc")
    under = [rf"\multicolumn{{{width}}}{{l}}{{\footnotesize {escape(note)}}} \\" for note in notes]
    body = ["\\hline", *(f"{head} \\\\" for head in heads), "\\hline", *(f"{line} \\\\" for line in lines), "\\hline"]
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", *body, *under, "\\end{tabular}", ""])
