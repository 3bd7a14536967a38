"""params.yaml: what is read, what is merged, what is refused and in which words."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from gigatok.config import RUNGS, ConfigError, GigatokError, fingerprint, load_params, parse_params
from gigatok.config.params import merge
from gigatok.config.profiles import render

SMOKE: dict[str, Any] = yaml.safe_load(render("smoke"))


def changed(path: str, value: object) -> dict[str, Any]:
    """Profile smoke with one setting replaced; ``path`` goes through mappings, separated by dots."""
    values = copy.deepcopy(SMOKE)
    *parents, last = path.split(".")
    place = values
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = value
    return values


def refusal(values: dict[str, Any]) -> str:
    """What is said about ``values``; always one line."""
    with pytest.raises(ConfigError) as caught:
        parse_params(values)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text


def test_overrides_reach_one_tokenizer_alone() -> None:
    params = parse_params(changed("tokenizers.S-B.overrides", {"loss": {"entropy_weight": 0.5}, "steps": 3}))
    own, other = params.tokenizer_training("S-B"), params.tokenizer_training("S-S")
    assert (own.loss.entropy_weight, own.steps) == (0.5, 3)
    assert (other.loss.entropy_weight, other.steps) == (0.0, SMOKE["train_tokenizer"]["steps"])
    assert own.loss.semantic_weight == other.loss.semantic_weight
    assert own.model == other.model


def test_overrides_of_a_generator_reach_training_and_model() -> None:
    overrides = {"steps": 5, "dropout": 0.3, "sizes": {"GPT-B": {"width": 64}}}
    params = parse_params(changed("generators.S-S.overrides", overrides))
    assert params.generator_training("S-S").steps == 5
    model = params.generator_model("S-S", tokens=16, codebook_size=64, classes=9)
    assert (model.width, model.dropout, model.num_tokens, model.codebook_size, model.num_classes) == (
        64,
        0.3,
        16,
        64,
        9,
    )
    assert params.generator_model("S-B", tokens=16, codebook_size=64, classes=9).dropout == 0.1


def test_the_model_follows_data_sizes_and_losses() -> None:
    params = parse_params(changed("tokenizers.S-S-no-sem.overrides", {"loss": {"semantic_weight": 0}}))
    model = params.tokenizer_model("S-B", alignment_dim=7)
    sizes = params.train_tokenizer.model.sizes
    assert (model.encoder, model.decoder) == (sizes["S"], sizes["B"])
    assert model.image_size == params.prepare.image_size
    assert (model.alignment_layer, model.alignment_dim) == (params.train_tokenizer.model.alignment_layer, 7)
    assert params.tokenizer_model("S-S-no-sem", alignment_dim=7).alignment_layer is None


def test_merging_goes_into_mappings_and_replaces_the_rest() -> None:
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": {"g": 3}, "h": None}
    over = {"a": {"c": {"d": 4}}, "e": [5], "f": None, "h": {"i": 6}}
    before = copy.deepcopy(base)
    assert merge(base, over) == {"a": {"b": 1, "c": {"d": 4}}, "e": [5], "f": None, "h": {"i": 6}}
    assert base == before


def test_every_section_refuses_unknown_keys_by_name() -> None:
    for name in [
        key for key, value in SMOKE.items() if isinstance(value, dict) and key not in ("tokenizers", "generators")
    ]:
        assert f"{name}.nonsense = 1: is no setting" in refusal(changed(f"{name}.nonsense", 1))
    assert "train_tokenizer.loss.semantic_wieght = 1: is no setting" in refusal(
        changed("train_tokenizer.loss.semantic_wieght", 1)
    )
    assert "nonsense" in refusal(changed("nonsense", 1))


def test_all_broken_rules_are_listed_at_once() -> None:
    values = changed("train_tokenizer.steps", 0)
    values["prepare"]["source"] = "photos"
    del values["teacher"]
    text = refusal(values)
    for part in ("train_tokenizer.steps = 0", "prepare.source = 'photos'", "teacher: Field required"):
        assert part in text
    assert text.count(";") == 2


def test_all_entries_that_do_not_fit_are_listed_at_once() -> None:
    values = changed("tokenizers.S-S.overrides", {"loss": {"semantic_wieght": 1}, "steps": -1})
    values["tokenizers"]["S-B"]["overrides"] = {"model": {"alignment_layer": 9}}
    values["generators"]["S-S"]["overrides"] = {"optimizer": {"schedule": "linear"}}
    values["generators"]["S-L"]["tokenizer"] = "S-Q"
    values["generators"]["B-L"]["size"] = "GPT-Q"
    text = refusal(values)
    for part in (
        "tokenizers.S-S.overrides: loss.semantic_wieght = 1: is no setting",
        "steps = -1",
        "tokenizers.S-B: alignment_layer 9 is not in 1..4",
        "generators.S-S.overrides: optimizer.schedule = 'linear'",
        "generators.S-L.tokenizer 'S-Q' is not one of",
        "no 'GPT-Q': known are GPT-B, GPT-L, GPT-XL, GPT-XXL",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("prepare.augmentation", "crop-flip", "set teacher.cache to false"),
        ("prepare.image_size", 36, "not a multiple of the CNN's downsampling 8"),
        ("train_tokenizer.model.num_tokens", 12, "not a power of two"),
        ("train_tokenizer.model.num_tokens", 32, "exceeds the 4x4 positions"),
        ("train_tokenizer.model.block", "plain", "use block 'qformer' with layout '1d'"),
        ("train_tokenizer.model.sizes.S.heads", 3, "width 16 is not divisible by heads 3"),
        ("train_tokenizer.model.alignment_layer", 5, "alignment_layer 5 is not in 1..4"),
        ("train_generator.sizes.GPT-B.heads", 5, "width 32 is not divisible by heads 5"),
        ("evaluate_generator.cfg_scales", [2.0], "must begin with 1.0"),
        ("teacher.name", "resnet", "teacher.name = 'resnet': Input should be 'efficientnet-lite0', "),
        ("teacher", {"name": "dinov2-b", "image_size": 100}, "teacher: image_size 100 is not a multiple of dinov2-b's"),
        ("teacher.weights", "x.pt", "teacher: weights 'x.pt': efficientnet-lite0 brings its own weights"),
        ("tokenizers.S-S.teacher", {"name": "clip"}, "tokenizers.S-S.teacher: name = 'clip'"),
        ("tokenizers.S-S.teacher", {"name": "clip-dfn-l"}, "tokenizers.S-S.teacher: image_size 64 is not a multiple"),
        ("train_tokenizer.loss.perceptual_network", "alex", "loss.perceptual_network = 'alex': Input should be"),
        ("train_tokenizer.loss.perceptual_weights", "x.pt", "loss: perceptual_weights 'x.pt': efficientnet-lite0"),
        ("reference.extractor", "resnet", "reference.extractor = 'resnet': Input should be 'efficientnet-lite0', "),
        ("train_tokenizer.keep_steps", [5, 13], "keep_steps [13] of tokenizer S-S are not in 1..12 (its steps)"),
        (
            "tokenizers.S-S.overrides",
            {"steps": 4, "keep_steps": [5]},
            "keep_steps [5] of tokenizer S-S are not in 1..4",
        ),
        ("train_generator.keep_steps", [13], "keep_steps [13] of generator S-S are not in 1..12"),
        ("generators.S-S.checkpoint", 5, "generators.S-S.checkpoint = 5 is not in keep_steps () of tokenizer S-S"),
        ("tokenizers.S-S.encoder", "Q", "has no 'Q': known are S, B, L, XL, XXL"),
        ("tokenizers.a.b", {"encoder": "S", "decoder": "S"}, "tokenizers.a.encoder: Field required"),
    ],
)
def test_bad_combinations_say_what_to_change(path: str, value: object, message: str) -> None:
    assert message in refusal(changed(path, value))


def test_a_checkpoint_that_its_tokenizer_keeps_is_taken() -> None:
    values = changed("tokenizers.S-S.overrides", {"keep_steps": [5, 12]})
    for checkpoint in (5, 12, "final"):
        values["generators"]["S-S"]["checkpoint"] = checkpoint
        assert parse_params(values).generators["S-S"].checkpoint == checkpoint


def test_a_base_that_no_tokenizer_is_trained_with_may_keep_later_steps() -> None:
    """``train_tokenizer`` alone trains nothing: each entry's own steps count."""
    values = changed("train_tokenizer.keep_steps", [20])
    for entry in values["tokenizers"].values():
        entry["overrides"] = {**entry.get("overrides", {}), "steps": 30, "keep_steps": [20]}
    assert parse_params(values).tokenizer_training("S-S").keep_steps == (20,)


