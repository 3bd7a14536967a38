"""The table of spreads: pooled over recipes, in points for shares, and honest where nothing was repeated."""

from __future__ import annotations

import numpy as np
import pytest
from fake_runs import fake_params, write_core, write_generator, write_trainings

from gigatok.artifacts import ScoreSheet
from gigatok.config.repeats import generators_repeated
from gigatok.paper.results.reader import Results
from gigatok.paper.results.statistics import Noise, detectable_by_design, power_at
from gigatok.paper.tables.noise import OF_GENERATORS, SEEDS, noise_head, noise_rows, spreads, write_noise


@pytest.fixture
def found(tmp_path):
    params = write_trainings(tmp_path, (-2, 0, 2))
    return {each.metric.key: each for each in spreads(Results(tmp_path, params))}


def test_spreads_are_pooled_over_recipes(found):
    rfid = found["rfid"]
    assert (rfid.recipes, rfid.trainings) == (9, 27)
    assert rfid.over_trainings == pytest.approx(2.0)  # every recipe scores -2, 0, +2 around its mean
    assert found["gfid"].over_trainings == pytest.approx(1.0)
    assert found["psnr"].over_trainings == 0.0
    assert "bits_per_image" not in found


def test_the_smallest_difference_is_found_with_the_power_that_is_stated(found):
    error, images = 2.0 * np.sqrt(2 / SEEDS), found["rfid"].of_images.variance
    assert found["rfid"].detectable == pytest.approx(
        detectable_by_design(2.0, (SEEDS, SEEDS), images=Noise(images, np.inf))
    )
    assert power_at(found["gfid"].detectable / (error / 2), 2 * SEEDS - 3) == pytest.approx(0.8)


def test_noise_of_images_that_the_test_adds_is_in_the_table(found):
    assert found["gfid"].of_images is None  # samples are drawn anew
    assert found["rfid"].of_images.variance > 0
    place = noise_head(list(found.values())).index("Images in a difference")
    rows = {row[0]: row for row in noise_rows(list(found.values()))}
    assert float(rows["rFID"][place]) == pytest.approx(np.sqrt(found["rfid"].of_images.variance), rel=1e-4)
    assert rows["gFID"][place] == "-"


def test_the_ladder_is_the_largest_rung_minus_the_smallest(found):
    assert found["rfid"].ladder < 0


def test_cells_of_shares_are_points(found):
    rows = {row[0]: row for row in noise_rows(list(found.values()))}
    assert rows["rFID"][3] == "2"
    assert "Linear probe (points)" in rows


def test_one_training_each_says_what_is_missing(tmp_path):
    write_core(tmp_path)
    path = write_noise(Results(tmp_path, fake_params()), tmp_path / "tables")
    assert "trained once" in path.read_text()
    assert path.with_suffix(".csv").read_text().count("\n") == 1


def test_files_hold_all_metrics(tmp_path):
    params = write_trainings(tmp_path, (-2, 0, 2))
    path = write_noise(Results(tmp_path, params), tmp_path / "tables")
    assert "| rFID | 9 | 27 | 2 |" in path.read_text()
    assert path.with_suffix(".csv").read_text().splitlines()[1].startswith("rfid,9,27,2,")


def test_generators_on_the_same_tokens_have_a_spread_of_their_own(tmp_path, found):
    params = write_trainings(tmp_path, (-2, 0, 2))
    tokenizers = {name: entry.model_dump(exclude_unset=True) for name, entry in params.tokenizers.items()}
    entries = {name: entry.model_dump(exclude_unset=True) for name, entry in params.generators.items()}
    several = generators_repeated(tokenizers, entries, 2, ["S-S"])
    for name in ("S-S", "S-S-seed1", "S-S-seed2"):
        sheet = ScoreSheet.read(tmp_path / "generators" / name / "summary.json")
        other = next(each for each in several if each.startswith(f"{name}-gen"))
        write_generator(tmp_path, other, gfid=sheet.value("gfid") + 6, loss=sheet.value("ar_val_loss"))
    made = spreads(Results(tmp_path, fake_params(tokenizers=tokenizers, generators=several)))
    with_generators = {each.metric.key: each for each in made}
    assert with_generators["gfid"].over_generators == pytest.approx(6 / np.sqrt(2))
    assert with_generators["rfid"].over_generators is None
    assert noise_head(made)[-1] == OF_GENERATORS
    assert {len(row) for row in noise_rows(made)} == {len(noise_head(made))}
    assert OF_GENERATORS not in noise_head(list(found.values()))
