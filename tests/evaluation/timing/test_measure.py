"""Table 4: shares follow from the times, and times are really taken."""

from __future__ import annotations

import json
import time

import pytest
import torch
import yaml

from gigatok.artifacts import Workspace
from gigatok.config import GigatokError, parse_params
from gigatok.config.profiles import render
from gigatok.evaluation.timing.measure import time_profile, timed
from gigatok.evaluation.timing.times import Timing, TimingTable, timing_path
from gigatok.paper.tables.timing import write_timing


def test_time_is_that_of_the_work_without_its_first_run():
    calls = []

    def work():
        calls.append(time.sleep(0.2 if not calls else 0.02))

    found = timed(work, 3, torch.device("cpu"))
    assert len(calls) == 4
    assert 0.02 <= found.fastest <= found.median <= found.slowest < 0.15


def test_shares_are_of_both_times(tmp_path):
    def each(value):
        return Timing(median=value, fastest=value, slowest=value)

    decode, sample = {"B": each(1.0), "L": each(2.0), "XXL": each(3.0)}, dict.fromkeys(("B", "L", "XXL"), each(9.0))
    table = TimingTable(scale="profile x", decode=decode, sample=sample, about={"threads": 1})
    assert table.share("B", "L") == pytest.approx(10.0)
    text = write_timing(table, tmp_path).read_text()
    assert "| B | 3.7 | 10.0 | 2.3 | 10.0 | 1.3 | 10.0 |" in text
    table.write(tmp_path / "table04.json")
    assert TimingTable.read(tmp_path / "table04.json") == table
    assert json.loads((tmp_path / "table04.json").read_text())["decode"]["XXL"]["median"] == 3.0
    assert "XXL,B,32.4,25.0" in (tmp_path / "table04.csv").read_text()


def test_a_thread_that_waits_takes_no_cpu_time():
    found = timed(lambda: time.sleep(0.05), 2, torch.device("cpu"), time.process_time)
    assert found.slowest < 0.04


def test_without_times_the_table_names_the_command(tmp_path):
    assert TimingTable.read(tmp_path / "table04.json") is None
    text = write_timing(None, tmp_path).read_text()
    assert "Not run: `dvc repro timing`" in text
    assert "| B | 3.7 | not run | 2.3 | not run | 1.3 | not run |" in text
    (tmp_path / "table04.json").write_text("{}")
    with pytest.raises(GigatokError, match="run 'dvc repro timing'"):
        TimingTable.read(tmp_path / "table04.json")


def test_the_stage_measures_the_profiles_models_whatever_is_trained(tmp_path):
    threads = torch.get_num_threads()
    params = parse_params(yaml.safe_load(render("smoke")))
    few = {"tokenizers": {"S-S": params.tokenizers["S-S"]}, "generators": {"S-S": params.generators["S-S"]}}
    time_profile(params.model_copy(update=few), Workspace(tmp_path))
    torch.set_num_threads(threads)
    table = TimingTable.read(timing_path(tmp_path / "runs"))
    assert table.scale == "profile smoke"
    assert table.about["clock"] == "CPU time of the one thread"
    assert all(0 < table.share(row, column) < 100 for row in table.decode for column in table.sample)
