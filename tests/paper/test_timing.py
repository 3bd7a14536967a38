"""Table 4: shares follow from the times, and times are really taken."""

from __future__ import annotations

import json
import time

import pytest
import torch
import yaml

from gigatok.config import parse_params
from gigatok.config.profiles import render
from gigatok.paper.timing import Timing, TimingTable, measure_times, timed, write_timing


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
    assert json.loads((tmp_path / "table04.json").read_text())["seconds"]["decode XXL"]["median"] == 3.0
    assert "XXL,B,32.4,25.0" in (tmp_path / "table04.csv").read_text()


def test_profile_smoke_is_measured():
    threads = torch.get_num_threads()
    params = parse_params(yaml.safe_load(render("smoke")))
    table = measure_times(params, batch_size=2, repeats=1, device="cpu", threads=1)
    torch.set_num_threads(threads)
    assert table.scale == "profile smoke"
    assert all(0 < table.share(row, column) < 100 for row in table.decode for column in table.sample)
