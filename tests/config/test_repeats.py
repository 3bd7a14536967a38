"""Repeated trainings: the entries, and what of a hand-written list is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gigatok.config import ConfigError, Params, parse_params
from gigatok.config.experiments import OwnRuns, own_runs
from gigatok.config.profiles import render
from gigatok.config.repeats import generators_repeated, repeat_name, repeated

TOKENIZERS = {"S-S": {"encoder": "S", "decoder": "S"}, "B-L": {"encoder": "B", "decoder": "L"}}
GENERATORS = {
    "S-S": {"tokenizer": "S-S"},
    "B-L": {"tokenizer": "B-L"},
    "B-L-big": {"tokenizer": "B-L", "size": "GPT-L"},
}


def values() -> dict[str, Any]:
    """``params.yaml`` of profile smoke, S-S with three seeds."""
    loaded: dict[str, Any] = yaml.safe_load(render("smoke", seeds=[0, 1, 2], only=["S-S"]))
    return loaded


def test_repeats_are_entries_of_their_own_with_generators_of_their_names() -> None:
    tokenizers, generators = repeated(TOKENIZERS, GENERATORS, [0, 1, 2], ["B-L"])
    assert list(tokenizers) == ["S-S", "B-L", "B-L-seed1", "B-L-seed2"]
    assert tokenizers["B-L"] == {"encoder": "B", "decoder": "L", "seeds": [0, 1, 2]}
    assert tokenizers["B-L-seed2"] == {"encoder": "B", "decoder": "L", "seed": 2}
    assert list(generators) == [*GENERATORS, "B-L-seed1", "B-L-seed2"]
    assert generators["B-L-seed1"] == {"tokenizer": "B-L-seed1", "seed": 1}
    assert "seeds" not in TOKENIZERS["B-L"]


def test_without_names_all_are_repeated() -> None:
    tokenizers, _ = repeated(TOKENIZERS, GENERATORS, [0, 7])
    assert {"S-S-seed7", "B-L-seed7"} <= set(tokenizers)


@pytest.mark.parametrize(("seeds", "only"), [([], []), ([0, 0], []), ([-1, 0], []), ([0, 1], ["S-Q"])])
def test_what_cannot_be_repeated_is_refused(seeds: list[int], only: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"--seeds|--only"):
        repeated(TOKENIZERS, GENERATORS, seeds, only)


def test_a_training_has_its_own_seed_and_everything_else_the_base_seed() -> None:
    params = parse_params(values())
    assert [params.training_seed("tokenizer", name) for name in ("S-S", "S-S-seed1", "S-S-seed2")] == [0, 1, 2]
    assert params.training_seed("generator", repeat_name("S-S", 2)) == 2
    assert params.seeded("tokenizer", "S-S-seed1").base.seed == 1
    assert params.seeded("tokenizer", "S-B") == params
    assert params.base.seed == 0


def test_the_written_file_says_with_which_command() -> None:
    text = render("smoke", seeds=[0, 1], only=["S-S"])
    assert text.startswith("# Written by 'gigatok-bench profile smoke --suite core --seeds 0,1 --only S-S'.\n")


def test_a_list_without_its_entries_is_refused_with_the_command() -> None:
    changed = values()
    del changed["tokenizers"]["S-S-seed2"], changed["generators"]["S-S-seed2"]
    with pytest.raises(ConfigError) as caught:
        parse_params(changed)
    assert "tokenizers lacks S-S-seed2" in str(caught.value)
    assert "gigatok-bench profile smoke --suite core --seeds 0,1,2 --only S-S" in str(caught.value)


def test_a_repeat_with_another_seed_than_its_name_says_is_refused() -> None:
    changed = values()
    changed["tokenizers"]["S-S-seed2"]["seed"] = 5
    with pytest.raises(ConfigError, match="lacks S-S-seed2"):
        parse_params(changed)


@pytest.mark.parametrize("seeds", [[1, 0], [0, 0]])
def test_its_own_seed_comes_first_and_each_once(seeds: list[int]) -> None:
    changed = values()
    changed["tokenizers"]["S-S"]["seeds"] = seeds
    with pytest.raises(ConfigError, match="its own seed \\(0\\) comes first"):
        parse_params(changed)


def test_settings_without_seeds_are_what_they_were() -> None:
    assert isinstance(parse_params(yaml.safe_load(render("smoke"))), Params)
    assert "seed:" not in render("smoke").split("tokenizers:")[-1]


def test_several_generators_on_the_tokens_of_each_training() -> None:
    tokenizers, generators = repeated(TOKENIZERS, GENERATORS, [0, 1], ["B-L"])
    found = generators_repeated(tokenizers, generators, 3, ["B-L"])
    assert found["B-L"]["seeds"] == [0, 100, 200]
    assert found["B-L-seed1"]["seeds"] == [1, 101, 201]
    assert found["B-L-seed1-gen201"] == {"tokenizer": "B-L-seed1", "seed": 201}
    assert "seeds" not in found["S-S"]
    assert not [name for name in found if name.startswith("S-S-gen")]
    assert "seeds" not in generators["B-L"]
    assert len(generators_repeated(tokenizers, generators, 2)) == 2 * len(generators)


def test_generators_are_written_with_their_command_and_are_no_runs_of_ones_own() -> None:
    text = render("smoke", seeds=[0, 1], generators_each=2, only=["S-S"])
    assert text.startswith(
        "# Written by 'gigatok-bench profile smoke --suite core --seeds 0,1 --generators 2 --only S-S'.\n"
    )
    params = parse_params(yaml.safe_load(text))
    assert params.generators["S-S-seed1"].seeds == (1, 101)
    assert params.training_seed("generator", "S-S-seed1-gen101") == 101
    assert own_runs(params) == OwnRuns((), ())


def test_a_generators_list_without_its_entries_is_refused_with_the_command() -> None:
    changed = yaml.safe_load(render("smoke", generators_each=2))
    del changed["generators"]["S-S-gen100"]
    with pytest.raises(ConfigError) as caught:
        parse_params(changed)
    assert "generators.S-S.seeds = [0, 100], but generators lacks S-S-gen100" in str(caught.value)
    assert "gigatok-bench profile smoke --suite core --generators 2" in str(caught.value)


@pytest.mark.parametrize(("count", "only"), [(0, []), (2, ["S-Q"])])
def test_generators_that_cannot_be_repeated_are_refused(count: int, only: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"--generators|--only"):
        generators_repeated(TOKENIZERS, GENERATORS, count, only)
