"""Settings of the evaluation stages: what a search for guidance and several seeds must look like."""

import pytest
from pydantic import ValidationError

from gigatok.config.evaluation import EvaluateGeneratorSection, EvaluateTokenizerSection, ReferenceSection


def test_defaults_sample_each_listed_scale_once() -> None:
    section = EvaluateGeneratorSection()
    assert section.guidance.kind == "list"
    assert section.seeds == (0,)
    assert EvaluateTokenizerSection().probe is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"samples": 100, "guidance": {"kind": "study", "samples": [50, 50]}}, "must rise"),
        ({"samples": 100, "guidance": {"kind": "study", "samples": [50, 100]}}, "end below samples 100"),
        ({"samples": 100, "guidance": {"kind": "study", "samples": [1]}}, "from at least 2"),
        ({"samples": 1}, "samples\n  Input should be greater than or equal to 2"),
        ({"samples": 1, "guidance": {"kind": "study"}}, "samples\n  Input should be greater than or equal to 2"),
        ({"seeds": [0, 1, 0]}, r"seeds \(0, 1, 0\) has 0 more than once"),
        ({"cfg_scales": [1.0, 0.5]}, "greater than or equal to 1"),
        ({"cfg_scales": [1.0, 2.0, 2.0]}, "'2' more than once"),
        ({"cfg_scales": [1.0, 2.0, 2.0000001]}, "'2' more than once"),
        ({"guidance": {"scales": [0.5, 2.0]}}, "greater than or equal to 1"),
        ({"guidance": {"scales": []}}, "at least 1 item"),
        ({"guidance": {"schedules": []}}, "at least 1 item"),
        ({"guidance": {"starts": []}}, "at least 1 item"),
        ({"guidance": {"scales": [2.0, 2.0]}}, "scales .* has 2.0 more than once"),
        ({"guidance": {"schedules": ["step", "step"]}}, "schedules .* has 'step' more than once"),
        ({"guidance": {"starts": [0.1, 0.1]}}, "starts .* has 0.1 more than once"),
        ({"seeds": []}, "at least 1 item"),
        ({"guidance": {"kind": "grid"}}, "list"),
        ({"guidance": {"start": 0.5}}, "greater than or equal to 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_words(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        EvaluateGeneratorSection.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"more_extractors": ["resnet"]}, "Input should be 'efficientnet-lite0'"),
        ({"more_extractors": ["dinov2-b", "dinov2-b"]}, "has 'dinov2-b' more than once"),
        ({"more_weights": {"dinov2-b": "x.pt"}}, r"more_weights has 'dinov2-b', which more_extractors \(\) lacks"),
        ({"more_extractors": ["efficientnet-lite0"], "more_weights": {"efficientnet-lite0": "x"}}, "its own weights"),
        ({"weights": "x.pt"}, "efficientnet-lite2 brings its own weights"),
        ({"extractor_size": 31}, "extractor_size 31 must be at least 32"),
        ({"extractor": "inception-2015", "extractor_size": 256}, "sees images at 299 px only"),
        ({"extractor": "dinov2-b", "extractor_size": 256}, "not a multiple of dinov2-b's patch 14: use 224"),
        ({"extractor": "clip-b32", "extractor_size": 16}, "not a multiple of clip-b32's patch 32: use 224"),
    ],
)
def test_an_extractor_that_could_not_be_loaded_is_refused_in_words(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ReferenceSection.model_validate(settings)


def test_extractors_with_what_they_need_are_taken() -> None:
    section = ReferenceSection.model_validate(
        {"extractor": "clip-b32", "extractor_size": 64, "weights": "a", "more_extractors": ["dinov2-b", "clip-l14"],
         "more_weights": {"clip-l14": "b"}}
    )  # fmt: skip
    assert section.more_weights == {"clip-l14": "b"}


@pytest.mark.parametrize(("kind", "counts"), [("study", (20, 50)), ("list", (20, 500)), ("zero-order", (500, 20))])
def test_counts_of_a_study_are_a_matter_of_studies_alone(kind: str, counts: tuple[int, ...]) -> None:
    section = EvaluateGeneratorSection.model_validate({"samples": 100, "guidance": {"kind": kind, "samples": counts}})
    assert section.guidance.samples == counts


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
