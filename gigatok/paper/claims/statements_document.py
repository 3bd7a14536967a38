"""The statements about a suite as data: what ``verify --json`` prints of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gigatok.paper.claims.answer import Answer
from gigatok.paper.claims.baselines import Compared
from gigatok.paper.claims.ledger import CheckedClaim, comparison_document
from gigatok.paper.claims.questions import answers
from gigatok.paper.claims.statements import STATEMENTS, STATEMENTS_CORRECTION, STATEMENTS_LEVEL
from gigatok.paper.results.metrics import PAPER_GFID
from gigatok.paper.results.predictors import Prediction, predictions
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import series_rows


def statements_document(results: Results, claims: Sequence[CheckedClaim]) -> dict[str, Any]:
    """Every statement with its verdict, and every comparison and correlation behind them.

    Claims that the page quotes among the statements are left out: they have objects of their own.

    Args:
        claims: as ``check_claims`` has decided them.
    """
    found = predictions(results)
    said = answers(series_rows(results), results.params, claims, found)
    keys = {statement.text: statement.key for statement in STATEMENTS}
    return {
        "level": STATEMENTS_LEVEL,
        "correction": STATEMENTS_CORRECTION,
        "statements": [_statement(keys[each.statement], each) for each in said if each.statement in keys],
        "predictors": {"target": PAPER_GFID, "correlations": [_correlation(each) for each in found]},
    }


def _statement(key: str, answer: Answer) -> dict[str, Any]:
    return {
        "statement": key,
        "text": answer.statement,
        "verdict": answer.verdict.outcome,
        "verdict_scale": answer.verdict.scale,
        "reason": answer.verdict.reason,
        "corrected_p": answer.corrected_p,
        "at_most": answer.at_most,
        "says": answer.text,
        "comparisons": [comparison_document(each) for each in answer.findings],
        "baselines": [_baseline(each) for each in answer.compared],
    }


def _baseline(compared: Compared) -> dict[str, Any]:
    found = compared.found
    return {
        "metric": compared.metric.key,
        "run": compared.run,
        "value": compared.value,
        "baseline": compared.baseline,
        "baseline_value": compared.constant,
        "effect": compared.value - compared.constant,
        "interval": found.interval if found else None,
        "p": found.p if found else None,
        "corrected_p": compared.corrected_p,
        "smallest_detectable": compared.smallest_detectable,
        "seeds": list(compared.seeds),
        "wins": compared.wins,
        "beyond_chance": compared.sure,
        "reason": compared.reason,
    }


def _correlation(prediction: Prediction) -> dict[str, Any]:
    found = prediction.found
    return {
        "metric": prediction.metric,
        "r": found.r if found else None,
        "interval": found.interval if found else None,
        "p": found.p if found else None,
        "corrected_p": prediction.corrected_p,
        "at_most": found.at_most if found else False,
        "pairs": found.pairs if found else 0,
        "smallest_detectable": found.smallest_detectable if found else None,
    }
