"""How numbers were measured, said once a document."""

from __future__ import annotations

from gigatok.artifacts import Difference, Protocol, Provenance, Resumption, Score
from gigatok.paper.report.footnotes import Footnotes, Mark


def a_score(metric: str, *, data: str = "d" * 64, **protocol: object) -> Score:
    return Score(metric=metric, value=1.0, protocol=Protocol(**protocol), provenance=Provenance(data_sha=data))


def test_equal_ways_share_a_number_over_the_whole_document() -> None:
    notes = Footnotes()
    four = {"sample_count": 4}
    first = notes.marks([a_score("psnr", **four), a_score("ssim", **four), a_score("rfid/x", extractor="x")])
    second = notes.marks([a_score("rfid/x", extractor="x"), a_score("kid/x", extractor="x", seed=1)])
    assert first == [Mark("PSNR, SSIM", 1), Mark("rFID", 2)]
    assert second == [Mark("rFID", 2), Mark("KID", 3)]
    assert notes.notes == [(1, "4 images scored."), (2, "x."), (3, "x; seed 1.")]


def test_the_data_are_named_once() -> None:
    notes = Footnotes()
    notes.marks([a_score("psnr"), a_score("ssim")])
    assert notes.data == "d" * 12
    notes.marks([a_score("psnr", data="e" * 64)])
    assert notes.data == f"{'d' * 12}, {'e' * 12}"
    assert Footnotes().data == ""


def test_a_training_that_was_resumed_anyway_is_named() -> None:
    change = Difference(kind="setting", name="loss.l1_weight", before=0.5, after=0.25)
    taken = Resumption(run="tokenizers/S-S", step=300, differences=(change,))
    score = a_score("psnr")
    notes = Footnotes()
    notes.marks([score.replace(provenance=score.provenance.replace(resumed_anyway=(taken,))), score])
    (line,) = notes.resumed
    assert "tokenizers/S-S after step 300, although it differs in loss.l1_weight" in line
