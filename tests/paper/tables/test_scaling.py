"""The scaling table in its three forms."""

from __future__ import annotations

import csv
import io
import json

import pytest
from fake_runs import EXTRACTOR, fake_params, write_core, write_tokenizer

from gigatok.artifacts import FewSamples, ScoreSheet
from gigatok.paper.results.metrics import SCALING_METRICS, find_metric, full_name
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.real_sets import count_notes, equal_set_notes
from gigatok.paper.tables.scaling import floor_cells, scaling_csv, scaling_json, shown_columns, table_notes
from gigatok.paper.tables.scaling_files import scaling_markdown, write_scaling_table
from gigatok.paper.tables.scaling_rows import scaling_rows, series_rows


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    runs = tmp_path_factory.mktemp("core")
    write_core(runs)
    return scaling_rows(Results(runs, fake_params()), ["s", "3b"])


def test_markdown_has_a_row_a_rung_and_says_which_scale(rows):
    text = scaling_markdown(rows, fake_params())
    lines = text.splitlines()
    assert "not comparable with the paper" in lines[0]
    assert lines[2].startswith("| Size | Tokenizer | Params | rFID ↓ | gFID ↓ | gFID, guided ↓ |")
    assert lines[4].startswith("|  | **With semantic regularization** |")
    assert lines[5].startswith(
        "| s | S-S | 550K | 70.00 [68.60, 71.40] | 120.0 [117.6, 122.4] | 116.0 [113.7, 118.3] |"
    )
    assert lines[6].startswith("| 3b | XL-XXL | 8M | **52.00** [50.96, 53.04] | **95.00** [")


def test_rough_values_and_few_images_are_said(tmp_path):
    write_core(tmp_path)
    path = tmp_path / "tokenizers" / "S-S" / "summary.json"
    sheet = ScoreSheet.read(path)
    rfid = next(each for each in sheet.scores if each.metric.startswith("rfid/"))
    protocol = rfid.protocol.replace(rough=True)
    rough = rfid.replace(metric=rfid.metric.replace("rfid", "rfid_infinity"), value=60.0, protocol=protocol)
    few = FewSamples(samples=5, reference=5, dimensions=9)
    sheet.model_copy(update={"scores": (*sheet.scores, rough), "few_samples": few}).write(path)
    text = scaling_markdown(series_rows(Results(tmp_path, fake_params())), fake_params())
    assert "| ~60.00 [68.60, 71.40] |" in text
    assert "~: fewer images than feature dimensions, a rough guide only." in text
    assert "Fréchet distances of 5 samples to 5 images in 9 dimensions are biased upwards" in text


def test_missing_values_are_not_run_with_the_command(tmp_path):
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=16)
    params = fake_params()
    text = scaling_markdown(scaling_rows(Results(tmp_path, params), ["s", "b"]), params)
    assert "| b | S-B | not run | not run |" in text
    assert "- not run: S-B (tokenizer and generator): `gigatok-bench scaling --sizes b`" in text
    assert " 0 |" not in text


def test_csv_keeps_full_precision_and_floors(rows):
    first, last = csv.DictReader(io.StringIO(scaling_csv(rows)))
    assert float(first[f"reconstruction_kid/{EXTRACTOR}"]) == 70 / 1000
    assert first["floor: psnr (k-means patches)"] == "21.9"
    assert last["tokenizer"] == "XL-XXL"


def test_json_carries_protocol_and_interval(rows):
    sheet = scaling_json(rows, fake_params())
    score = sheet["rungs"][0]["scores"][f"rfid/{EXTRACTOR}"]
    assert (sheet["profile"], sheet["suite"]) == ("nano", "core")
    assert score["interval"] == pytest.approx([70 * 0.98, 70 * 1.02])
    assert score["protocol"]["reference_count"] == 567


