"""Cells of the paper's tables: the paper's value, ours with its pedigree, and what may be said about the two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from gigatok.artifacts import Score
from gigatok.config import ConfigError, Params
from gigatok.evaluation.metrics.names import with_best_guidance
from gigatok.paper.printed import printed_rows, without_guidance
from gigatok.paper.results.comparable import difference_from_paper
from gigatok.paper.results.metrics import PAPER_GFID, full_name, owner
from gigatok.paper.results.pedigree import RESUMED, lasting_pedigree, pedigree, resumed
from gigatok.paper.results.reader import Results
from gigatok.paper.results.repeats import runs_behind
from gigatok.paper.results.run import Run, suite_full
from gigatok.paper.tables.specs import TABLES, TableRow, TableSpec

_METRICS = {
    "rfid": ("rfid",),
    "lpips": ("lpips", "perceptual_distance"),
    "gfid": (PAPER_GFID, "gfid"),
    "lin_acc": ("linear_probe_accuracy",),
    "psnr": ("psnr",),
    "ssim": ("ssim",),
    "inception_score": (with_best_guidance("inception_score"), "inception_score"),
    "precision": (with_best_guidance("precision"), "precision"),
    "recall": (with_best_guidance("recall"), "recall"),
}
"""Ours for a column of the paper, best first; the last one is without guidance."""
LABELS = {
    "rfid": "rFID",
    "lpips": "LPIPS",
    "gfid": "gFID",
    "lin_acc": "Lin. acc. (%)",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "inception_score": "IS",
    "precision": "Precision",
    "recall": "Recall",
}


@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """One number of one table, printed and measured."""

    table: TableSpec
    line: TableRow
    name: str
    """Column as in ``claims.yaml``."""
    paper: float | None
    score: Score | None
    run: Run
    params: Params

    @property
    def shown_key(self) -> str | None:
        """Our metric's name before ``/``; ``None`` before it was measured."""
        return self.score.metric.split("/")[0] if self.score else None

    @property
    def _factor(self) -> int:
        """From our unit to the paper's: accuracies in percent."""
        return 100 if self.name == "lin_acc" else 1

    @property
    def ours(self) -> float | None:
        """Our value in the paper's unit (accuracies in percent); ``None``: not run."""
        return None if self.score is None else self.score.value * self._factor

    @property
    def ends(self) -> tuple[float, float] | None:
        """Our interval in the paper's unit; ``None`` too where it has no width, which is no measured certainty."""
        if self.score is None or self.score.interval is None:
            return None
        low, high = self.score.interval
        if low == high:
            return None
        return low * self._factor, high * self._factor

    @property
    def text(self) -> str:
        """Our value as printed; ``*``: another metric than the paper's, ``†``: no guidance, ``‡``: resumed anyway."""
        if self.ours is None:
            return "not measured" if self.run.sheet else "not run"
        taken = self.score is not None and resumed(self.score)
        marks = f"{'*' if self.substitute else ''}{'†' if self.unguided else ''}{RESUMED if taken else ''}"
        return f"{_printed(self.ours)}{marks}"

    @property
    def text_with_interval(self) -> str:
        """``600.9 [579.4, 622.5]``."""
        if self.ends is None:
            return self.text
        low, high = self.ends
        return f"{self.text} [{_printed(low)}, {_printed(high)}]"

    @property
    def substitute(self) -> str | None:
        """Our metric where it is not the paper's own: a perceptual distance in the place of LPIPS."""
        return self.score.metric if self.score and self.name == "lpips" and self.shown_key != "lpips" else None

    @property
    def unguided(self) -> bool:
        """Whether our samples were drawn without guidance in a column that has guided ones."""
        guided = with_best_guidance(_METRICS[self.name][-1])
        return guided in _METRICS[self.name] and self.shown_key not in (None, guided)

    @property
    def verdict(self) -> str:
        """What may be said about our value beside the paper's."""
        if self.score is None:
            return "not measured" if self.run.sheet else "not run"
        if self.params.profile != "paper":
            return "proxy scale"
        if difference_from_paper(self.name, self.score) is not None:
            return "other protocol"
        if self.paper is None or self.ends is None:
            return "no interval"
        return "agrees" if self.ends[0] <= self.paper <= self.ends[1] else "differs"

    @property
    def command(self) -> str:
        """The command that makes just this number, over all seeds it is the mean of."""
        stage, name = (self.run.kind, self.run.name)
        entries = self.params.tokenizers if stage == "tokenizer" else self.params.generators
        if name not in entries:
            missing = self.line.weights if self.line.tokenizer not in self.params.tokenizers else None
            more = f" --weights {missing}=FILE" if missing else ""
            return f"{suite_full(self.params)}{more} && dvc repro evaluate_{stage}@{name}"
        behind = runs_behind(stage, name, self.params)
        return f"dvc repro {' '.join(f'evaluate_{stage}@{each}' for each in behind)}"

    @cached_property
    def pedigree(self) -> list[tuple[str, str]]:
        """Everything known about our number; only the command where it was not run."""
        return self._around(pedigree(self.score, self.run) if self.score else [])

    @cached_property
    def lasting_pedigree(self) -> list[tuple[str, str]]:
        """The pedigree without what a repetition with equal scores changes."""
        return self._around(lasting_pedigree(self.score, self.run) if self.score else [])

    def _around(self, known: list[tuple[str, str]]) -> list[tuple[str, str]]:
        why_not = difference_from_paper(self.name, self.score) if self.score else None
        beside = [("not the paper's protocol", why_not)] if why_not else []
        beside += [("paper", "-" if self.paper is None else f"{self.paper:g}"), ("command", self.command)]
        return [*(known or [("value", "not run")]), *beside]


