"""Guidance searches on made-up scores with a known minimum."""

from pathlib import Path

import pytest

from gigatok.config import ConfigError
from gigatok.evaluation.guidance.hill_climb import zero_order_search
from gigatok.evaluation.guidance.setting import Guidance
from gigatok.evaluation.guidance.study import StudySpace, guidance_study


class _Valley:
    """A parabola over the scale, with a bias that falls with the sample count as FID's does; remembers calls."""

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum
        self.calls: list[tuple[Guidance, int]] = []

    def __call__(self, guidance: Guidance, samples: int) -> float:
        self.calls.append((guidance, samples))
        penalty = 0.0 if guidance.schedule in ("constant", "step") else 5.0
        return (guidance.scale - self.minimum) ** 2 + penalty + 100 / samples


@pytest.mark.parametrize(("start", "minimum"), [(1.75, 2.5), (2.5, 1.75), (2.0, 2.0)])
def test_the_climb_ends_in_the_minimum_and_goes_up_first(start: float, minimum: float) -> None:
    valley = _Valley(minimum)
    report = zero_order_search(valley, 50_000, start=start, schedule="step", begin=0.18)
    assert report.best.guidance == Guidance(minimum, "step", 0.18)
    scales = [guidance.scale for guidance, _ in valley.calls]
    assert scales[:2] == [start, start + 0.25]
    assert len(scales) == len(set(scales))
    assert report.unguided.guidance == Guidance()
    assert [trial.guidance.scale for trial in report.curve] == sorted(scales)


def test_the_climb_stops_at_no_guidance() -> None:
    valley = _Valley(0.0)
    report = zero_order_search(valley, 100, start=1.5)
    assert report.best == report.unguided
    assert min(guidance.scale for guidance, _ in valley.calls) == 1.0
    with pytest.raises(ConfigError, match=r"at least 1\.0"):
        zero_order_search(valley, 100, start=0.5)


def test_the_study_finds_the_minimum_and_spends_most_samples_on_few_settings() -> None:
    valley = _Valley(2.0)
    report = guidance_study(valley, StudySpace(), samples=(10, 50, 250), trials=40)
    assert report.best.guidance.scale == 2.0
    assert report.best.guidance.schedule in ("constant", "step")
    assert report.unguided.samples == 250
    assert report.unguided.value == pytest.approx(1 + 100 / 250)
    counts = [samples for _, samples in valley.calls]
    assert counts.count(250) <= counts.count(50) < counts.count(10)
    assert report.stopped
    assert all(trial.samples < 250 for trial in report.stopped)
    assert all(trial.samples == 250 for trial in report.curve)


def test_equal_settings_are_scored_once() -> None:
    valley = _Valley(2.0)
    space = StudySpace(scales=(1.5, 2.0), schedules=("constant",), starts=(0.0, 0.3))
    guidance_study(valley, space, samples=(10, 20), trials=15)
    assert len(valley.calls) == len(set(valley.calls))


def test_a_killed_study_goes_on_from_its_journal_and_two_processes_share_it(tmp_path: Path) -> None:
    valley = _Valley(2.0)

    def flaky(guidance: Guidance, samples: int) -> float:
        if len(valley.calls) == 6:
            raise KeyboardInterrupt
        return valley(guidance, samples)

    with pytest.raises(KeyboardInterrupt):
        guidance_study(flaky, StudySpace(), samples=(10, 20), trials=10, storage=tmp_path / "study.log")
    known = list(valley.calls)
    told: list[bool] = []
    report = guidance_study(
        valley,
        StudySpace(),
        samples=(10, 20),
        trials=10,
        storage=tmp_path / "study.log",
        on_trial=lambda ended: told.append(ended.finished),
    )
    assert not set(valley.calls[6:]) & set(known)
    assert report.unguided.guidance == Guidance()
    assert 0 < len(told) <= 10
    calls = len(valley.calls)
    again = guidance_study(valley, StudySpace(), samples=(10, 20), trials=10, storage=tmp_path / "study.log")
    assert len(valley.calls) == calls
    assert again == report


def test_counts_must_rise() -> None:
    with pytest.raises(ConfigError, match="must rise"):
        guidance_study(_Valley(2.0), StudySpace(), samples=(50, 10), trials=3)


def test_a_step_at_the_beginning_is_a_constant_scale() -> None:
    """So that the same samples are not drawn twice under two names."""
    tried: list[Guidance] = []

    def score(guidance: Guidance, samples: int) -> float:
        tried.append(guidance)
        return guidance.scale

    space = StudySpace(scales=(2.0,), schedules=("constant", "step"), starts=(0.0,))
    guidance_study(score, space, samples=(10,), trials=8, name="steps")
    assert set(tried) == {Guidance(), Guidance(2.0)}