def test_files_are_the_same_each_time(rows, tmp_path):
    for folder in ("a", "b"):
        write_scaling_table(rows, fake_params(), tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["scaling.csv", "scaling.json", "scaling.md"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    assert json.loads((tmp_path / "a" / "scaling.json").read_text())["rungs"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(310.04, "310.0"), (52.123, "52.12"), (0.2456, "0.246"), (0.01234, "0.0123"), (6.1, "6.100")],
)
def test_values_are_written_with_few_digits(value, text):
    assert SCALING_METRICS[0].text(value) == text


def test_percent_columns_show_hundredths():
    probe = find_metric("linear_probe_accuracy")
    assert probe is not None
    assert probe.text(0.481) == "48.1%"


def test_better_follows_the_direction():
    rfid, psnr = find_metric("rfid/x"), find_metric("psnr")
    assert rfid is not None
    assert psnr is not None
    assert rfid.beats(1, 2)
    assert not rfid.beats(2, 2)
    assert psnr.beats(2, 1)


def test_find_prefers_the_first_extractor_and_no_other_metric():
    assert full_name({"gfid_best_cfg/x": 1, "gfid/z": 1, "gfid/y": 1}, "gfid") == "gfid/y"
    assert full_name({"gfid_best_cfg/x": 1}, "gfid") is None


def test_real_images_stand_under_their_columns_with_their_number(tmp_path):
    write_core(tmp_path)
    path = tmp_path / "reference" / "summary.json"
    sheet = ScoreSheet.read(path)
    score = next(each for each in sheet.floors if each.metric.startswith("rfid")).replace(floor=None)
    real = tuple(
        score.replace(metric=f"real_{key}/{EXTRACTOR}", value=value) for key, value in (("rfid", 12), ("gfid", 9))
    )
    sheet.model_copy(update={"scores": real}).write(path)
    rows = series_rows(Results(tmp_path, fake_params()))
    columns = shown_columns(rows)
    name, cells = floor_cells(rows, columns)[-1]
    found = {column.key: text for column, text in zip(columns, cells, strict=True) if text}
    assert name == "two disjoint real sets"
    assert found == {"rfid": "12.00 (n 567)", "gfid": "9.000 (n 567)", "gfid_best_cfg": "9.000 (n 567)"}
    assert equal_set_notes(rows) == []  # samples were compared with 567 images, too
    assert count_notes(rows) == []


def test_real_sets_of_other_counts_than_the_samples_are_noted(tmp_path):
    """Of a reference batch of 400 images no more than 200 are drawn; reconstructions are judged by 567."""
    rows = with_real_sets(tmp_path, {"real_gfid": 200, "real_rfid": 567, "real_gfid_rest": 200}, [], drawn=200)
    (first, *others) = count_notes(rows)
    assert "the two disjoint real sets have 200 images, while scores are of 567." in first
    assert first.startswith("Under rFID, gFID, ")
    assert not others
    assert first in table_notes(rows)


def with_real_sets(runs, real, ratios, drawn=567):
    """Suite ``core`` with 567 samples against 2,268 images, its real sets by name and size, and ratios by name."""
    write_core(runs)
    path = runs / "reference" / "summary.json"
    sheet = ScoreSheet.read(path)
    like = sheet.floors[0].replace(floor=None, floor_kind=None)
    scores = [
        like.replace(
            metric=f"{name}/{EXTRACTOR}",
            value=9,
            protocol=like.protocol.replace(reference_count=count, sample_count=drawn),
        )
        for name, count in real.items()
    ]
    sheet.model_copy(update={"scores": tuple(scores)}).write(path)
    for folder in (runs / "generators").iterdir():
        sheet = ScoreSheet.read(folder / "summary.json")
        whole = [each.replace(protocol=each.protocol.replace(reference_count=2268)) for each in sheet.scores]
        more = [whole[0].replace(metric=f"{name}/{EXTRACTOR}") for name in ratios]
        sheet.model_copy(update={"scores": (*whole, *more)}).write(folder / "summary.json")
    return series_rows(Results(runs, fake_params()))


def test_ratios_to_equal_sets_are_shown_with_what_they_lack(tmp_path):
    rows = with_real_sets(tmp_path, {"real_gfid": 567}, ["frechet_ratio"])
    assert [each.label for each in shown_columns(rows) if "FDr" in each.label] == ["FDr, equal sets"]
    (note,) = equal_set_notes(rows)
    assert "567 images each, while samples are compared with 2,268" in note
    assert "up to about 1.6 times too high" in note  # 2/567 over 1/567 + 1/2268
    assert note in table_notes(rows)


def test_ratios_to_the_rest_take_their_place(tmp_path):
    rows = with_real_sets(tmp_path, {"real_gfid": 567, "real_gfid_rest": 1701}, ["frechet_ratio", "frechet_ratio_rest"])
    assert [each.label for each in shown_columns(rows) if "FDr" in each.label] == ["FDr"]
    assert equal_set_notes(rows) == []
    gfid = find_metric("gfid")
    assert gfid is not None
    assert dict(floor_cells(rows, [gfid]))["two disjoint real sets"] == ["9.000 (n 567 to 1,701)"]
