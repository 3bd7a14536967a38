"""``gigatok-bench models`` against the ledger of claims."""

from __future__ import annotations

import json

from cli_harness import Command

from gigatok.paper.printed import load_claims
from gigatok.paper.tables.counted import compare, printed_agrees
from gigatok.planning.parameters import Count, count_models


def test_every_claim_but_one_agrees(command: Command) -> None:
    ended = command("models", "--json")
    assert ended.status == 0
    document = json.loads(ended.out)
    comparisons = document["comparisons"]
    assert len(comparisons) == 8 + 4 + 5 + 15
    # the paper prints 2896M for XL-XXL; the released modules have 2893.97M
    different = [(each["model"], each["source"]) for each in comparisons if not each["agrees"]]
    assert different == [("XL-XXL", "paper table 9")]
    totals = {model["name"]: model["total"] for model in document["models"]}
    assert totals["S-S"] == 136_073_227
    assert totals["GPT-XXL"] == 1_411_367_424
    for model in document["models"]:
        assert sum(model["parts"].values()) == model["total"]


def test_text_flags_the_difference(command: Command) -> None:
    out = command("models").out
    flagged = [line for line in out.splitlines() if "DIFFERS" in line]
    assert len(flagged) == 1
    assert "XL-XXL" in flagged[0]
    assert "-2,029,557" in flagged[0]
    assert "32 numbers compared, 1 differ" in out


def test_a_wrong_count_is_noticed() -> None:
    counts = count_models()
    wrong = [
        Count(name=count.name, kind=count.kind, parts={**count.parts, "blocks": 1}) if count.name == "GPT-B" else count
        for count in counts
    ]
    different = {each.model for each in compare(wrong, load_claims()) if not each.agrees}
    assert different == {"XL-XXL", "GPT-B"}


def test_printed_millions_are_compared_at_their_precision() -> None:
    assert printed_agrees(136_499_999, 136)
    assert not printed_agrees(136_500_001, 136)
    assert printed_agrees(1_411_367_424, 1400)
    assert not printed_agrees(1_451_000_000, 1400)
    assert printed_agrees(1_869_981_696, 1870)
