"""The paper's claims as checked statements over our numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gigatok.artifacts import Score, protocol_differences, write_bytes
from gigatok.config import Params
from gigatok.paper.columns import column, find
from gigatok.paper.scaling_table import markdown_table
from gigatok.paper.seeds import read_repeated

Verdict = Literal["confirmed", "contradicted", "inconclusive", "not run"]
Direction = Literal["<", ">"]


@dataclass(frozen=True)
class Contrast:
    """One comparison a claim rests on: ``left``'s metric is below or above ``right``'s."""

    metric: str
    left: str
    direction: Direction
    right: str


@dataclass(frozen=True)
class Correlation:
    """A metric of one list of runs rises with that of another, pair by pair."""

    metric: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    paper_r2: float
    """What the paper prints."""


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper and the comparisons that must all hold."""

    key: str
    text: str
    contrasts: tuple[Contrast, ...] = ()
    correlations: tuple[Correlation, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A comparison with its numbers. ``effect`` is left minus right, or the correlation."""

    contrast: Contrast | Correlation
    verdict: Verdict
    effect: float | None
    text: str


@dataclass(frozen=True)
class Entry:
    """A claim as found."""

    claim: Claim
    verdict: Verdict
    findings: tuple[Finding, ...]


_SIZES = ("S-S", "S-L", "B-L")
_LARGER = tuple(f"{name}-GPT-XL" for name in _SIZES)

CLAIMS = (
    Claim(
        "dilemma",
        "Without semantic regularization a larger tokenizer reconstructs better but generates worse (figure 3).",
        (
            Contrast("rfid", "B-L-no-sem", "<", "S-S-no-sem"),
            Contrast("gfid", "B-L-no-sem", ">", "S-S-no-sem"),
            Contrast("ar_val_loss", "B-L-no-sem", ">", "S-S-no-sem"),
        ),
    ),
    Claim(
        "cure",
        "With semantic regularization generation improves with size too (figure 7).",
        (
            Contrast("rfid", "B-L", "<", "S-S"),
            Contrast("gfid", "B-L", "<", "S-S"),
            Contrast("linear_probe_accuracy", "B-L", ">", "S-S"),
            *(Contrast("gfid", name, "<", f"{name}-no-sem") for name in _SIZES),
        ),
    ),
    Claim(
        "decoder-over-encoder",
        "Scaling the decoder helps more than scaling the encoder (table 2).",
        (Contrast("rfid", "S-B", "<", "B-S"), Contrast("gfid", "S-B", "<", "B-S")),
    ),
    Claim(
        "one-dimensional",
        "1D tokenizers reconstruct better than 2D ones and serve the linear probe better (figure 9).",
        tuple(
            contrast
            for name in ("S-S", "S-B", "B-L")
            for contrast in (
                Contrast("rfid", name, "<", f"{name}-2d"),
                Contrast("linear_probe_accuracy", name, ">", f"{name}-2d"),
            )
        ),
    ),
    Claim(
        "layer-3",
        "Aligning decoder layer 3 balances reconstruction (best rFID) and probing (table 5).",
        (
            Contrast("rfid", "S-S", "<", "S-S-layer2"),
            Contrast("rfid", "S-S", "<", "S-S-layer4"),
            Contrast("linear_probe_accuracy", "S-S", ">", "S-S-layer4"),
        ),
    ),
    Claim(
        "weight-050",
        "A larger weight serves the probe, a smaller one reconstruction; 0.5 reconstructs best (table 7).",
        (
            *(Contrast("rfid", "S-S", "<", f"S-S-weight{weight}") for weight in ("025", "075", "100")),
            Contrast("linear_probe_accuracy", "S-S-weight100", ">", "S-S-weight025"),
        ),
    ),
    Claim(
        "entropy-loss",
        "Without the entropy loss the largest tokenizer uses few codes and does not converge (figure 5).",
        (
            Contrast("codebook_usage", "XL-XXL", ">", "XL-XXL-no-entropy"),
            Contrast("rfid", "XL-XXL", "<", "XL-XXL-no-entropy"),
        ),
    ),
    Claim(
        "longer-training",
        "Longer training keeps improving reconstruction; without regularization generation degrades (figure 12).",
        (
            Contrast("rfid", "S-S-120pct", "<", "S-S-40pct"),
            Contrast("rfid", "S-S-120pct-no-sem", "<", "S-S-40pct-no-sem"),
            Contrast("ar_val_loss", "S-S-120pct-no-sem", ">", "S-S-40pct-no-sem"),
        ),
    ),
    Claim(
        "ar-probing",
        "A small AR model foretells how tokenizers compare under a large one (figure 6).",
        correlations=(
            Correlation("gfid", _SIZES, _LARGER, 0.99),
            Correlation("linear_probe_accuracy", _SIZES, _LARGER, 0.80),
        ),
    ),
)
"""Claims that runs of the suite can speak about."""


def check_claims(runs_root: Path, params: Params) -> list[Entry]:
    """Every claim against the runs that are there."""

    def score(name: str, metric: str) -> Score | None:
        for kind in ("tokenizer", "generator"):
            run = read_repeated(runs_root, "tokenizer" if kind == "tokenizer" else "generator", name, params)
            named = {each.metric: each for each in run.scores}
            if metric in ("gfid", "ar_val_loss", "linear_probe_accuracy") and kind == "tokenizer":
                continue
            found = find(named, metric)
            if found:
                return named[found]
        return None

    return [_entry(claim, score) for claim in CLAIMS]


def contradictions(entries: list[Entry]) -> list[Entry]:
    """What ``verify --strict`` fails on: a claim contradicted beyond its intervals."""
    return [entry for entry in entries if entry.verdict == "contradicted"]


def judge(left: Score, direction: Direction, right: Score) -> Verdict:
    """Disjoint intervals decide; overlapping or absent ones leave it open."""
    if left.interval is None or right.interval is None:
        return "inconclusive"
    if left.interval[1] < right.interval[0]:
        return "confirmed" if direction == "<" else "contradicted"
    if left.interval[0] > right.interval[1]:
        return "confirmed" if direction == ">" else "contradicted"
    return "inconclusive"


def ledger_markdown(entries: list[Entry], params: Params) -> str:
    """``claims.md``: one row a claim, then every comparison with its numbers."""
    scale = "paper scale" if params.profile == "paper" else f"proxy scale: profile {params.profile}"
    rows = [[entry.claim.key, entry.claim.text, entry.verdict, _tally(entry), scale] for entry in entries]
    parts = [
        "# Claims of the paper, checked over our numbers\n",
        "Test: two scores differ when their intervals do not overlap; a correlation has a sign when its interval does "
        "not hold 0. Without intervals (one seed, no resampling) "
        "a comparison is inconclusive, whatever its sign. At proxy scale a verdict is about the proxy alone.\n",
        markdown_table(["Claim", "What the paper says", "Verdict", "Comparisons", "Scale"], rows, left=5),
    ]
    for entry in entries:
        parts.append(f"## {entry.claim.key}\n")
        parts += [f"- {finding.verdict}: {finding.text}" for finding in entry.findings]
        parts.append("")
    return "\n".join(parts)


def write_ledger(runs_root: Path, params: Params, path: Path) -> list[Entry]:
    """Check all claims and write ``claims.md``."""
    entries = check_claims(runs_root, params)
    write_bytes(path, ledger_markdown(entries, params).encode())
    return entries


def _entry(claim: Claim, score: Callable[[str, str], Score | None]) -> Entry:
    findings = tuple(_finding(contrast, score) for contrast in claim.contrasts)
    findings += tuple(correlate(each, score) for each in claim.correlations)
    verdicts = {finding.verdict for finding in findings}
    if "contradicted" in verdicts:
        return Entry(claim, "contradicted", findings)
    if "not run" in verdicts:
        return Entry(claim, "not run", findings)
    return Entry(claim, "inconclusive" if "inconclusive" in verdicts else "confirmed", findings)


def _finding(contrast: Contrast, score: Callable[[str, str], Score | None]) -> Finding:
    left, right = score(contrast.left, contrast.metric), score(contrast.right, contrast.metric)
    shown = column(contrast.metric)
    label = shown.label if shown else contrast.metric
    claimed = f"{label} of {contrast.left} {contrast.direction} {contrast.right}"
    if left is None or right is None:
        missing = [name for name, each in ((contrast.left, left), (contrast.right, right)) if each is None]
        return Finding(contrast, "not run", None, f"{claimed}: {' and '.join(missing)} not run")
    effect = left.value - right.value
    text = f"{claimed}: {_number(left)} and {_number(right)}, difference {effect:+.4g}"
    differences = protocol_differences(left, right)
    if differences:
        return Finding(contrast, "inconclusive", effect, f"{text}; measured differently ({'; '.join(differences)})")
    return Finding(contrast, judge(left, contrast.direction, right), effect, text)


DRAWS = 2000


def correlate(claim: Correlation, score: Callable[[str, str], Score | None], seed: int = 0) -> Finding:
    """Pearson's correlation over the pairs that were run, with an interval from the scores' own.

    Every score is drawn from a normal distribution as wide as its interval. The claim holds when the whole interval
    lies above 0, and is contradicted when it lies below; three pairs at least.
    """
    import numpy as np

    pairs = [(score(a, claim.metric), score(b, claim.metric)) for a, b in zip(claim.first, claim.second, strict=True)]
    known = [(a, b) for a, b in pairs if a and b]
    shown = column(claim.metric)
    claimed = f"{shown.label if shown else claim.metric} of the small AR model rises with that of the large one"
    if len(known) < 3:
        missing = [name for name, pair in zip(claim.second, pairs, strict=True) if not (pair[0] and pair[1])]
        return Finding(claim, "not run", None, f"{claimed}: {len(known)} of 3 pairs, {', '.join(missing)} not run")
    if any(each.interval is None for pair in known for each in pair):
        return Finding(claim, "inconclusive", None, f"{claimed}: scores without intervals decide nothing")
    values = np.array([[each.value for each in pair] for pair in known])  # (pairs, 2)
    ends = [[each.interval or (each.value, each.value) for each in pair] for pair in known]
    spread = np.array([[(high - low) / 3.92 for low, high in pair] for pair in ends])
    if not (np.ptp(values, axis=0) > 0).all():
        return Finding(claim, "inconclusive", None, f"{claimed}: the tokenizers' scores are equal")
    found = float(np.corrcoef(values.T)[0, 1])
    drawn = values + spread * np.random.default_rng(seed).standard_normal((DRAWS, *values.shape))
    low, high = np.quantile([np.corrcoef(each.T)[0, 1] for each in drawn], (0.025, 0.975))
    verdict: Verdict = "confirmed" if low > 0 else "contradicted" if high < 0 else "inconclusive"
    text = f"r {found:+.2f} [{low:+.2f}, {high:+.2f}], R2 {found**2:.2f} over {len(known)} tokenizers"
    return Finding(claim, verdict, found, f"{claimed}: {text} (paper: R2 {claim.paper_r2:.2f})")


def _number(score: Score) -> str:
    interval = f" [{score.interval[0]:.4g}, {score.interval[1]:.4g}]" if score.interval else ""
    return f"{score.value:.4g}{interval}"


def _tally(entry: Entry) -> str:
    signs = [f for f in entry.findings if f.effect is not None]
    agree = sum((f.effect or 0) < 0 if _falls(f.contrast) else (f.effect or 0) > 0 for f in signs)
    return f"{agree} of {len(entry.findings)} have the paper's sign" if signs else "none run"


def _falls(contrast: Contrast | Correlation) -> bool:
    """Whether the paper's sign is negative."""
    return isinstance(contrast, Contrast) and contrast.direction == "<"
