"""Guidance schedules against their closed forms."""

from __future__ import annotations

import math

import pytest

from gigatok.config import ConfigError
from gigatok.sampling import SampleSpec, guidance_scale

TOKENS = 11  # token t has progress t / 10


def scales(**settings: object) -> list[float]:
    spec = SampleSpec.of(cfg_scale=3.0, **settings)
    return [guidance_scale(spec, token, TOKENS) for token in range(TOKENS)]


def test_constant() -> None:
    assert scales(cfg_schedule="constant") == [3.0] * TOKENS


def test_step_begins_at_its_start_except_for_token_0() -> None:
    assert scales(cfg_schedule="step", cfg_start=0.3) == [3.0, 1.0001, 1.0001, *[3.0] * 8]


def test_rectangular_includes_both_ends() -> None:
    expected = [3.0, 1.0001, *[3.0] * 4, *[1.0001] * 5]
    assert scales(cfg_schedule="rectangular", cfg_start=0.2, cfg_end=0.5) == expected


def test_linear_rises_and_linear_re_falls() -> None:
    rising = [3.0, *[1 + 2 * t / 10 + 1e-4 for t in range(1, TOKENS)]]
    falling = [3.0, *[1 + 2 * (1 - t / 10) + 1e-4 for t in range(1, TOKENS)]]
    assert scales(cfg_schedule="linear") == pytest.approx(rising)
    assert scales(cfg_schedule="linear_re") == pytest.approx(falling)


def test_cosine_falls_from_the_scale_to_1() -> None:
    expected = [1 + 2 * (1 + math.cos(math.pi * t / 10)) / 2 for t in range(TOKENS)]
    assert scales(cfg_schedule="cosine") == pytest.approx(expected)
    assert scales(cfg_schedule="cosine")[-1] == pytest.approx(1.0)


def test_a_single_token_has_full_strength() -> None:
    assert guidance_scale(SampleSpec(cfg_scale=2.0, cfg_schedule="linear"), 0, 1) == 2.0


@pytest.mark.parametrize("schedule", ["constant", "step", "linear", "linear_re", "rectangular", "cosine"])
def test_scale_1_is_no_guidance_whatever_the_schedule(schedule: str) -> None:
    spec = SampleSpec.of(cfg_scale=1.0, cfg_schedule=schedule, cfg_start=0.5)
    assert {guidance_scale(spec, token, TOKENS) for token in range(TOKENS)} == {1.0}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cfg_scale", 0.5),
        ("cfg_schedule", "sine"),
        ("cfg_start", 1.5),
        ("temperature", -1.0),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_q", 1),
    ],
)
def test_impossible_settings_are_named(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting) as caught:
        SampleSpec.of(**{setting: value})
    assert "\n" not in str(caught.value)
