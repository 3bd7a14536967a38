"""Learning-rate schedules: the official values at every listed step, and what must hold at any step."""

from __future__ import annotations

import math

import formula
import pytest

from gigatok.config.sections import OptimizerSection
from gigatok.optim import constant_lr, cosine_lr, learning_rate, wsd_lr

STORED = formula.outputs("losses")
COSINE = list(zip(STORED["lr_steps"].tolist(), STORED["lr_cosine"].tolist(), strict=True))
WSD = list(zip(STORED["lr_steps"].tolist(), STORED["lr_wsd"].tolist(), strict=True))


@pytest.mark.parametrize(("step", "expected"), COSINE)
def test_cosine_agrees_with_the_official_schedule(step: int, expected: float) -> None:
    rate = cosine_lr(step, base_lr=1e-4, warmup_steps=500, total_steps=10_000, min_lr=1e-5)
    assert rate == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("step", "expected"), WSD)
def test_wsd_agrees_with_the_official_schedule(step: int, expected: float) -> None:
    rate = wsd_lr(step, base_lr=1e-4, warmup_steps=500, total_steps=10_000, decay_fraction=0.2)
    assert rate == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_without_warmup_all_start_at_the_base_rate() -> None:
    assert constant_lr(0, base_lr=3.0) == 3.0
    assert cosine_lr(0, base_lr=3.0, warmup_steps=0, total_steps=10) == 3.0
    assert wsd_lr(0, base_lr=3.0, warmup_steps=0, total_steps=10) == 3.0


def test_warmup_is_a_line_from_a_hundredth() -> None:
    rates = [constant_lr(step, base_lr=1.0, warmup_steps=4) for step in range(6)]
    assert rates == pytest.approx([0.01, 0.2575, 0.505, 0.7525, 1.0, 1.0])


def test_cosine_is_halfway_in_the_middle_and_stays_at_its_end() -> None:
    def rate(step: int) -> float:
        return cosine_lr(step, base_lr=1.0, warmup_steps=10, total_steps=110, min_lr=0.2)

    assert rate(60) == pytest.approx(0.6)
    assert rate(110) == rate(10_000) == 0.2


def test_wsd_falls_with_the_square_root() -> None:
    def rate(step: int) -> float:
        return wsd_lr(step, base_lr=1.0, warmup_steps=0, total_steps=100, decay_fraction=0.5)

    assert rate(50) == 1.0
    assert rate(62) == pytest.approx(1 - math.sqrt(12 / 50))
    assert rate(100) == rate(200) == 0.0


def test_wsd_without_decay_keeps_the_base_rate_to_the_end() -> None:
    assert wsd_lr(99, base_lr=1.0, warmup_steps=0, total_steps=100, decay_fraction=0.0) == 1.0


@pytest.mark.parametrize("step", [0, 3, 40, 79, 95])
def test_section_chooses_schedule_and_passes_every_setting(step: int) -> None:
    section = OptimizerSection(
        learning_rate=2.0, warmup_steps=5, min_learning_rate=0.5, decay_fraction=0.3, schedule="cosine"
    )
    shared = {"base_lr": 2.0, "warmup_steps": 5}
    assert learning_rate(section, step, 100) == cosine_lr(step, **shared, total_steps=100, min_lr=0.5)
    wsd = section.replace(schedule="wsd")
    assert learning_rate(wsd, step, 100) == wsd_lr(step, **shared, total_steps=100, decay_fraction=0.3)
    assert learning_rate(section.replace(schedule="constant"), step, 100) == constant_lr(step, **shared)
