"""What stands under a number."""

from __future__ import annotations

from fake_runs import EXTRACTOR, fake_params, write_core

from gigatok.artifacts import Protocol, Provenance, Score
from gigatok.paper.results.pedigree import measured_lines, metric_label, pedigree, protocol_line
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import scaling_rows


def test_protocol_line_names_judge_reference_counts_and_seed():
    line = protocol_line(
        Protocol(
            extractor="x", extractor_sha256="ab" * 32, extractor_size=260, reference="train", reference_count=5000,
            sample_count=576, rounding="adm", seed=3,
        )
    )  # fmt: skip
    assert line == (
        "x (sha256 abababababab) at 260 px; reference: train (5,000 images); 576 images scored; rounding adm; seed 3"
    )


def test_what_does_not_apply_is_left_out():
    assert protocol_line(Protocol()) == ""
    assert protocol_line(Protocol(sample_count=0)) == "0 images scored"


def test_equal_protocols_share_a_line():
    scores = [Score(metric=name, value=1, protocol=Protocol(sample_count=4)) for name in ("psnr", "ssim", "psnr")]
    other = Score(metric="rfid/x", value=1, protocol=Protocol(extractor="x"))
    lines = measured_lines([*scores, other])
    assert lines[:2] == ["PSNR, SSIM: 4 images scored.", "rFID: x."]
    assert lines[2] == "Data -; params -."


def test_many_hashes_are_counted():
    made = [Provenance(commit="c" * 40, dirty=True, params_sha=str(n), data_sha="d") for n in range(5)]
    lines = measured_lines([Score(metric="psnr", value=1, provenance=each) for each in made])
    assert lines[-1] == "Data d; params 5 different (see each number)."


def test_pedigree_has_run_tracking_id_hashes_and_sampler(tmp_path):
    write_core(tmp_path)
    (row,) = scaling_rows(Results(tmp_path, fake_params()), ["s"])
    known = dict(pedigree(row.scores[f"rfid/{EXTRACTOR}"], row.tokenizer_run))
    assert known["run"] == "S-S"
    assert known["MLflow run"] == "f00d" * 8
    assert known["commit"] == "0123456789ab"
    assert known["data"] == "d" * 64
    guided = dict(pedigree(row.scores[f"gfid_best_cfg/{EXTRACTOR}"], row.generator_run))
    assert guided["sampler"] == "cfg_scale 2.0"


def test_labels():
    assert metric_label("rfid/x") == "rFID"
    assert metric_label("reconstruction_kid/x") == "KID of reconstructions"
    assert metric_label("gfid_cfg_2p5/x") == "gfid_cfg_2p5"
