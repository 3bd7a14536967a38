"""What runs took, and what they would take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_runs import fake_params, full_params, write_core, write_trainings

from gigatok.config.experiments import with_ar_model
from gigatok.paper.report.summary.costs import (
    GPU,
    SYSTEM_JOURNAL,
    all_needs,
    hours,
    planned_gpu_hours,
    replication,
    spent,
    with_repeats,
    with_tokenizers,
)
from gigatok.paper.results.reader import Results
from gigatok.planning.flops import training_flops
from gigatok.planning.gpus import GPUS
from gigatok.planning.hours import UTILISATION


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001, "less than a minute"),
        (1 / 60, "1 minute"),
        (0.667, "40 minutes"),
        (0.949, "57 minutes"),
        (2.14, "2.1 hours"),
        (17.4, "17 hours"),
        (3421.0, "3,400 hours"),
    ],
)
def test_times_have_two_digits(value: float, text: str) -> None:
    assert hours(value) == text


def test_times_of_training_and_evaluation_are_added_over_the_runs_that_are_there(tmp_path: Path) -> None:
    write_core(tmp_path)
    found = spent(Results(tmp_path, full_params()), all_needs(full_params()))
    assert found.runs == 18
    assert found.cpu_hours == pytest.approx(9 * (61.5 + 4 + 30 + 11) / 3600)
    assert found.gpu_hours == 0
    assert str(found) == "16 minutes on CPUs"


def journal_of_gpus(folder: Path, count: int) -> None:
    lines = [
        {"step": 0, "time": 1.0, "name": f"system/gpu_{number}_utilization_percentage", "value": 90.0}
        for number in range(count)
    ]
    (folder / SYSTEM_JOURNAL).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_gpu_time_is_known_from_the_machines_journal(tmp_path: Path) -> None:
    write_core(tmp_path)
    journal_of_gpus(tmp_path / "tokenizers" / "S-S", 8)
    needs = {("tokenizer", "S-S"): None, ("generator", "S-S"): None}
    one = spent(Results(tmp_path, fake_params()), needs)  # one process takes one GPU, whatever the machine has
    assert one.gpu_hours == pytest.approx(65.5 / 3600)
    assert one.cpu_hours == pytest.approx(41 / 3600)
    four = spent(Results(tmp_path, fake_params(launch={"processes": 4})), needs)
    assert four.gpu_hours == pytest.approx(4 * 65.5 / 3600)
    on_cpu = spent(Results(tmp_path, fake_params(base={"device": "cpu"})), needs)
    assert on_cpu.gpu_hours == 0


def test_runs_of_another_suite_that_are_there_count_too(tmp_path: Path) -> None:
    """The report of suite core beside runs of suite full: claims need runs that its settings do not have."""
    params = fake_params().replace(base={**fake_params().base.model_dump(), "device": "auto"})
    write_core(tmp_path)
    name = next(iter(params.tokenizers))
    fewer = params.replace(tokenizers={}, generators={})
    needs = [("tokenizer", name)]
    assert spent(Results(tmp_path, fewer), needs) == spent(Results(tmp_path, params), needs)


def test_a_generator_needs_its_tokenizer_and_a_mean_all_its_seeds(tmp_path: Path) -> None:
    params = full_params()
    large = with_ar_model("S-S", "GPT-XL")
    assert list(with_tokenizers([("generator", large)], params)) == [("tokenizer", "S-S"), ("generator", large)]
    seeded = write_trainings(tmp_path, [0.0, 1.0])
    assert list(with_repeats([("generator", "B-L")], seeded)) == [("generator", "B-L"), ("generator", "B-L-seed1")]


def test_planned_hours_are_operations_over_speed() -> None:
    paper = replication()
    expected = training_flops(paper, "S-S") / (GPUS[GPU].half_flops * UTILISATION["tokenizer"]) / 3600
    assert planned_gpu_hours(paper, [("tokenizer", "S-S")]) == pytest.approx(expected)
    assert planned_gpu_hours(paper, [("tokenizer", "no such run")]) == 0
    whole = planned_gpu_hours(paper, all_needs(paper))
    assert 10_000 < whole < 1_000_000  # GPU weeks, as the profile says of itself
