"""The paper's claims as checked statements over our numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gigatok.artifacts import Score, write_bytes
from gigatok.config import Params
from gigatok.evaluation.names import ENCODER_PROBE, encoder_probe_at
from gigatok.paper.columns import find
from gigatok.paper.findings import Contrast, Correlation, Finding, Point, Reader, Verdict, compare, correlate
from gigatok.paper.matrix import CHECKPOINTS, PROBED, share_of
from gigatok.paper.scaling_table import markdown_table
from gigatok.paper.seeds import read_repeated


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper and the comparisons that must all hold."""

    key: str
    text: str
    contrasts: tuple[Contrast, ...] = ()
    correlations: tuple[Correlation, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A claim as found."""

    claim: Claim
    verdict: Verdict
    findings: tuple[Finding, ...]


_SIZES = ("S-S", "S-L", "B-L")


def _small_and_large(metric: str, label: str, paper: str) -> Correlation:
    pairs = tuple((Point(name, metric), Point(f"{name}-GPT-XL", metric)) for name in _SIZES)
    return Correlation(f"{label} of the small AR model rises with that of the large one", pairs, ">", paper)


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
            _small_and_large("gfid", "gFID", "R2 0.99"),
            _small_and_large("linear_probe_accuracy", "Linear probe", "R2 0.80"),
        ),
    ),
)
"""Claims that runs of the suite can speak about; ``encoder_probe_claim`` besides."""


def encoder_probe_claim(params: Params) -> Claim:
    """Figure 13's: over checkpoints of two tokenizers, whose steps are the profile's."""
    pairs = []
    for name in (each for each in PROBED if each in params.tokenizers):
        steps = params.tokenizer_training(name).steps
        for step in (share_of(steps, percent) for percent in CHECKPOINTS):
            pairs.append((Point(name, encoder_probe_at(step)), Point(f"{name}-step{step}", "linear_probe_accuracy")))
        pairs.append((Point(name, ENCODER_PROBE), Point(name, "linear_probe_accuracy")))
    return Claim(
        "encoder-probe",
        "A linear probe of the tokenizer's own encoder misleads about the AR model on its tokens (figure 13).",
        correlations=(
            Correlation("the AR model's probe falls while the encoder's rises over checkpoints", tuple(pairs), "<"),
        ),
    )


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

    return [_entry(claim, score) for claim in (*CLAIMS, encoder_probe_claim(params))]


def contradictions(entries: list[Entry]) -> list[Entry]:
    """What ``verify --strict`` fails on: a claim contradicted beyond its intervals."""
    return [entry for entry in entries if entry.verdict == "contradicted"]


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


def _entry(claim: Claim, score: Reader) -> Entry:
    findings = tuple(compare(contrast, score) for contrast in claim.contrasts)
    findings += tuple(correlate(each, score) for each in claim.correlations)
    verdicts = {finding.verdict for finding in findings}
    if "contradicted" in verdicts:
        return Entry(claim, "contradicted", findings)
    if "not run" in verdicts:
        return Entry(claim, "not run", findings)
    return Entry(claim, "inconclusive" if "inconclusive" in verdicts else "confirmed", findings)


def _tally(entry: Entry) -> str:
    signs = [f for f in entry.findings if f.effect is not None]
    agree = sum((f.effect or 0) < 0 if _falls(f.contrast) else (f.effect or 0) > 0 for f in signs)
    return f"{agree} of {len(entry.findings)} have the paper's sign" if signs else "none run"


def _falls(contrast: Contrast | Correlation) -> bool:
    """Whether the paper's sign is negative."""
    return contrast.direction == "<"
