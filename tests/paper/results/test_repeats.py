"""Means over training seeds, and what happens to scores that were measured differently."""

from __future__ import annotations

import numpy as np
import pytest
from fake_runs import EXTRACTOR, fake_params, write_core, write_generator, write_tokenizer

from gigatok.artifacts import Resumption, ScoreSheet
from gigatok.config import GigatokError
from gigatok.config.repeats import generators_repeated, repeated
from gigatok.config.suites import CORE_TOKENIZERS, default_generators
from gigatok.paper.claims.ledger import check_claims
from gigatok.paper.figures.scaling import write_scaling_plots
from gigatok.paper.figures.style import MIXED
from gigatok.paper.results.pedigree import pedigree
from gigatok.paper.results.reader import Results
from gigatok.paper.results.repeats import runs_behind
from gigatok.paper.results.trainings import read_trainings
from gigatok.paper.tables.scaling_rows import series_rows, tokenizer_row

RFID = f"rfid/{EXTRACTOR}"


@pytest.fixture
def repeats(tmp_path):
    """Suite ``core`` with S-S trained three times: rFID 70, 76 and 73."""
    tokenizers, generators = repeated(CORE_TOKENIZERS, default_generators(CORE_TOKENIZERS), [0, 1, 2], ["S-S"])
    write_core(tmp_path)
    write_named(tmp_path, "S-S-seed1", rfid=76, gfid=126)
    write_named(tmp_path, "S-S-seed2", rfid=73, gfid=123)
    return tmp_path, fake_params(tokenizers=tokenizers, generators=generators)


def write_named(runs, name, *, rfid, gfid):
    import fake_runs

    fake_runs.PARAMETERS.setdefault(name, fake_runs.PARAMETERS["S-S"])
    write_tokenizer(runs, name, rfid=rfid, psnr=16.1)
    write_generator(runs, name, gfid=gfid, loss=5.2)


def test_a_repeated_run_shows_the_mean_with_students_interval(repeats):
    run = Results(repeats[0], repeats[1]).run("tokenizer", "S-S")
    score = next(score for score in run.scores if score.metric == RFID)
    assert score.value == pytest.approx(73.0)
    half = 4.302652729911275 * 3.0 / np.sqrt(3)  # t with 2 degrees of freedom, standard deviation 3
    assert score.interval == pytest.approx((73.0 - half, 73.0 + half))
    assert dict(pedigree(score, run))["note"].endswith("the mean over training seeds 0, 1, 2")
    assert (score.protocol.interval_method, score.protocol.interval_over) == ("Student's t", "training seeds")
    assert "seed 0" not in dict(pedigree(score, run)).get("seed", "")


def test_tables_and_claims_take_the_mean(repeats):
    row = tokenizer_row(Results(*repeats), "S-S")
    assert row.metrics[RFID] == pytest.approx(73.0)
    assert row.metrics[f"gfid/{EXTRACTOR}"] == pytest.approx(123.0)
    cure = next(entry for entry in check_claims(Results(*repeats)) if entry.claim.key == "cure")
    assert cure.findings[0].effect == pytest.approx(58 - 73)


def test_a_repeat_that_has_not_run_is_not_counted(repeats):
    (repeats[0] / "tokenizers" / "S-S-seed2" / "summary.json").unlink()
    run = Results(repeats[0], repeats[1]).run("tokenizer", "S-S")
    assert next(score for score in run.scores if score.metric == RFID).value == pytest.approx(73.0)
    assert str(run.scores[0].protocol.notes).endswith("training seeds 0, 1")


def test_a_mean_keeps_what_one_of_its_trainings_took_over(repeats):
    path = repeats[0] / "tokenizers" / "S-S-seed1" / "summary.json"
    taken = Resumption(run="tokenizers/S-S-seed1", step=3, differences=None)
    sheet = ScoreSheet.read(path)
    marked = [each.replace(provenance=each.provenance.replace(resumed_anyway=(taken,))) for each in sheet.scores]
    sheet.replace(scores=marked).write(path)
    run = Results(repeats[0], repeats[1]).run("tokenizer", "S-S")
    assert [score.provenance.resumed_anyway for score in run.scores] == [(taken,)] * len(run.scores)


def test_others_are_as_they_were(repeats):
    run = Results(repeats[0], repeats[1]).run("tokenizer", "S-B")
    assert next(score for score in run.scores if score.metric == RFID).value == 64


def remeasure(runs, name, count):
    path = runs / "tokenizers" / name / "summary.json"
    sheet = ScoreSheet.read(path)
    scores = tuple(s.replace(protocol=s.protocol.replace(sample_count=count)) for s in sheet.scores)
    sheet.model_copy(update={"scores": scores}).write(path)


