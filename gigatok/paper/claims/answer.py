"""Statements decided together: each has a p-value of its own, and Holm's correction is over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gigatok.paper.claims.baselines import Compared
from gigatok.paper.claims.judge import Finding, chance_text
from gigatok.paper.claims.statements import STATEMENTS, STATEMENTS_LEVEL
from gigatok.paper.claims.verdict import Outcome, Verdict
from gigatok.paper.results.statistics import holm


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A statement with its numbers, before the correction over all statements."""

    statement: str
    text: str
    otherwise: Verdict
    """Where chance is not ruled out, or nothing could be tested."""
    leaning: Outcome = "confirmed"
    """Where chance is ruled out."""
    p: float | None = None
    """Of a wrong decision by this statement, corrected over its own comparisons; ``None``: it cannot be decided."""
    at_most: bool = False
    """Whether ``p`` is an upper bound."""
    of_claim: float | None = None
    """Corrected p that a claim with the same comparison has: a statement is never decided more strongly."""
    compared: tuple[Compared, ...] = ()
    findings: tuple[Finding, ...] = ()
    numbers: str = ""
    plainly: str = ""
    """These three as an ``Answer`` has them."""


@dataclass(frozen=True)
class Answer:
    """A statement about the suite, what its numbers say of it, and those numbers."""

    statement: str
    verdict: Verdict
    text: str
    corrected_p: float | None = None
    """Over all statements; ``None``: it cannot be decided, or a claim says it."""
    at_most: bool = False
    """Whether that is an upper bound."""
    compared: tuple[Compared, ...] = ()
    """Every comparison with a baseline."""
    findings: tuple[Finding, ...] = ()
    """The comparisons behind it, where it rests on single ones."""
    numbers: str = ""
    """Effect and chance in a few words, where it rests on many."""
    plainly: str = ""
    """What the first screen says in the place of verdict and statement, where these would read backwards."""
    link: str = ""
    """Page with its comparisons, from the report's folder."""


def decided(asked: Sequence[Asked], count: int = len(STATEMENTS)) -> list[Answer]:
    """All statements of the family; those that cannot be decided count in the correction too.

    Args:
        count: statements of the family
    """
    missing = [1.0] * (count - len(asked))
    corrected = holm([*(1.0 if each.p is None else each.p for each in asked), *missing])
    return [_decided(each, p, count) for each, p in zip(asked, corrected, strict=False)]


def _decided(asked: Asked, corrected: float, count: int) -> Answer:
    if asked.p is None:
        return _answer(asked)
    p = max(corrected, asked.of_claim or 0.0)
    verdict = Verdict(asked.leaning, asked.otherwise.scale) if p < STATEMENTS_LEVEL else asked.otherwise
    chance = chance_text(p, at_most=asked.at_most)
    text = f"{asked.text} Corrected over the {count} statements as well: p {chance}."
    return replace(_answer(asked), verdict=verdict, text=text, corrected_p=p, numbers=asked.numbers)


def _answer(asked: Asked) -> Answer:
    """What is known before the decision."""
    return Answer(
        statement=asked.statement,
        verdict=asked.otherwise,
        text=asked.text,
        at_most=asked.at_most,
        compared=asked.compared,
        findings=asked.findings,
        plainly=asked.plainly,
    )
