"""Messages name what was probably meant, and few of many names."""

from __future__ import annotations

import pytest

from gigatok.pipeline.naming import FEW, suggestions

MANY = [f"tokenizers/S-L-{number}" for number in range(60)]


@pytest.mark.parametrize(
    ("given", "known", "said"),
    [
        ("x", [], "there is none yet"),
        ("x", ["S-S", "B-L"], "known are S-S, B-L"),
        ("tokenizer/S-S", ["tokenizers/S-S", "B-L"], "did you mean tokenizers/S-S? known are tokenizers/S-S, B-L"),
    ],
)
def test_few_names_are_all_named(given: str, known: list[str], said: str) -> None:
    assert suggestions(given, known, "'runs'") == said


def test_of_many_names_the_nearest_are_named_and_how_to_list_all() -> None:
    said = suggestions("tokenizer/S-L-59", MANY, "'gigatok-bench runs'")
    assert said.startswith("did you mean tokenizers/S-L-59? known are tokenizers/S-L-59, ")
    assert said.endswith(f" and {len(MANY) - FEW} more: 'gigatok-bench runs' lists all")
    assert said.count("tokenizers/") == FEW + 1
    assert suggestions("zzz", MANY, "'runs'").startswith("known are tokenizers/S-L-0, tokenizers/S-L-1, ")