def test_names_that_dvc_would_split_are_refused() -> None:
    values = copy.deepcopy(SMOKE)
    values["tokenizers"]["S.S"] = {"encoder": "S", "decoder": "S"}
    assert "name 'S.S' may hold letters, digits and '-' only" in refusal(values)


def test_cached_features_are_no_matter_where_nothing_is_regularized() -> None:
    values = changed("prepare.augmentation", "crop-flip")
    values["train_tokenizer"]["loss"]["semantic_weight"] = 0.0
    assert parse_params(values).prepare.augmentation == "crop-flip"


def test_names_asked_for_that_are_not_there() -> None:
    params = parse_params(SMOKE)
    with pytest.raises(ConfigError, match="tokenizers has no 'X-X': known are S-S, S-B"):
        params.tokenizer_training("X-X")
    with pytest.raises(ConfigError, match="generators has no 'X-X'"):
        params.generator_training("X-X")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist: write one with 'gigatok-bench profile nano'"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(ConfigError, match="is not valid YAML") as caught:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"params\.yaml"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(render("smoke"))
    assert load_params(tmp_path / "params.yaml") == parse_params(SMOKE)


def test_params_are_frozen_and_replaced_with_checks() -> None:
    params = parse_params(SMOKE)
    with pytest.raises(ValueError, match="frozen"):
        params.base.seed = 1  # type: ignore[misc]
    assert params.base.replace(seed=1).seed == 1
    with pytest.raises(ValueError, match="threads"):
        params.base.replace(threads=-1)
    assert issubclass(ConfigError, GigatokError)


def test_rungs_are_tokenizers_of_every_size() -> None:
    assert RUNGS == {"s": "S-S", "b": "S-B", "l": "B-L", "xl": "L-XL", "3b": "XL-XXL"}
    assert set(RUNGS.values()) <= set(SMOKE["tokenizers"])


def test_fingerprints_follow_every_part() -> None:
    params = parse_params(SMOKE)
    section = params.train_tokenizer
    first = fingerprint(section, 0, "data")
    assert first == fingerprint(parse_params(SMOKE).train_tokenizer, 0, "data")
    assert len(first) == 16
    others = [fingerprint(section.replace(steps=13), 0, "data"), fingerprint(section, 1, "data"),
              fingerprint(section, 0, "other"), fingerprint(0, section, "data")]  # fmt: skip
    assert len({first, *others}) == 5
