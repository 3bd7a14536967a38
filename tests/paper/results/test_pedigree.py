"""What stands under a number."""

from __future__ import annotations

from fake_runs import EXTRACTOR, fake_params, write_core

from gigatok.artifacts import Difference, Protocol, Provenance, Resumption, Score, ScoreSheet
from gigatok.paper.results.pedigree import (
    RESUMED,
    lasting_pedigree,
    measured_lines,
    metric_label,
    pedigree,
    protocol_line,
)
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.measured import measured_tables, table_latex, table_markdown
from gigatok.paper.tables.scaling import table_cells
from gigatok.paper.tables.scaling_files import scaling_markdown
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
    assert lines[2] == "Data -."


def test_the_data_are_named_once_and_settings_are_left_to_each_number():
    made = [Provenance(commit="c" * 40, dirty=True, params_sha=str(n), data_sha="d") for n in range(5)]
    lines = measured_lines([Score(metric="psnr", value=1, provenance=each) for each in made])
    assert lines[-1] == "Data d."


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
    assert metric_label("gfid_cfg_2p5/x") == "gFID at a given guidance"
    assert metric_label("tokenizer_probe_accuracy_step_425") == "Encoder probe, intermediate checkpoints"
    assert metric_label("unheard_of/x") == "unheard_of"


def test_what_was_resumed_anyway_is_marked_wherever_its_scores_are(tmp_path):
    """Table, scaling table, page and pedigree: a reader must not take such a training for a plain one."""
    write_core(tmp_path)
    path = tmp_path / "tokenizers" / "S-S" / "summary.json"
    change = Difference(kind="setting", name="loss.l1_weight", before=0.5, after=0.25)
    taken = Resumption(run="tokenizers/S-S", step=300, differences=(change,))
    sheet = ScoreSheet.read(path)
    marked = [each.replace(provenance=each.provenance.replace(resumed_anyway=(taken,))) for each in sheet.scores]
    sheet.replace(scores=marked).write(path)
    results, text = Results(tmp_path, fake_params()), "tokenizers/S-S after step 300, although it differs in loss.l1"
    for spec, rows in measured_tables(results):
        holds = any(cell.run.name == "S-S" and cell.run.kind == "tokenizer" and cell.score for r in rows for cell in r)
        for written in (table_markdown(spec, rows, results.params), table_latex(spec, rows, results.params)):
            assert (RESUMED in written) == holds
            assert written.count("resumed anyway") == holds
    rows = scaling_rows(results, ["s", "b"])
    assert [any(RESUMED in text for text in line) for line in table_cells(rows)[1]] == [True, False]
    assert text in scaling_markdown(rows, results.params)
    assert text in dict(lasting_pedigree(rows[0].scores["psnr"], rows[0].tokenizer_run))["resumed anyway"]
    assert "resumed anyway" not in dict(lasting_pedigree(rows[1].scores["psnr"], rows[1].tokenizer_run))
    assert text in "".join(measured_lines(rows[0].scores.values()))  # what the page shows under tables and figures
