"""What the numbers say of the suite as a whole: statements, each with the verdict its trainings allow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gigatok.config import Params
from gigatok.paper.claims.answer import Answer, Asked, decided
from gigatok.paper.claims.baselines import Compared, compare_with_baselines, losses, row_trainings
from gigatok.paper.claims.catalogue import largest_caveat
from gigatok.paper.claims.comparisons import Contrast
from gigatok.paper.claims.judge import Finding, judge
from gigatok.paper.claims.ledger import CheckedClaim, on_side
from gigatok.paper.claims.predictors import best_predictor
from gigatok.paper.claims.statements import FLOORS, GFID_FALLS, KMEANS, RFID_FALLS, Statement
from gigatok.paper.claims.verdict import Scale, Verdict, scale_of
from gigatok.paper.results.metrics import find_metric
from gigatok.paper.results.predictors import Prediction
from gigatok.paper.tables.scaling_rows import ScalingRow

QUOTED = ("dilemma", "cure")
"""Claims that stand among the statements, as the ledger has decided them."""


def answers(
    rows: Sequence[ScalingRow], params: Params, claims: Sequence[CheckedClaim], predictions: Sequence[Prediction]
) -> list[Answer]:
    """All statements: ``rows`` from ``series_rows``, claims from the ledger."""
    rungs = sorted((row for row in rows if row.size), key=lambda row: row.params or 0)
    scale = scale_of(params)
    findings = [finding for claim in claims for finding in claim.findings]
    caveat = largest_caveat(params)
    *first, predicted = decided(
        [
            beats_floors(rows, scale),
            beats_kmeans(rows, scale),
            trend(RFID_FALLS, rungs, scale, findings, caveat),
            trend(GFID_FALLS, rungs, scale, findings, caveat),
            best_predictor(predictions, scale),
        ]
    )
    return [*first, *(quoted(claim) for claim in claims if claim.claim.key in QUOTED), predicted]


def quoted(claim: CheckedClaim) -> Answer:
    """A checked claim; its comparisons stand on its own page, and are not repeated here."""
    text, page = f"{on_side(claim)[0].upper()}{on_side(claim)[1:]}.", f"claims/{claim.claim.key}.html"
    return Answer(claim.claim.text, claim.verdict, text, findings=claim.findings, link=page)


def beats_floors(rows: Sequence[ScalingRow], scale: Scale) -> Asked:
    """Every tokenizer and generator against what needs no skill."""
    found = compare_with_baselines(FLOORS, rows)
    if not found:
        return _not_run(FLOORS, "No trained model has a score beside a baseline yet.", scale)
    lost = [each for each in found if not each.wins]
    if not lost:
        names = _and(sorted({each.baseline for each in found}))
        text = f"All {len(found)} comparisons with {names} are won{_unsure(found, 'them')}."
        return _together(FLOORS, found, text, scale)
    text = f"{len(lost)} of {len(found)} comparisons lost{_unsure(found, 'the others')}. {losses(found)}"
    plainly = f"Trivial baselines win {len(lost)} of {len(found)} comparisons."
    return _together(FLOORS, found, text, scale, plainly)


def beats_kmeans(rows: Sequence[ScalingRow], scale: Scale) -> Asked:
    """Tokenizers against k-means over patches at the same rate."""
    found = compare_with_baselines(KMEANS, rows)
    if not found:
        return _not_run(KMEANS, "No tokenizer has a score beside the k-means baseline yet.", scale)
    lost = [each for each in found if not each.wins]
    if not lost:
        text = f"In all {len(found)} comparisons the trained tokenizer is better{_unsure(found, 'them')}."
        return _together(KMEANS, found, text, scale)
    if len(lost) == len(found):
        text = f"k-means still wins all {len(lost)} comparisons{_unsure(found, '')}. {losses(found)}"
    else:
        how = f"{len(lost)} of {len(found)} comparisons{_unsure(found, 'the others')}"
        text = f"k-means still wins {how}. {losses(found)}"
    plainly = (
        f"K-means over patches at the same rate wins {len(lost)} of {len(found)} comparisons with trained tokenizers."
    )
    return _together(KMEANS, found, text, scale, plainly)


def trend(
    statement: Statement,
    rows: Sequence[ScalingRow],
    scale: Scale,
    findings: Sequence[Finding] = (),
    caveat: str = "",
) -> Asked:
    """Whether a metric falls from the smallest row to the largest: one comparison, decided like a claim's.

    Args:
        rows: of the ladder, smallest first
        findings: of all claims, of which some may be about the same comparison
        caveat: what else than size the two ends differ in
    """
    contrast = statement.contrast
    assert contrast is not None
    run = {row.tokenizer: found for row in rows if (found := row_trainings(row, contrast.metric))}
    shown = find_metric(contrast.metric)
    if shown is None or contrast.left not in run or contrast.right not in run:
        label = shown.label if shown else contrast.metric
        return _not_run(statement, f"Needs {label} of {contrast.right} and {contrast.left}.", scale)
    finding = judge([contrast], lambda name, _: run.get(name), scale)[0]
    steps = [b.score.value < a.score.value for a, b in pairwise(run.values())]
    path = ", ".join(f"{name} {shown.text(each.score.value)}" for name, each in run.items())
    undecided = finding.verdict.outcome == "undecided"
    said = f" Note that {caveat}." if caveat else ""
    return Asked(
        statement=statement.text,
        text=f"Falls at {sum(steps)} of {len(steps)} steps: {path}. {finding.alone or finding.text}.{said}",
        otherwise=finding.verdict if undecided else Verdict("no clear difference", scale),
        leaning="confirmed" if (finding.effect or 0.0) < 0 else "contradicted",
        p=finding.p,
        of_claim=_in_claims(contrast, findings),
        findings=(finding,),
    )


def _in_claims(contrast: Contrast, findings: Sequence[Finding]) -> float | None:
    """The largest corrected p that claims have of the same comparison."""
    known = [each.corrected_p for each in findings if each.contrast == contrast and each.corrected_p is not None]
    return max(known, default=None)


def _not_run(statement: Statement, text: str, scale: Scale) -> Asked:
    return Asked(statement=statement.text, text=text, otherwise=Verdict("not run", scale))


def _together(statement: Statement, found: Sequence[Compared], text: str, scale: Scale, plainly: str = "") -> Asked:
    """All must be won beyond chance; one that is lost beyond chance contradicts."""
    lost = [each.corrected_p for each in found if not each.wins and each.corrected_p is not None]
    reasons = dict.fromkeys(each.reason for each in found if each.reason)
    sure = sum(each.sure for each in found)
    where = f"in {len(found) - sure} of {len(found)} comparisons" if sure < len(found) else ""
    unclear = Verdict("no clear difference", scale, where)
    otherwise = Verdict("undecided", scale, "; ".join(reasons)) if reasons else unclear
    won = [each.corrected_p for each in found if each.corrected_p is not None]
    return Asked(
        statement=statement.text,
        text=text,
        otherwise=otherwise,
        leaning="contradicted" if lost else "confirmed",
        p=min(lost) if lost else None if reasons else max(won),
        compared=tuple(found),
        numbers="" if lost or plainly else f"All {len(found)} comparisons are won, {sure} beyond chance among them",
        plainly=plainly,
    )


def _unsure(found: Sequence[Compared], which: str) -> str:
    """Says how many comparisons are beyond chance, or how many wins of single trainings may be chance."""
    tested = [each for each in found if each.corrected_p is not None]
    parts = []
    if tested:
        won, lost = (sum(each.sure for each in tested if each.wins is wins) for wins in (True, False))
        all_lost = sum(not each.wins for each in found)
        said = [f"{won} of {len(found) - all_lost} won"] if len(found) > all_lost else []
        said += [f"{lost} of {all_lost} lost"] if all_lost else []
        parts.append(f"beyond chance among them: {' and '.join(said)}")
    close = sum(each.wins and each.inside for each in found)
    parts += [f"in {close} of {which} the interval holds the baseline's value"] if close else []
    return "".join(f"; {each}" for each in parts)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
