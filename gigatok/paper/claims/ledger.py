"""The paper's claims as checked statements over our numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gigatok.artifacts import Score, write_bytes
from gigatok.config import Params
from gigatok.paper.claims.catalogue import Claim, all_claims
from gigatok.paper.claims.judge import Correlation, Finding, ScoreOf, Verdict, compare, correlate
from gigatok.paper.results.metrics import PAPER_GFID, full_name
from gigatok.paper.results.pedigree import scale_label
from gigatok.paper.results.repeats import read_repeated
from gigatok.paper.text import markdown_table


@dataclass(frozen=True)
class CheckedClaim:
    """A claim as found."""

    claim: Claim
    verdict: Verdict
    findings: tuple[Finding, ...]


TEST = (
    "two scores differ when their 95% intervals do not overlap. A correlation counts when its scores' intervals leave "
    "it on one side of the bound and a one-sided test at 5% does, too: so few pairs are seldom that far out by chance. "
    "A claim is confirmed when all its comparisons are, contradicted when one is. Without intervals a comparison is "
    "inconclusive, whatever its sign. At proxy scale a verdict is about the proxy alone, not about the paper."
)
"""How claims are judged, in words."""


def check_claims(runs_root: Path, params: Params) -> list[CheckedClaim]:
    """Every claim against the runs that are there."""

    def score(name: str, metric: str) -> Score | None:
        for kind in ("tokenizer", "generator"):
            run = read_repeated(runs_root, "tokenizer" if kind == "tokenizer" else "generator", name, params)
            named = {each.metric: each for each in run.scores}
            if metric in (PAPER_GFID, "ar_val_loss", "linear_probe_accuracy") and kind == "tokenizer":
                continue
            found = full_name(named, metric)
            if found:
                return named[found]
        return None

    return [_entry(claim, score) for claim in all_claims(params)]


def contradictions(entries: list[CheckedClaim]) -> list[CheckedClaim]:
    """What ``verify --strict`` fails on: a claim contradicted beyond its intervals."""
    return [entry for entry in entries if entry.verdict == "contradicted"]


def ledger_markdown(entries: list[CheckedClaim], params: Params) -> str:
    """``claims.md``: one row a claim, then every comparison with its numbers."""
    rows = [[entry.claim.key, entry.claim.text, entry.verdict, _tally(entry), scale_label(params)] for entry in entries]
    parts = [
        "# Claims of the paper, checked over our numbers\n",
        f"Test: {TEST}\n",
        f"Seeds: {seeds_note(params)}\n",
        markdown_table(["Claim", "What the paper says", "Verdict", "Comparisons", "Scale"], rows, left=5),
    ]
    for entry in entries:
        parts.append(f"## {entry.claim.key}\n")
        parts += [f"Mind that {entry.claim.caveat}.\n"] if entry.claim.caveat else []
        parts += [f"- {finding.verdict}: {finding.text}" for finding in entry.findings]
        parts.append("")
    return "\n".join(parts)


def seeds_note(params: Params) -> str:
    """Over what the intervals are."""
    several = [name for name, entry in params.tokenizers.items() if len(entry.seeds) > 1]
    one = (
        "every run was trained with one seed. Its intervals hold which images were scored, not what another training "
        f"would give; for that: `gigatok-bench profile {params.profile} --suite {params.suite} --seeds 0,1,2`."
    )
    if not several:
        return one[0].upper() + one[1:]
    return f"{', '.join(several)} have means over several trainings, with Student's t intervals; of the others {one}"


def write_ledger(runs_root: Path, params: Params, path: Path) -> list[CheckedClaim]:
    """Check all claims and write ``claims.md``."""
    entries = check_claims(runs_root, params)
    write_bytes(path, ledger_markdown(entries, params).encode())
    return entries


def _entry(claim: Claim, score: ScoreOf) -> CheckedClaim:
    findings = tuple(compare(contrast, score) for contrast in claim.contrasts)
    findings += tuple(correlate(each, score) for each in claim.correlations)
    verdicts = {finding.verdict for finding in findings}
    if "contradicted" in verdicts:
        return CheckedClaim(claim, "contradicted", findings)
    if "not run" in verdicts:
        return CheckedClaim(claim, "not run", findings)
    return CheckedClaim(claim, "inconclusive" if "inconclusive" in verdicts else "confirmed", findings)


def _tally(entry: CheckedClaim) -> str:
    run = [finding for finding in entry.findings if finding.effect is not None]
    agree = sum(_on_the_papers_side(finding) for finding in run)
    return f"{agree} of {len(entry.findings)} on the paper's side" if run else "none run"


def _on_the_papers_side(finding: Finding) -> bool:
    """Whether the effect, whatever its interval, lies where the paper says."""
    bound = finding.contrast.bound if isinstance(finding.contrast, Correlation) else 0.0
    effect = finding.effect or 0.0
    return effect < bound if finding.contrast.direction == "<" else effect > bound