def _printed(value: float) -> str:
    """Four digits; two of shares below a tenth, which hundreds of images do not resolve finer."""
    return f"{value:.4g}" if abs(value) >= 0.1 else f"{value:.2g}"


def table_cells(table: TableSpec, results: Results) -> list[list[PaperCell]]:
    """All cells of a table, row by row."""
    printed, unguided = printed_rows(table.number), without_guidance(table.number)
    params, rows = results.params, []
    for line in table.lines:
        of_tokenizer, of_generator = line.runs(params)
        tokenizer, generator = results.run("tokenizer", of_tokenizer), results.run("generator", of_generator)
        rows.append(
            [
                PaperCell(
                    table=table,
                    line=line,
                    name=name,
                    paper=printed.get(line.label, {}).get(name),
                    score=_score(run, name, line.label in unguided),
                    run=run,
                    params=params,
                )
                for name in table.columns
                for run in (tokenizer if owner(_METRICS[name][0]) == "tokenizer" else generator,)
            ]
        )
    return rows


_COUNTED = "is counted from the architectures, nothing in it is measured: see 'gigatok-bench models'"
_ELSEWHERE = {
    **{f"table{number}": _COUNTED for number in (1, 8, 9)},
    "table4": "holds times, with their origin, in reports/tables/table04.md: 'dvc repro timing' measures them",
}
"""Tables without cells to trace, and where their numbers come from."""


def find_cell(results: Results, table: str, row: str, name: str) -> PaperCell:
    """The cell that ``gigatok-bench trace table2 B-L gfid`` means.

    Raises:
        ConfigError: there is no such table, row or column; the known ones are listed.
    """
    tables = {f"table{spec.number}": spec for spec in TABLES} | {spec.name: spec for spec in TABLES}
    if table in _ELSEWHERE:
        raise ConfigError(f"{table} {_ELSEWHERE[table]}")
    if table not in tables:
        known = ", ".join(f"table{spec.number}" for spec in sorted(TABLES, key=lambda spec: spec.number))
        raise ConfigError(f"table {table!r} has no measured cells: choose one of {known}")
    spec = tables[table]
    cells = {(cell.line.label, cell.name): cell for line in table_cells(spec, results) for cell in line}
    if name not in spec.columns:
        raise ConfigError(f"{table} has no column {name!r}: choose one of {', '.join(spec.columns)}")
    if (row, name) not in cells:
        raise ConfigError(f"{table} has no row {row!r}: choose one of {', '.join(line.label for line in spec.lines)}")
    return cells[row, name]


def order_agreement(rows: list[list[PaperCell]], place: int) -> tuple[int, int]:
    """Pairs of runs that our values order like the paper's, and all pairs that can be compared.

    A run that stands in several rows (a tokenizer with two AR models, say) counts once; values with guidance are not
    compared with values without.
    """
    cells = {cell.run.name: cell for cell in (row[place] for row in rows)}
    known = [(cell.paper, cell.ours, cell.unguided) for cell in cells.values()]
    pairs = [
        (p1 - p2) * (o1 - o2)
        for (p1, o1, unguided1), (p2, o2, unguided2) in combinations(known, 2)
        if p1 is not None and p2 is not None and o1 is not None and o2 is not None and p1 != p2
        if unguided1 == unguided2
    ]
    return sum(product > 0 for product in pairs), len(pairs)


def _score(run: Run, name: str, unguided: bool) -> Score | None:
    keys = _METRICS[name][-1:] if unguided and name != "lpips" else _METRICS[name]
    named = {score.metric: score for score in run.scores}
    found = next((metric for key in keys if (metric := full_name(named, key))), None)
    return named[found] if found else None