def test_a_mean_of_different_protocols_is_refused(repeats):
    remeasure(repeats[0], "S-S-seed2", 100)
    with pytest.raises(GigatokError, match=r"sample_count: 567 \| 100"):
        Results(repeats[0], repeats[1]).run("tokenizer", "S-S")


def test_a_plot_of_different_protocols_is_refused_or_says_so(tmp_path):
    write_core(tmp_path / "runs")
    remeasure(tmp_path / "runs", "B-L", 100)
    rows = series_rows(Results(tmp_path / "runs", fake_params()))
    with pytest.raises(
        GigatokError, match=r"rfid.* were measured differently, in sample_count: 567 \| 100.*report.force"
    ):
        write_scaling_plots(rows, tmp_path)
    write_scaling_plots(rows, tmp_path, force=True)
    assert MIXED in (tmp_path / "scaling-rfid.svg").read_text()
    assert MIXED not in (tmp_path / "scaling-gfid.svg").read_text()


@pytest.fixture
def generators(repeats):
    """Two generators on the tokens of each training of S-S: gFID 120 and 124, 126 and 128, 123 and 123."""
    tokenizers = {name: entry.model_dump(exclude_unset=True) for name, entry in repeats[1].tokenizers.items()}
    entries = {name: entry.model_dump(exclude_unset=True) for name, entry in repeats[1].generators.items()}
    entries = generators_repeated(tokenizers, entries, 2, ["S-S"])
    for name, gfid in {"S-S-gen100": 124, "S-S-seed1-gen101": 128, "S-S-seed2-gen102": 123}.items():
        write_generator(repeats[0], name, gfid=gfid, loss=5.4)
    return repeats[0], fake_params(tokenizers=tokenizers, generators=entries)


def test_of_several_generators_on_the_same_tokens_the_mean_counts_once(generators):
    found = read_trainings(Results(*generators), "S-S", "gfid")
    assert found.values == pytest.approx((122.0, 127.0, 123.0))
    assert found.score.value == pytest.approx(124.0)
    half = 4.302652729911275 * np.std((122, 127, 123), ddof=1) / np.sqrt(3)
    assert found.score.interval == pytest.approx((124.0 - half, 124.0 + half))
    assert found.singles[1].protocol.notes.endswith("the mean over generator seeds 1, 101")
    assert read_trainings(Results(*generators), "S-S", "rfid").values == (70, 76, 73)


def test_the_interval_of_a_mean_over_generators_is_that_of_their_samples(generators):
    singles = [Results(*generators).single("generator", name) for name in ("S-S", "S-S-gen100")]
    ends = [next(score.interval for score in run.scores if score.metric.startswith("gfid/")) for run in singles]
    mean = read_trainings(Results(*generators), "S-S", "gfid").singles[0]
    assert mean.interval[1] - mean.interval[0] == pytest.approx(np.hypot(*(high - low for low, high in ends)) / 2)


def changed(runs, name, change):
    """The sheet of a generator with other scores."""
    path = runs / "generators" / name / "summary.json"
    sheet = ScoreSheet.model_validate_json(path.read_text())
    path.write_text(sheet.model_copy(update={"scores": change(sheet.scores)}).model_dump_json(by_alias=True))


def test_images_that_two_generators_are_scored_on_do_not_count_twice(generators):
    """The AR loss is of the same validation images for both; samples are drawn anew for each."""

    def of_images(scores):
        (loss,) = (score for score in scores if score.metric == "ar_val_loss")
        interval = (loss.value - 0.1, loss.value + 0.3)
        return (loss.replace(interval=interval, protocol=loss.protocol.replace(sampler=None)),)

    for name in runs_behind("generator", "S-S", generators[1]):
        changed(generators[0], name, of_images)
    mean = read_trainings(Results(*generators), "S-S", "ar_val_loss").singles[0]
    assert mean.interval == pytest.approx((mean.value - 0.1, mean.value + 0.3))


def test_what_a_second_generator_took_over_stands_beside_the_mean(generators):
    taken = Resumption(run="generators/S-S-gen100", step=3, differences=None)

    def resumed(scores):
        return [
            score.replace(provenance=score.provenance.model_copy(update={"resumed_anyway": (taken,)}))
            for score in scores
        ]

    changed(generators[0], "S-S-gen100", resumed)
    assert read_trainings(Results(*generators), "S-S", "gfid").score.provenance.resumed_anyway == (taken,)


