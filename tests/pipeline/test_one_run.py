"""Settings for one run: in ``params.yaml`` while it lasts, and gone afterwards, whatever happened."""

from pathlib import Path

import pytest

from gigatok.config import ConfigError, load_params
from gigatok.config.profiles import render
from gigatok.pipeline.one_run import KEPT, parse_assignments, settings_for_one_run, with_settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text("# mine\n" + render("smoke"))
    return tmp_path


def test_settings_hold_inside_and_the_file_comes_back_whole(root: Path) -> None:
    path = root / "params.yaml"
    before = path.read_bytes()
    with settings_for_one_run(root, ["base.seed=3", "train_tokenizer.loss.semantic_weight=0.25"]):
        inside = load_params(path)
        assert (inside.base.seed, inside.train_tokenizer.loss.semantic_weight) == (3, 0.25)
        assert (root / KEPT).read_bytes() == before
    assert path.read_bytes() == before
    assert not (root / KEPT).exists()


def test_a_failure_inside_changes_nothing_either(root: Path) -> None:
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(KeyboardInterrupt), settings_for_one_run(root, ["base.seed=3"]):
        raise KeyboardInterrupt
    assert (root / "params.yaml").read_bytes() == before


def test_overrides_of_one_tokenizer_can_be_set(root: Path) -> None:
    params, _ = with_settings(root, ["tokenizers.S-S.overrides.loss.semantic_weight=0.0"])
    assert params.tokenizer_training("S-S").loss.semantic_weight == 0.0
    assert params.tokenizer_training("B-L").loss.semantic_weight == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base.seed", "give KEY=VALUE"),
        ("=3", "give KEY=VALUE"),
        ("base.seed=[1", "no YAML"),
        ("base.sead=3", "base.sead"),
        ("base.seed=many", "base.seed"),
        ("base.seed.deeper=3", "seed is a value, not a section"),
    ],
)
def test_what_cannot_be_set_is_refused_before_anything_changes(root: Path, text: str, message: str) -> None:
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(ConfigError, match=message), settings_for_one_run(root, [text]):
        pytest.fail("must not run")
    assert (root / "params.yaml").read_bytes() == before


def test_a_killed_run_is_noticed(root: Path) -> None:
    (root / KEPT).write_text("profile: smoke\n")
    with pytest.raises(ConfigError, match="killed"), settings_for_one_run(root, ["base.seed=3"]):
        pytest.fail("must not run")
    with settings_for_one_run(root, []):
        pass


def test_values_are_yaml() -> None:
    assert parse_assignments(["a.b=[1, 2]", "c=x=y", "d="]) == {"a.b": [1, 2], "c": "x=y", "d": None}
