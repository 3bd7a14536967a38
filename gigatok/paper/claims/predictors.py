"""The statement which measurement of a tokenizer alone predicts its gFID."""

from __future__ import annotations

from collections.abc import Sequence

from gigatok.paper.claims.answer import Asked
from gigatok.paper.claims.judge import chance_text, trained_again
from gigatok.paper.claims.statements import PREDICTED
from gigatok.paper.claims.verdict import ONE_TRAINING, Scale, Verdict
from gigatok.paper.results.correlation import TESTED_PAIRS
from gigatok.paper.results.predictors import Prediction
from gigatok.paper.results.statistics import LEVEL


def best_predictor(found: Sequence[Prediction], scale: Scale) -> Asked:
    """Whether any predictor's correlation with gFID is beyond chance."""
    known = [
        (each, each.found, each.corrected_p)
        for each in found
        if each.found and each.corrected_p is not None and each.found.pairs >= TESTED_PAIRS
    ]
    if not known:
        text = f"Needs {TESTED_PAIRS} tokenizers with generators, and a predictor."
        return Asked(statement=PREDICTED.text, text=text, otherwise=Verdict("not run", scale))
    known.sort(key=lambda each: -abs(each[1].r))
    sure = [(each, one) for each, one, p in known if p < LEVEL]
    best = f"The closest is {sure[0][0].label}" if sure else "None is beyond chance"
    parts = [
        f"{each.label} r {one.r:+.2f} [{one.interval[0]:+.2f}, {one.interval[1]:+.2f}], corrected p "
        f"{chance_text(p, at_most=one.at_most)}"
        for each, one, p in known
    ]
    text = f"{best}. Over {known[0][1].pairs} tokenizers: {'; '.join(parts)}."
    if not all(trained_again(spot.predictor, spot.gfid) for each, _, _ in known for spot in each.spots):
        text = f"{text} Not every recipe was trained twice."
        return Asked(statement=PREDICTED.text, text=text, otherwise=Verdict("undecided", scale, ONE_TRAINING))
    surest, one, p = min(known, key=lambda each: each[2])
    otherwise = Verdict("no clear difference", scale)
    numbers = f"{surest.label}, r {one.r:+.2f} over {one.pairs} tokenizers" if sure else ""
    return Asked(statement=PREDICTED.text, text=text, otherwise=otherwise, p=p, at_most=one.at_most, numbers=numbers)
