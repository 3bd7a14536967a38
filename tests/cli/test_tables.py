"""Tables that fit a terminal, and say what they leave out."""

from pathlib import Path

import pytest
from fake_runs import fake_params, write_core

from gigatok.cli.scaling_view import ScalingView, scaling_view
from gigatok.cli.tables import WIDTH, chosen, facts, table, wrapped
from gigatok.config import ConfigError
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import ScalingRow, scaling_rows

HEAD = ["name", *(f"metric {number}" for number in range(12))]
BODY = [["S-S", *(f"{number}.25" for number in range(12))]]


def test_a_table_fits_and_names_what_it_leaves_out() -> None:
    lines = table(HEAD, BODY).splitlines()
    assert max(map(len, lines)) <= WIDTH
    shown = lines[0].count("metric")
    assert 3 < shown < 12
    assert " ".join(lines[2:]).replace("  ", " ").startswith(f"also: metric {shown}, ")
    assert lines[0].index("metric 0") + len("metric 0") == lines[1].index("0.25") + len("0.25")


def test_a_wide_table_has_everything() -> None:
    lines = table(HEAD, BODY, None).splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("metric 11")


def test_one_long_cell_is_cut() -> None:
    lines = table(["name", "n"], [["x" * 200, "1"]]).splitlines()
    assert len(lines[1]) == WIDTH
    assert lines[1].endswith("…")


def test_long_sentences_are_wrapped_and_nothing_is_cut() -> None:
    text = " ".join(f"word{number}" for number in range(60))
    lines = wrapped(text, WIDTH, "- ", "  ")
    assert max(map(len, lines)) <= WIDTH
    assert [lines[0][:2], {line[:2] for line in lines[1:]}] == ["- ", {"  "}]
    assert " ".join(lines).split() == ["-", *text.split()]
    assert wrapped(text, None, "- ") == [f"- {text}"]
    assert wrapped("", WIDTH, "note  ") == ["note"]


def test_facts_stand_beside_their_labels_or_below_them() -> None:
    digest, command = "0123abcd" * 8, "gigatok-bench " + "x" * 40 + " --option value"
    lines = facts([("extractor sha256", digest), ("note", "a " * 60), ("command", command)], whole=("command",))
    assert lines.splitlines()[:2] == ["extractor sha256", f"    {digest}"]
    assert lines.splitlines()[-2:] == ["command", f"    {command}"]
    assert lines.split().count("a") == 60
    assert max(map(len, lines.splitlines())) <= WIDTH
    assert facts([("a", "1"), ("long", "2")]) == "a     1\nlong  2"


def test_columns_are_chosen_by_name() -> None:
    assert chosen(HEAD, "metric 3, metric 1") == [0, 4, 2]
    assert chosen(HEAD, None) == list(range(13))
    for wrong in ("metric 77", ""):
        with pytest.raises(ConfigError, match="is not one of metric 0, metric 1"):
            chosen(HEAD, wrong)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[ScalingRow]:
    runs: Path = tmp_path_factory.mktemp("core")
    write_core(runs)
    return scaling_rows(Results(runs, fake_params()), ["s", "3b"])


def test_the_scaling_table_fits_and_takes_columns(rows: list[ScalingRow]) -> None:
    lines = ScalingView(None, WIDTH).text(rows).splitlines()
    assert max(map(len, lines)) <= WIDTH
    end = lines[0].index("rFID ↓") + len("rFID ↓")
    assert (lines[1][:end][-5:], lines[2][:end][-5:]) == ("70.00", "52.00")
    assert "PSNR" in scaling_view("psnr").text(rows).splitlines()[0]
    assert "rFID" not in scaling_view("psnr").text(rows).splitlines()[0]
    with pytest.raises(ConfigError, match="--columns 'fid' is not one of rfid, gfid"):
        scaling_view("fid")
