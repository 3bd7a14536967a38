"""Figure 8: components, positions finer than the network's own grid, and the sheet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_runs import fake_params, write_core
from sheets import overlapping, shown, texts, tile_at, tiles

from gigatok.paper.figures import feature_maps
from gigatok.paper.figures.feature_maps import (
    TOKENIZERS,
    classes_shown,
    dense_features,
    principal_components,
    write_feature_maps,
)
from gigatok.paper.results.reader import Results


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


class MeansOfPatches:
    """A tokenizer whose features are the means of its patches, 8 x 8 of them."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images, images.shape[-1] // 8)

    def decoder_features(self, tokens: torch.Tensor, layer: int) -> torch.Tensor:
        return tokens.flatten(2).transpose(1, 2)


def test_features_between_the_networks_own_positions_are_its_own_of_moved_images():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = dense_features(MeansOfPatches(), images, 1).reshape(2, 16, 16, 3)  # type: ignore[arg-type]
    patches = images.unfold(2, 4, 2).unfold(3, 4, 2).mean(dim=(-1, -2)).permute(0, 2, 3, 1)
    assert np.allclose(found[:, :15, :15], patches.numpy(), atol=1e-6)
    assert np.allclose(found[:, ::2, ::2], MeansOfPatches().encode(images).permute(0, 2, 3, 1).numpy(), atol=1e-6)


def test_a_grid_that_is_fine_enough_stays_as_it_is():
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = torch.nn.functional.avg_pool2d(images, 2).flatten(2).transpose(1, 2)

    class Fine(MeansOfPatches):
        def encode(self, images: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(images, 2)

    assert np.array_equal(dense_features(Fine(), images, 1), plain.numpy())  # type: ignore[arg-type]


def test_three_classes_with_most_images_are_shown():
    chosen = classes_shown(np.array([4, 4, 4, 4, 0, 1, 1, 2, 2, 3]))
    assert [each.label for each in chosen] == [1, 2, 4]
    assert chosen[2].rows.tolist() == [0, 1, 2]
    assert [each.label for each in classes_shown(np.array([7]))] == [7]


def test_without_weights_the_sheet_says_so(tmp_path, sheets):
    write_core(tmp_path / "runs")
    write_feature_maps(Results(tmp_path / "runs", fake_params()), tmp_path / "fig08.png")
    assert texts(sheets["fig08.png"])[0] == "B-L is not run: dvc repro evaluate_tokenizer@B-L"


@pytest.mark.parametrize("missing", [*TOKENIZERS, None])
def test_both_tokenizers_stand_beside_the_original(tmp_path, monkeypatch, sheets, missing):
    write_core(tmp_path / "runs")
    known = [name for name in TOKENIZERS if name != missing]
    for name in known:
        (tmp_path / "runs" / "tokenizers" / name / "weights.safetensors").touch()
    colour = {name: np.uint8(60 * (place + 1)) for place, name in enumerate(TOKENIZERS)}
    monkeypatch.setattr(
        feature_maps, "_maps", lambda folder, images, layer: np.full((len(images), 16, 16, 3), colour[folder.name])
    )
    drawn = write_feature_maps(Results(tmp_path / "runs", fake_params()), tmp_path / "fig08.png")
    sheet, placed = shown(drawn.file), sheets["fig08.png"]
    with np.load(tmp_path / "runs" / "tokenizers" / known[0] / "pictures.npz") as kept:
        first = kept["originals"][np.flatnonzero(kept["labels"] == 0)[0]]
    boxes = tiles(placed)
    assert (tile_at(sheet, boxes[0]) == first).all()
    for box, name in zip(boxes[1:], known, strict=False):
        assert (tile_at(sheet, box, 16) == colour[name]).all()
        assert box[1] == boxes[0][1]  # side by side
    assert overlapping(placed) == []
    assert any("16 x 16 positions" in text for text in texts(placed))
    assert (missing is None) == (not any("is not run" in text for text in texts(placed)))
