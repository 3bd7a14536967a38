"""The first screen: what was run, found and not found, at which scale, at what cost, and where to look next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from gigatok.config import Params
from gigatok.paper.claims.answer import Answer
from gigatok.paper.claims.judge import chance_text
from gigatok.paper.claims.ledger import CheckedClaim
from gigatok.paper.claims.verdict import ONE_TRAINING, Outcome, Verdict
from gigatok.paper.report.claims.evidence import deciding_numbers, look
from gigatok.paper.report.summary.costs import Spent, all_needs, hours, planned_gpu_hours, replication
from gigatok.paper.results.departures import differences
from gigatok.paper.results.metrics import PAPER_GFID, find_metric, full_name, owner
from gigatok.paper.results.predictors import recipes
from gigatok.paper.results.run import suite_full
from gigatok.paper.tables.scaling import is_incomplete
from gigatok.paper.tables.scaling_rows import ScalingRow
from gigatok.paper.text import compact

_FIRST: tuple[Outcome, ...] = ("contradicted", "confirmed", "no clear difference", "undecided", "not run")
"""Which claim a reader with one minute should open: the first that was decided."""


_DECIDED: tuple[Outcome, ...] = ("confirmed", "contradicted")

BEST = ("rfid", "gfid", PAPER_GFID)
"""Metrics of which the best tokenizer is named."""


class Said(NamedTuple):
    """A sentence, with a place to read more and a command where there are such."""

    text: str
    link: str = ""
    """From the report's folder, or ``#section``."""
    command: str = ""
    outcome: str = ""
    """What a test decided, shown before the sentence."""
    look: str = ""
    """Style of the outcome."""
    numbers: str = ""
    """Effect and chance behind the outcome."""


class Block(NamedTuple):
    """A heading of the first screen and what stands under it."""

    title: str
    said: tuple[Said, ...]


def first_screen(
    rows: Sequence[ScalingRow],
    params: Params,
    claims: Sequence[CheckedClaim],
    statements: Sequence[Answer],
    spent: Spent,
) -> list[Block]:
    """Every block, from the results alone."""
    return [
        Block("What was run", (Said(what_was_run(rows, params)),)),
        Block("What was found", tuple(found(rows, claims, statements))),
        Block("What was not found", tuple(not_found(claims, rows, statements))),
        Block("What it cost", (Said(cost(spent)),)),
        Block("Look at next", tuple(look_next(claims, params))),
    ]


def scale_sentence(params: Params) -> str:
    """Whether this is the paper's experiment; at proxy scale in what it differs most."""
    if params.profile == "paper":
        return "Paper scale: the paper's data, networks and protocol, as far as the sections below say."
    known = {each.setting: each for each in differences(params)}
    data, size = known.get("data"), known.get("image size")
    instead = f" ({data.ours} instead of {data.paper}" if data else " (the paper's data"
    instead += f", {size.ours} instead of {size.paper})" if size else ")"
    return (
        f"A small proxy of the paper's experiment: other data{instead}, smaller networks, another feature extractor. "
        "None of these numbers is the paper's or comparable with it."
    )


def what_was_run(rows: Sequence[ScalingRow], params: Params) -> str:
    """Tokenizers of the size series, their parameters, and how often each was trained."""
    done = sum(not is_incomplete(row) for row in rows)
    sizes = [row.params for row in rows if row.params is not None]
    span = f", {compact(min(sizes))} to {compact(max(sizes))} parameters" if sizes else ""
    counts = [len(row.tokenizer_run.repeats) or 1 for row in rows if row.tokenizer_run.sheet]
    low, high = min(counts, default=1), max(counts, default=1)
    often = "once" if high == 1 else f"with {high} seeds" if low == high else f"with {low} to {high} seeds"
    shown = {row.tokenizer for row in rows}
    more = sum(name not in shown for name in recipes(params))
    beside = f" The settings hold {more} further recipe{'s' * (more > 1)} for ablations." if more else ""
    return (
        f"{done} of {len(rows)} tokenizers of the scaling series were run with their generators{span}; each recipe "
        f"was trained {often}.{beside}"
    )


