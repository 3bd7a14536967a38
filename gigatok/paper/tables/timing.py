"""Table 4 as files: the paper's shares beside ours, and the times they come from."""

from __future__ import annotations

from pathlib import Path

from gigatok.artifacts import write_bytes
from gigatok.evaluation.timing.times import DECODERS, GENERATORS, Timing, TimingTable
from gigatok.paper.printed import load_claims
from gigatok.paper.results.pedigree import short
from gigatok.paper.text import NOT_RUN, escape, markdown_table, markdown_text, tabular

NAME = "table04"
TITLE = "Share of generation time spent in tokenizer decoding, percent"
COMMAND = "dvc repro timing"
SECONDS_HEAD = ["Part", "Median", "Fastest", "Slowest"]
"""Headings of ``seconds_cells``."""


def timing_cells(table: TimingTable | None) -> list[list[str]]:
    """Rows of the table: decoder, then the paper's share and ours for every AR model."""
    printed = load_claims()["table4"]["rows"]
    return [
        [
            row,
            *(
                text
                for place, column in enumerate(GENERATORS)
                for text in (
                    f"{printed[row][place]:g}",
                    NOT_RUN if table is None else f"{table.share(row, column):.1f}",
                )
            ),
        ]
        for row in DECODERS
    ]


def timing_head() -> list[str]:
    """Headings of ``timing_cells``."""
    return ["Decoder", *(f"GPT-{column} {who}" for column in GENERATORS for who in ("paper", "ours"))]


def measured_on(table: TimingTable) -> str:
    """What the times were measured on."""
    commit = short(table.about.get("commit")) + (" with uncommitted changes" if table.about.get("dirty") else "")
    about = {**{key: value for key, value in table.about.items() if key != "dirty"}, "commit": commit}
    return f"{table.scale}, measured. {', '.join(f'{key} {value}' for key, value in about.items())}."


def write_timing(table: TimingTable | None, folder: Path) -> Path:
    """``table04.md``, ``.csv`` and ``.tex``; returns the Markdown file. ``None``: nothing was measured yet."""
    head, rows = timing_head(), timing_cells(table)
    parts = [f"# Table 4: {TITLE}\n"]
    if table is None:
        parts += [f"Not run: `{COMMAND}`\n", markdown_table(head, rows), ""]
    else:
        parts += [f"Ours: {markdown_text(measured_on(table))}\n", markdown_table(head, rows)]
        parts += ["\nSeconds a batch: median, fastest, slowest.\n"]
        parts += [markdown_table(SECONDS_HEAD, seconds_cells(table)), ""]
    path = folder / f"{NAME}.md"
    write_bytes(path, "\n".join(parts).encode())
    printed = load_claims()["table4"]["rows"]
    lines = ["decoder,generator,paper,ours"]
    for row in DECODERS:
        for place, column in enumerate(GENERATORS):
            ours = "" if table is None else str(table.share(row, column))
            lines.append(f"{row},{column},{printed[row][place]},{ours}")
    write_bytes(path.with_suffix(".csv"), ("\n".join(lines) + "\n").encode())
    notes = [] if table is None else [f"Ours: {table.scale}, measured."]
    latex = tabular(
        "l" + "rr" * len(GENERATORS), [" & ".join(escape(text) for text in head)], [" & ".join(r) for r in rows], notes
    )
    write_bytes(path.with_suffix(".tex"), latex.encode())
    return path


def seconds_cells(table: TimingTable) -> list[list[str]]:
    """What was timed, and the seconds a batch of it takes: median, fastest, slowest."""
    named = {f"decode {name}": each for name, each in table.decode.items()}
    named |= {f"sample GPT-{name}": each for name, each in table.sample.items()}
    return [[name, *_seconds(each)] for name, each in named.items()]


def _seconds(each: Timing) -> list[str]:
    return [f"{value:.4g}" for value in (each.median, each.fastest, each.slowest)]
