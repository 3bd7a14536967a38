"""The paper's figures over fake runs."""

from __future__ import annotations

import numpy as np
import pytest
from fake_runs import fake_params, write_core

from gigatok.paper.feature_maps import principal_components, write_feature_maps
from gigatok.paper.paper_figures import Reader, Series, Spot, write_paper_figures


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    runs, out = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("figures")
    write_core(runs)
    return runs, write_paper_figures(runs, fake_params(), out)


def test_every_figure_has_both_forms(written):
    files = [each.file for each in written[1]]
    assert [path.stem for path in files] == ["fig03", "fig05", "fig06", "fig07", "fig09", "fig12", "fig13"]
    assert all(path.with_suffix(".svg").stat().st_size > 1000 for path in files)


def test_a_figure_names_the_scores_it_shows_and_no_others(written):
    shown = {
        each.number: {(score.provenance.run, score.metric.split("/")[0]) for score in each.scores}
        for each in written[1]
    }
    sizes = ("S-S-no-sem", "S-L-no-sem", "B-L-no-sem")
    assert shown[3] == {(name, metric) for name in sizes for metric in ("rfid", "ar_val_loss", "gfid")}
    assert shown[5] == set()
    assert {name for name, _ in shown[9]} == {"S-S", "S-B", "B-L"}


def test_reader_takes_each_metric_from_its_owner(written):
    reader = Reader(written[0], fake_params())
    spot = Spot(0, "S-S", "S-L")
    rfid, gfid = reader.score(spot, "rfid"), reader.score(spot, "gfid")
    assert rfid is not None
    assert gfid is not None
    assert (rfid.value, gfid.value) == (70, 110)
    assert reader.score(spot, "lpips") is None


def test_series_are_plain_data():
    assert Series("a", (Spot(1, "x", "x"),)).spots[0].x == 1


def test_components_of_a_planted_plane_are_found():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(2, 16, 3)) * (5, 3, 2)
    basis = np.linalg.qr(rng.normal(size=(10, 3)))[0].T
    maps = principal_components((plane @ basis).astype(np.float32)).reshape(-1, 3).astype(float)
    assert maps.shape == (32, 3)
    for place in range(3):
        best = max(abs(np.corrcoef(maps[:, place], plane.reshape(-1, 3)[:, axis])[0, 1]) for axis in range(3))
        assert best > 0.9


def test_components_do_not_depend_on_an_offset():
    features = np.random.default_rng(0).normal(size=(2, 16, 6)).astype(np.float32)
    assert np.abs(principal_components(features).astype(int) - principal_components(features + 9)).max() <= 1


def test_feature_maps_without_weights_say_so(written, tmp_path):
    write_feature_maps(written[0], fake_params(), tmp_path / "fig08.png")
    assert (tmp_path / "fig08.png").stat().st_size > 500