def found(rows: Sequence[ScalingRow], claims: Sequence[CheckedClaim], statements: Sequence[Answer]) -> list[Said]:
    """Everything that a test decided, with its numbers, then the best means over trainings beside their baselines."""
    quoted = {each.claim.text for each in claims}
    said = [
        Said(
            _short(each.claim.text),
            f"claims/{each.claim.key}.html",
            outcome=each.verdict.outcome,
            look=look(each.verdict),
            numbers=deciding_numbers(each.findings, each.verdict.outcome),
        )
        for each in claims
        if _is_decided(each.verdict)
    ]
    said += [part for each in claims if not _is_decided(each.verdict) for part in _in_part(each)]
    said += [_stated(each) for each in statements if each.statement not in quoted and _is_decided(each.verdict)]
    said += [Said(text) for key in BEST if _is_repeated(rows, key) and (text := best_sentence(rows, key))]
    if said:
        return said
    if not any(row.metrics for row in rows):
        return [Said("Nothing yet: no run has scores.")]
    once = "each recipe was trained once, and one training decides nothing"
    why = once if trained_once(rows) else "no claim and no statement was decided"
    return [Said(f"Nothing: {why}.")]


def decides_nothing(rows: Sequence[ScalingRow], claims: Sequence[CheckedClaim], statements: Sequence[Answer]) -> bool:
    """Whether the report is one of single trainings, whose numbers no test has judged."""
    verdicts = [*(each.verdict for each in claims), *(each.verdict for each in statements)]
    return any(row.metrics for row in rows) and trained_once(rows) and not any(map(_is_decided, verdicts))


def trained_once(rows: Sequence[ScalingRow]) -> bool:
    """Whether there is one training of every recipe."""
    return not any(run.repeats for row in rows for run in (row.tokenizer_run, row.generator_run))


def _is_decided(verdict: Verdict) -> bool:
    return verdict.outcome in _DECIDED


def _in_part(claim: CheckedClaim) -> list[Said]:
    """Comparisons that were decided although the claim as a whole was not."""
    said = []
    for outcome in _DECIDED:
        count = sum(each.verdict.outcome == outcome for each in claim.findings)
        verb = "is" if count == 1 else "are"
        text = f"{count} of {len(claim.findings)} comparisons of the claim '{claim.claim.key}' {verb} {outcome}."
        numbers = deciding_numbers(claim.findings, outcome)
        said += [Said(text, f"claims/{claim.claim.key}.html", numbers=numbers)] if count else []
    return said


def _stated(answer: Answer) -> Said:
    if answer.plainly:
        return Said(answer.plainly, "#statements")
    outcome = answer.verdict.outcome
    told = [deciding_numbers([each], each.verdict.outcome) for each in answer.findings]
    numbers = answer.numbers or "; ".join(filter(None, told))
    if answer.corrected_p is not None:
        chance = f"p {chance_text(answer.corrected_p, at_most=answer.at_most)} over all statements"
        numbers = f"{numbers}; {chance}" if numbers else chance
    if outcome == "no clear difference":
        return Said(f"Tested, without a clear difference: {_short(answer.statement)}", "#statements", numbers=numbers)
    return Said(_short(answer.statement), "#statements", outcome=outcome, look=look(answer.verdict), numbers=numbers)


def _is_repeated(rows: Sequence[ScalingRow], key: str) -> bool:
    """Whether every score of a column is a mean over trainings."""
    run = [row.generator_run if owner(key) == "generator" else row.tokenizer_run for row in rows if _name(row, key)]
    return bool(run) and all(each.repeats for each in run)


def _name(row: ScalingRow, key: str) -> str | None:
    return full_name(row.metrics, key)


def best_sentence(rows: Sequence[ScalingRow], key: str) -> str:
    """``Lowest rFID: XL-XXL, 693.3 (k-means patches 728.1).``; empty where nothing was measured."""
    column = find_metric(key)
    values = {row.name: (row.metrics[name], row) for row in rows if (name := full_name(row.metrics, key))}
    if column is None or not values:
        return ""
    best = min(values, key=lambda name: values[name][0] if column.better == "lower" else -values[name][0])
    value, row = values[best]
    metric = full_name(row.metrics, key)
    beside = [f"{each.floor} {column.text(each.value)}" for each in row.floor_scores if each.metric == metric]
    extreme = "Lowest" if column.better == "lower" else "Highest"
    known = f" ({', '.join(beside)})" if beside else ""
    return f"{extreme} {column.label}: {best}, {column.text(value)}{known}."


