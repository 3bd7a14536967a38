"""The paper's claims as checked statements over our numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gigatok.artifacts import write_bytes
from gigatok.config import Params
from gigatok.paper.claims.catalogue import Claim, all_claims
from gigatok.paper.claims.criteria_note import criteria_note
from gigatok.paper.claims.judge import Finding, NoiseOf, is_unseen, judge, on_the_papers_side
from gigatok.paper.claims.verdict import OUTCOMES, Verdict, joined, scale_of
from gigatok.paper.results.metrics import find_metric
from gigatok.paper.results.pedigree import scale_label
from gigatok.paper.results.predictors import recipes
from gigatok.paper.results.reader import Results
from gigatok.paper.results.trainings import Trainings, read_trainings
from gigatok.paper.tables.noise import Spread, metric_spread
from gigatok.paper.text import markdown_table


@dataclass(frozen=True)
class CheckedClaim:
    """A claim as found."""

    claim: Claim
    verdict: Verdict
    findings: tuple[Finding, ...]


TEST = (
    "two recipes differ when the means of their trainings do: Welch's test over training seeds, with the noise of the "
    "validation images from pairs of equal images where that weakens it, at 5% after Holm's correction over the "
    "comparisons of the claim. One training of a recipe decides nothing, whatever the difference. Each comparison "
    "states its effect and the 95% interval of this comparison alone, which may leave out 0 where the corrected p "
    "decides nothing. It states the smallest difference that its runs could have shown (80% power), from its own "
    "spreads, of few trainings, and from the spread over all recipes of the suite. Where the latter exceeds the "
    "difference between the smallest and the largest tokenizer, 'no clear difference' says that the runs had less "
    "than that power for one of that size. A correlation is tested against its bound over at least four pairs of "
    "recipes, with the noise of their scores. A claim is confirmed when all its comparisons are, contradicted when one "
    "is. At proxy scale a verdict is about the proxy alone, not about the paper."
)
"""How claims are decided, in words."""


def check_claims(results: Results) -> list[CheckedClaim]:
    """Every claim against the runs that are there."""

    def trainings(name: str, metric: str) -> Trainings | None:
        return read_trainings(results, name, metric)

    scale, noise = scale_of(results.params), noise_of(results)
    checked = []
    for claim in all_claims(results.params):
        findings = judge(claim.comparisons, trainings, scale, level=claim.level, power=claim.power, noise=noise)
        checked.append(CheckedClaim(claim, joined([each.verdict for each in findings], scale), findings))
    return checked


def noise_of(results: Results) -> NoiseOf:
    """Spreads over all recipes by metric, each worked out once."""

    @cache
    def known(metric: str) -> Spread | None:
        shown = find_metric(metric)
        return metric_spread(results, shown) if shown else None

    return known


def contradictions(entries: list[CheckedClaim]) -> list[CheckedClaim]:
    """What ``verify --strict`` fails on: a claim contradicted by its test."""
    return [entry for entry in entries if entry.verdict.outcome == "contradicted"]


def tally(entries: Sequence[CheckedClaim]) -> str:
    """``confirmed 2, contradicted 1, undecided 3, not run 4``; what does not occur is left out."""
    counts = Counter(entry.verdict.outcome for entry in entries)
    return ", ".join(f"{outcome} {counts[outcome]}" for outcome in OUTCOMES if counts[outcome])


def ledger_document(entries: Sequence[CheckedClaim], params: Params, runs_root: Path) -> dict[str, Any]:
    """What ``verify --json`` prints: profile, scale, criteria, one object a claim with its comparisons."""
    return {
        "profile": params.profile,
        "suite": params.suite,
        "proxy_scale": params.profile != "paper",
        "scale": scale_label(params),
        "criteria": criteria_note(runs_root, params),
        "claims": [
            {
                "claim": entry.claim.key,
                "text": entry.claim.text,
                "caveat": entry.claim.caveat,
                "verdict": entry.verdict.outcome,
                "verdict_scale": entry.verdict.scale,
                "reason": entry.verdict.reason,
                "level": entry.claim.level,
                "correction": entry.claim.correction,
                "power": entry.claim.power,
                "comparisons": [comparison_document(finding) for finding in entry.findings],
            }
            for entry in entries
        ],
    }


def ledger_markdown(entries: list[CheckedClaim], params: Params, runs_root: Path) -> str:
    """``claims.md``: one row a claim, then every comparison with its numbers."""
    rows = [
        [entry.claim.key, entry.claim.text, str(entry.verdict), on_side(entry), scale_label(params)]
        for entry in entries
    ]
    parts = [
        "# Claims of the paper, checked over our numbers\n",
        f"Test: {TEST}\n",
        f"Seeds: {seeds_note(params)}\n",
        f"{criteria_note(runs_root, params)}\n",
        markdown_table(["Claim", "What the paper says", "Verdict", "Comparisons", "Scale"], rows, left=5),
    ]
    for entry in entries:
        parts.append(f"## {entry.claim.key}\n")
        parts += [f"Note that {entry.claim.caveat}.\n"] if entry.claim.caveat else []
        parts += [f"- {finding.verdict}: {finding.text}" for finding in entry.findings]
        parts.append("")
    return "\n".join(parts)


def seeds_note(params: Params) -> str:
    """What the intervals cover: scored images only, or training seeds too."""
    names = recipes(params)
    several = [name for name in names if len(params.tokenizers[name].seeds) > 1]
    once = [name for name in names if name not in several]
    command = f"`gigatok-bench profile {params.profile} --suite {params.suite} --seeds 0,1,2`"
    if not several:
        return (
            "Every recipe was trained once. Intervals of such scores cover the choice of evaluation images, not "
            f"training runs. For several trainings: {command}."
        )
    note = (
        f"{', '.join(several)} have means over several trainings, as far as they were run, with Student's t intervals."
    )
    if not once:
        return note
    return (
        f"{note} The settings train {', '.join(once)} once: intervals of their scores cover the choice of evaluation "
        "images, not training runs."
    )


def write_ledger(results: Results, path: Path) -> list[CheckedClaim]:
    """Check all claims and write ``claims.md``."""
    entries = check_claims(results)
    write_bytes(path, ledger_markdown(entries, results.params, results.runs_root).encode())
    return entries


def comparison_document(finding: Finding) -> dict[str, Any]:
    """A comparison with all that its verdict rests on."""
    left, right = finding.seeds
    return {
        "verdict": finding.verdict.outcome,
        "reason": finding.verdict.reason,
        "effect": finding.effect,
        "interval": finding.interval,
        "p": finding.p,
        "corrected_p": finding.corrected_p,
        "smallest_detectable": finding.smallest_detectable,
        "smallest_detectable_pooled": finding.pooled_detectable,
        "ladder": finding.ladder,
        "at_most": finding.at_most,
        "could_not_have_seen": is_unseen(finding),
        "seeds": {"left": list(left), "right": list(right)},
        "text": finding.text,
    }


def on_side(entry: CheckedClaim) -> str:
    """How many comparisons lie where the paper says, however uncertain."""
    run = [finding for finding in entry.findings if finding.effect is not None]
    agree = sum(on_the_papers_side(finding) for finding in run)
    return f"{agree} of {len(entry.findings)} on the paper's side" if run else "none run"
