"""Settings of the evaluation stages: what a search for guidance and several seeds must look like."""

import pytest
from pydantic import ValidationError

from gigatok.config.evaluation import EvaluateGeneratorSection, EvaluateTokenizerSection


def test_defaults_sample_each_listed_scale_once() -> None:
    section = EvaluateGeneratorSection()
    assert section.guidance.kind == "list"
    assert section.seeds == (0,)
    assert EvaluateTokenizerSection().probe is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"samples": 100, "guidance": {"samples": [50, 50]}}, "must rise"),
        ({"samples": 100, "guidance": {"samples": [50, 100]}}, "end below samples 100"),
        ({"samples": 1}, "at least 2"),
        ({"seeds": [0, 1, 0]}, "repeat"),
        ({"seeds": []}, "at least 1 item"),
        ({"guidance": {"kind": "grid"}}, "list"),
        ({"guidance": {"start": 0.5}}, "greater than or equal to 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_words(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        EvaluateGeneratorSection.model_validate(settings)


def test_rising_counts_are_taken() -> None:
    section = EvaluateGeneratorSection.model_validate({"samples": 100, "guidance": {"samples": [20, 50]}})
    assert section.guidance.samples == (20, 50)