@pytest.mark.parametrize(("lacks", "left"), [(["S-S-seed1"], ["gfid_cfg_1"]), ([], ["gfid_cfg_1", "gfid_cfg_1p5"])])
def test_at_a_scale_of_guidance_that_not_all_tried_there_is_no_mean(repeats, lacks, left):
    for name in ("S-S", "S-S-seed1", "S-S-seed2"):

        def tried(scores, name=name):
            (gfid,) = (score for score in scores if score.metric == f"gfid/{EXTRACTOR}")
            scales = ["gfid_cfg_1", *([] if name in lacks else ["gfid_cfg_1p5"])]
            return (*scores, *(gfid.replace(metric=f"{scale}/{EXTRACTOR}") for scale in scales))

        changed(repeats[0], name, tried)
    found = [score.metric for score in Results(*repeats).run("generator", "S-S").scores]
    assert [name for name in found if name.startswith("gfid_cfg_")] == [f"{name}/{EXTRACTOR}" for name in left]


def test_a_generator_that_has_not_run_is_not_counted(generators):
    (generators[0] / "generators" / "S-S-seed1-gen101" / "summary.json").unlink()
    assert read_trainings(Results(*generators), "S-S", "gfid").values == pytest.approx((122.0, 126.0, 123.0))


def test_a_number_names_all_runs_behind_it(generators):
    assert runs_behind("generator", "S-S", generators[1]) == [
        "S-S", "S-S-gen100", "S-S-seed1", "S-S-seed1-gen101", "S-S-seed2", "S-S-seed2-gen102",
    ]  # fmt: skip
    assert runs_behind("tokenizer", "S-S", generators[1]) == ["S-S", "S-S-seed1", "S-S-seed2"]
    assert runs_behind("generator", "S-B", generators[1]) == ["S-B"]


def set_floor(runs, name, value):
    """The gFID of shuffled tokens of one generator."""
    path = runs / "generators" / name / "summary.json"
    sheet = ScoreSheet.read(path)
    floors = [each.replace(value=value) if each.floor == "shuffled tokens" else each for each in sheet.floors]
    sheet.model_copy(update={"floors": tuple(floors)}).write(path)


def shuffled(results, name="S-S"):
    (found,) = [each for each in results.run("generator", name).floors if each.floor == "shuffled tokens"]
    return found


def test_a_floor_that_every_seed_has_is_a_mean_over_them(repeats):
    for name, value in {"S-S": 240.0, "S-S-seed1": 246.0, "S-S-seed2": 243.0}.items():
        set_floor(repeats[0], name, value)
    found = shuffled(Results(*repeats))
    assert found.value == pytest.approx(243.0)
    assert (found.floor_kind, found.protocol.interval_over) == ("floor", "training seeds")
    row = tokenizer_row(Results(*repeats), "S-S")
    assert row.floors[f"gfid/{EXTRACTOR}"] == pytest.approx(243.0)


def test_a_floor_that_one_seed_lacks_stays_the_first_seeds(repeats):
    set_floor(repeats[0], "S-S", 250.0)
    path = repeats[0] / "generators" / "S-S-seed2" / "summary.json"
    sheet = ScoreSheet.read(path)
    sheet.model_copy(update={"floors": ()}).write(path)
    assert shuffled(Results(*repeats)).value == 250.0


def test_a_floor_over_generators_on_the_same_tokens_counts_once(generators):
    set_floor(generators[0], "S-S-gen100", 260.0)  # the others have 240
    assert shuffled(Results(*generators)).value == pytest.approx((250 + 240 + 240) / 3)


def write_details(runs, name, values, **more):
    arrays = {"images/ar_val_loss": np.asarray(values), **more}
    path = runs / "generators" / name / "details.npz"
    np.savez(path, **arrays)


def test_images_of_a_mean_over_generators_are_means_over_them(generators):
    names = ("S-S", "S-S-gen100", "S-S-seed1", "S-S-seed1-gen101", "S-S-seed2", "S-S-seed2-gen102")
    for place, name in enumerate(names):
        write_details(generators[0], name, [1.0 + place, 2.0 + place])
    found = read_trainings(Results(*generators), "S-S", "ar_val_loss")
    assert found.images.tolist() == [[1.5, 2.5], [3.5, 4.5], [5.5, 6.5]]


def test_without_the_images_of_one_generator_there_are_none_of_the_mean(generators):
    for name in ("S-S", "S-S-seed1", "S-S-seed1-gen101", "S-S-seed2", "S-S-seed2-gen102"):
        write_details(generators[0], name, [1.0, 2.0])
    assert read_trainings(Results(*generators), "S-S", "ar_val_loss").images is None
    write_details(generators[0], "S-S-gen100", [1.0, 2.0, 3.0])
    assert read_trainings(Results(*generators), "S-S", "ar_val_loss").images is None