def not_found(
    claims: Sequence[CheckedClaim], rows: Sequence[ScalingRow] = (), statements: Sequence[Answer] = ()
) -> list[Said]:
    """Claims without a decision, by reason; statements that chance may explain; which single trainings scored best."""
    named: dict[str, list[CheckedClaim]] = {}
    for each in claims:
        one = each.verdict.outcome == "undecided" and ONE_TRAINING in each.verdict.reason
        reason = ONE_TRAINING if one else each.verdict.outcome
        named.setdefault(reason, []).append(each)
    texts = {
        ONE_TRAINING: "Undecided, since recipes were trained once ({count} of {all} claims): {names}.",
        "undecided": "Undecided, for reasons that their pages give ({count} of {all} claims): {names}.",
        "no clear difference": "Tested, without a clear difference ({count} of {all} claims): {names}.",
        "not run": "Not run, or not all of it ({count} of {all} claims): {names}.",
    }
    said = []
    for reason, text in texts.items():
        known = named.get(reason, [])
        names = ", ".join(each.claim.key for each in known)
        said += [Said(text.format(count=len(known), all=len(claims), names=names), "#claims")] if known else []
    quoted = {each.claim.text for each in claims}
    unclear = [each for each in statements if each.verdict.outcome == "no clear difference"]
    said += [_stated(each) for each in unclear if each.statement not in quoted]
    single = [text for key in BEST if not _is_repeated(rows, key) and (text := best_sentence(rows, key))]
    said += [Said(f"{text} Of one training each: another one may change the order.") for text in single]
    return said or [Said("Nothing was left open: every claim was decided.")]


def cost(spent: Spent) -> str:
    """Time spent here, and the time that the paper's experiments would take."""
    paper = replication()
    planned = hours(planned_gpu_hours(paper, all_needs(paper)))
    here = f"{spent}, over {spent.runs} trainings and their evaluations" if spent.runs else "Nothing yet"
    whole = f"every run of the paper's tables and figures would take at least {planned} of one H100 (planned)"
    return f"{here[0].upper()}{here[1:]}. At the paper's scale {whole}."


def look_next(claims: Sequence[CheckedClaim], params: Params) -> list[Said]:
    """The claim to open first, the pictures, and the command that would decide more."""
    said = []
    chosen = min(claims, key=lambda each: _rank(each.verdict.outcome), default=None)
    if chosen is not None:
        said.append(Said(f"The claim '{chosen.claim.key}' with its evidence", f"claims/{chosen.claim.key}.html"))
    said.append(Said("Originals beside the reconstructions of every size", "#pictures"))
    outcomes = {each.verdict.outcome for each in claims}
    if any(ONE_TRAINING in each.verdict.reason for each in claims):
        command = f"gigatok-bench profile {params.profile} --suite {params.suite} --seeds 0,1,2 && make repro"
        said.append(Said("Several trainings of each recipe decide what one cannot:", command=command))
    if "not run" in outcomes and params.suite != "full":
        command = f"{suite_full(params)} && make repro"
        said.append(Said("The full suite runs what the other claims need:", command=command))
    return said


def verdict_counts(claims: Sequence[CheckedClaim]) -> list[tuple[Outcome, int]]:
    """How many claims have each verdict that occurs, decided ones first."""
    counts: Counter[Outcome] = Counter(each.verdict.outcome for each in claims)
    return sorted(counts.items(), key=lambda item: _rank(item[0]))


def _rank(outcome: Outcome) -> int:
    return _FIRST.index(outcome) if outcome in _FIRST else len(_FIRST)


def _short(sentence: str) -> str:
    """A sentence without what stands in parentheses at its end, such as the paper's figure."""
    plain = sentence.rstrip(".")
    return f"{plain.rpartition(' (')[0] if plain.endswith(')') else plain}."
