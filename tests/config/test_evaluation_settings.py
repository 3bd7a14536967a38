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


@pytest.mark.parametrize(
    ("settings", "images"),
    [
        ({"cfg_scales": [1.0, 1.5, 2.0]}, 100 * (3 + 1)),
        ({"guidance": {"kind": "zero-order"}, "seeds": [0, 1]}, 100 * (5 + 2 + 1)),
        # no guidance and four settings with 20, two of them with 50, one with all; and shuffled tokens
        ({"guidance": {"kind": "study", "trials": 4, "samples": [20, 50]}}, 100 + 4 * 20 + 2 * 30 + 50 + 100),
        # of two scales at two schedules, one of them with two starts, there are six settings and not twenty
        (
            {"guidance": {"kind": "study", "trials": 20, "scales": [2, 3], "schedules": ["step", "cosine"],
                          "starts": [0, 0.3]}},
            100 + 6 * 100 + 100,
        ),
    ],
)  # fmt: skip
def test_expected_images_follow_the_search(settings: dict[str, object], images: int) -> None:
    assert EvaluateGeneratorSection.model_validate({"samples": 100, **settings}).expected_images == images
