import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from gigatok.artifacts import Protocol, Provenance, Score, ScoreSheet, protocol_differences
from gigatok.config import GigatokError

RFID = Score(
    metric="rfid/efficientnet-lite2",
    value=12.5,
    interval=(12.0, 13.0),
    protocol=Protocol(extractor="efficientnet-lite2", sample_count=576, sampler={"cfg_scale": 2.0}),
    provenance=Provenance(commit="abc", seed=0),
)
SHEET = ScoreSheet(
    name="S-S",
    kind="tokenizer",
    parameters={"encoder": 1, "total": 3},
    scores=(RFID, Score(metric="psnr", value=17.0)),
    floors=(Score(metric="psnr", value=9.0, floor="mean image"),),
    notes=("first",),
)


def test_a_sheet_survives_the_disk_with_all_its_fields(tmp_path: Path) -> None:
    SHEET.write(tmp_path / "summary.json")
    assert ScoreSheet.read(tmp_path / "summary.json") == SHEET
    assert json.loads((tmp_path / "summary.json").read_text())["schema"] == 1


def test_writing_twice_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        SHEET.write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_metric_is_found_without_its_extractor() -> None:
    assert SHEET.value("rfid") == SHEET.value("rfid/efficientnet-lite2") == 12.5
    assert SHEET.value("psnr") == 17.0  # the floor of the same name is not mixed in
    assert SHEET.has("rfid")
    assert not SHEET.has("rf")


def test_an_unknown_or_ambiguous_metric_is_named() -> None:
    with pytest.raises(GigatokError, match="no score 'gfid'"):
        SHEET.value("gfid")
    twice = SHEET.replace(scores=[RFID.model_dump(), {**RFID.model_dump(), "metric": "rfid/other"}])
    with pytest.raises(GigatokError, match="several scores"):
        twice.value("rfid")


def test_protocol_differences_name_each_field() -> None:
    other = RFID.protocol.replace(sample_count=50_000, sampler=None)
    assert protocol_differences(RFID, RFID) == []
    assert [str(each) for each in protocol_differences(RFID.protocol, other)] == [
        "sample_count: 576 | 50000",
        "sampler: {'cfg_scale': 2.0} | None",
    ]


def test_a_score_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValidationError):
        Score(metric="psnr", value=float("nan"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON .*delete it and run its stage again"),
        ('{"schema": 2, "name": "x", "kind": "y"}', "schema = 2"),
        ('{"name": "x"}', "no score sheet"),
        (None, "does not exist"),
    ],
)
def test_an_unreadable_sheet_says_what_to_do(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "summary.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(GigatokError, match=message):
        ScoreSheet.read(path)
