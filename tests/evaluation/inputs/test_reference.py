"""What samples are held against: the training images, or a reference batch in ADM's layout."""

from pathlib import Path

import numpy as np
import pytest
from dvc_cache import cached

from gigatok.artifacts import Estimator, Protocol, Score, ScoreSheet, protocol_differences
from gigatok.config import ConfigError, GigatokError
from gigatok.config.base import GigatokWarning
from gigatok.config.evaluation import ReferenceSection
from gigatok.data import PreparedData
from gigatok.evaluation.extractors.base import Features
from gigatok.evaluation.inputs.evaluation_set import Moments
from gigatok.evaluation.inputs.files import open_set, write_adm_npz
from gigatok.evaluation.inputs.reference import (
    StoredReference,
    read_stored_reference,
    sample_reference,
    training_reference,
)
from gigatok.evaluation.metrics.frechet import Gaussian
from gigatok.evaluation.metrics.reference_set import ReferenceSet
from gigatok.evaluation.protocols import find_protocol
from gigatok.evaluation.scoring.feature_reference import FeatureReference
from gigatok.evaluation.scoring.measure import measure
from gigatok.evaluation.stages.generator import score_generator
from gigatok.evaluation.stages.reference import score_reference
from gigatok.evaluation.store.score_inputs import load_inputs, load_moments, save_inputs_of_scores

SIDE = 16


def batch(folder: Path, side: int = SIDE, images: bool = True) -> Path:
    """Forty images and statistics that are not theirs."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, side, side, 3), dtype=np.uint8)
    moments = Moments(Gaussian(np.full(4, 7.0), np.eye(4)), None)
    write_adm_npz(folder / "batch.npz", pixels if images else None, moments)
    return folder / "batch.npz"


def test_samples_are_held_against_a_reference_batch(project, tmp_path: Path) -> None:
    before = read_stored_reference(project.workspace)
    section = project.params.reference.replace(samples=str(batch(tmp_path)), protocol="adm")
    params = project.params.model_copy(update={"reference": section})
    score_reference(params, project.workspace)
    known = read_stored_reference(project.workspace)
    assert len(known.samples) == 40
    assert known.samples_moments is None  # stored statistics are of Inception features, the judge is another
    assert np.array_equal(known.validation, before.validation)
    assert known.samples_sums is not None
    expected = ReferenceSet(known.samples, distances="float16").pair_sums()
    assert known.reference_set(section).pair_sums().kernel_within == expected.kernel_within
    assert np.array_equal(known.samples_sums.squared_radii, expected.squared_radii)
    score_generator("S-S", params, project.workspace)
    sheet = ScoreSheet.read(project.workspace.generator("S-S").summary_path)
    gfid, recall = sheet.score("gfid"), sheet.score("recall")
    assert str(gfid.protocol.reference).startswith("batch.npz (")
    assert gfid.protocol.reference_count == 40
    assert recall.protocol.estimator == Estimator(neighbours=3, distances="float16")


def test_stored_statistics_are_those_of_inception_features(project, tmp_path: Path) -> None:
    section = ReferenceSection(extractor="inception-2015", samples=str(batch(tmp_path)))
    found = sample_reference(section, PreparedData.open(project.workspace.data))
    assert found.moments is not None
    assert found.moments.pool.mean[0] == 7.0
    assert found.images.shape == (40, SIDE, SIDE, 3)


def with_statistics(content: str) -> StoredReference:
    pool = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    return StoredReference(pool, pool, content, "1" * 64, "batch", Gaussian(np.zeros(4), np.eye(4)))


def test_stored_statistics_are_remembered_with_the_scores_they_gave(tmp_path: Path) -> None:
    """``explain`` finds the statistics by what the reference contains, as the command ``evaluate`` names it."""
    section = ReferenceSection(extractor="inception-2015", protocol="adm")
    path = batch(tmp_path)
    held = with_statistics(open_set(path).content).identity(section)
    score = Score(metric="gfid/inception-2015", value=3.0, protocol=Protocol(extractor="inception-2015"))
    save_inputs_of_scores(tmp_path, [score], ["2" * 64], held, seed=0)
    inputs = load_inputs(tmp_path, score)
    assert inputs is not None
    assert (inputs.protocol, inputs.reference) == ("adm", open_set(path).content)
    assert "+" in inputs.reference
    stored = load_moments(tmp_path, inputs.reference)
    assert stored is not None
    assert np.array_equal(stored.pool.covariance, np.eye(4))


@pytest.mark.parametrize("stored", [False, True])
def test_how_many_images_stored_statistics_are_of_is_not_known(stored: bool) -> None:
    known = with_statistics("0" * 64)
    real = (known if stored else known._replace(samples_moments=None)).reference_set(ReferenceSection())
    features = Features(np.random.default_rng(1).normal(size=(100, 4)).astype(np.float32), None, None)
    measured = measure("fid_infinity", features, FeatureReference(real), find_protocol("ours"))
    protocol = measured.record("gfid_infinity/x", Protocol(reference_count=40)).protocol
    assert protocol.reference_count == (None if stored else 40)
    assert (protocol.estimator.reference_moments == "stored") is stored


def test_other_images_are_another_reference(project) -> None:
    sheet = ScoreSheet.read(project.workspace.reference / "summary.json")
    floor = sheet.floors[0]
    data = PreparedData.open(project.workspace.data).summary
    other = floor.replace(
        protocol=floor.protocol.replace(reference=training_reference(data.replace(data_sha256="0" * 64)))
    )
    assert data.data_sha256[:12] in str(floor.protocol.reference)
    assert [each.field for each in protocol_differences(floor, other)] == ["reference"]


def test_a_batch_that_does_not_fit_is_refused(project, tmp_path: Path) -> None:
    data = PreparedData.open(project.workspace.data)
    with pytest.raises(ConfigError, match=r"prepare.image_size is 16: use a reference batch of that size"):
        sample_reference(ReferenceSection(samples=str(batch(tmp_path, side=8))), data)
    with pytest.raises(GigatokError, match=r"statistics only: reference\.samples needs images"):
        sample_reference(ReferenceSection(samples=str(batch(tmp_path, images=False))), data)
    with pytest.raises(GigatokError, match="does not exist"):
        sample_reference(ReferenceSection(samples=str(tmp_path / "none.npz")), data)


def test_damaged_features_come_back_from_dvcs_cache(project) -> None:
    """A zeroed set, whole as a file, would give another rFID without a word."""
    before = read_stored_reference(project.workspace)
    path = project.workspace.reference / "features.npz"
    noted = ScoreSheet.read(project.workspace.reference / "summary.json").files[path.name]
    with np.load(path) as stored:
        zeroed = {**stored, "validation": np.zeros_like(stored["validation"])}
    sound = path.read_bytes()
    np.savez(path, **zeroed)
    with pytest.raises(GigatokError, match=r"features.npz is damaged .*: run 'dvc repro -f reference'"):
        read_stored_reference(project.workspace)
    path.write_bytes(sound)
    assert cached(project.workspace.root, path) == {path.name: noted}
    np.savez(path, **zeroed)
    with pytest.warns(GigatokWarning, match=r"features.npz is damaged .*: restored from DVC's cache"):
        assert np.array_equal(read_stored_reference(project.workspace).validation, before.validation)
    assert path.read_bytes() == sound
    path.write_bytes(b"PK")
    (project.workspace.reference / "summary.json").unlink()
    with pytest.raises(GigatokError, match=r"features.npz cannot be read"):
        read_stored_reference(project.workspace)
