"""The matrix: suites valid under every profile, tables fed by runs of the suite."""

from __future__ import annotations

import pytest
import yaml

from gigatok.config import ConfigError, parse_params
from gigatok.config.experiments import checkpoints, duration_name, recipe_steps, share_of, suite_entries
from gigatok.config.profiles import render
from gigatok.config.suites import CORE_TOKENIZERS
from gigatok.paper.claims.catalogue import CLAIMS
from gigatok.paper.printed import load_claims, other_systems, printed_rows, without_guidance
from gigatok.paper.tables.specs import TABLES


def full(profile="nano"):
    tokenizers, generators = suite_entries("full", profile)
    return parse_params(yaml.safe_load(render(profile, "full", tokenizers, generators)))


def test_core_is_the_core():
    tokenizers, generators = suite_entries("core")
    assert list(tokenizers) == list(CORE_TOKENIZERS)
    for name, entry in tokenizers.items():
        plain = {key: value for key, value in entry.get("overrides", {}).items() if key != "keep_steps"}
        assert plain == CORE_TOKENIZERS[name].get("overrides", {})
    assert list(generators) == list(tokenizers)


@pytest.mark.parametrize("profile", ["smoke", "nano", "mini", "paper"])
def test_going_from_core_to_full_changes_no_entry(profile):
    for of_core, of_full in zip(suite_entries("core", profile), suite_entries("full", profile), strict=True):
        assert {name: of_full[name] for name in of_core} == of_core


@pytest.mark.parametrize("profile", ["smoke", "nano"])
def test_full_is_valid_and_holds_core(profile):
    params = full(profile)
    assert set(CORE_TOKENIZERS) < set(params.tokenizers)
    assert len(params.tokenizers) == 27
    assert all(params.tokenizer_model(name, alignment_dim=8) for name in params.tokenizers)


def test_every_line_of_every_table_is_run_by_full_or_says_what_it_needs():
    params = full()
    for table in TABLES:
        for line in table.lines:
            tokenizer, generator = line.runs(params)
            run = tokenizer in params.tokenizers and generator in params.generators
            assert run is (line.weights is None)


@pytest.mark.parametrize("profile", ["nano", "paper"])
def test_weights_add_the_runs_that_need_them(profile):
    given = {"clip-dfn-l": "clip.pt", "siglip-so400m": "siglip.pt", "dinov2-b": "dinov2.pt", "dino": "dino.pth"}
    entries = suite_entries("full", profile, given)
    params = parse_params(yaml.safe_load(render(profile, "full", *entries)))
    for table in TABLES:
        assert all(
            run in params.tokenizers and gen in params.generators
            for run, gen in (line.runs(params) for line in table.lines)
        )
    teacher = params.tokenizer_teacher("S-B-clip")
    assert (teacher.name, teacher.weights, teacher.image_size, teacher.cache) == ("clip-dfn-l", "clip.pt", 224, False)
    assert params.tokenizer_teacher("S-B") == params.teacher
    # a local file of the common teacher is not a file of another network
    teacher = params.teacher.replace(name="dinov2-b", image_size=224, weights="dinov2.safetensors")
    local = params.model_copy(update={"teacher": teacher})
    clip = local.model_copy(
        update={"tokenizers": {"S-B-clip": params.tokenizers["S-B-clip"].replace(teacher={"name": "clip-dfn-l"})}}
    )
    assert clip.tokenizer_teacher("S-B-clip").weights is None
    discriminator = params.tokenizer_training("B-L-dino-disc").loss.discriminator
    assert (discriminator.kind, discriminator.weights) == ("dino", "dino.pth")
    with pytest.raises(ConfigError, match="no run needs 'vgg'"):
        suite_entries("full", profile, {"vgg": "vgg.pth"})


def test_every_run_of_a_claim_is_in_full():
    params = full()
    names = {name for claim in CLAIMS for each in claim.contrasts for name in (each.left, each.right)}
    assert names <= set(params.tokenizers)


def test_every_line_has_the_papers_numbers():
    for table in TABLES:
        printed = printed_rows(table.number)
        assert sorted(printed) == sorted(line.label for line in table.lines)
        assert all(name in row for row in printed.values() for name in table.columns)


def test_variants_change_what_their_names_say():
    params = full()
    assert params.tokenizer_model("S-S-layer2", alignment_dim=8).alignment_layer == 2
    assert params.tokenizer_training("S-S-weight075").loss.semantic_weight == 0.75
    flat = params.tokenizer_model("B-L-2d", alignment_dim=8)
    assert (flat.layout, flat.block, flat.tokens) == ("2d", "plain", flat.grid**2)
    assert params.tokenizer_training("XL-XXL").loss.entropy_weight > 0
    assert params.tokenizer_training("XL-XXL-no-entropy").loss.entropy_weight == 0
    assert params.tokenizer_training("S-S-120pct-no-sem").loss.semantic_weight == 0
    assert params.generators["B-L-GPT-XXL"].size == "GPT-XXL"


def test_durations_are_shares_of_the_recipe_and_100_is_the_recipe():
    params, steps = full(), recipe_steps("nano", "S-S")
    assert params.tokenizer_training("S-S-40pct").steps == share_of(steps, 40) == round(0.4 * steps)
    assert duration_name(100, True) == "S-S"
    assert duration_name(100, False) == "S-S-no-sem"


def test_probed_checkpoints_are_kept_by_their_tokenizer():
    params = full()
    for generator in params.generators.values():
        if generator.checkpoint != "final":
            assert generator.checkpoint in params.tokenizer_training(generator.tokenizer).keep_steps


def test_checkpoints_are_the_steps_that_are_kept():
    params = full()
    kept = params.tokenizer_training("B-L").keep_steps
    assert checkpoints(params, "B-L") == kept
    assert len(kept) == 3
    assert checkpoints(params, "S-S") == ()
    assert checkpoints(params, "Z-Z") == ()


def test_building_full_leaves_core_as_it_was():
    before = repr(CORE_TOKENIZERS)
    suite_entries("full")
    assert repr(CORE_TOKENIZERS) == before


def test_unknown_suite_is_refused():
    with pytest.raises(ConfigError, match="'all' is unknown: choose one of core, full"):
        suite_entries("all")


def test_paper_values_come_out_as_printed():
    assert printed_rows(2)["S-L"] == {"rfid": 0.83, "lpips": 0.206, "gfid": 5.19, "lin_acc": 60.6}
    assert printed_rows(7)["0.50"]["rfid"] == 1.22
    assert printed_rows(5)["3"]["lin_acc"] == 61.9
    assert printed_rows(10)["GigaTok-XL-XXL, LlamaGen-XXL (1d)"]["recall"] == 0.62
    assert printed_rows(3)["GigaTok-B-L (dino-disc), LlamaGen-B (1d)"] == {"rfid": 0.51, "gfid": 3.33, "lin_acc": 67.7}


def test_no_printed_system_is_lost():
    table = load_claims()["table3"]
    printed = [each for kind in ("continuous", "discrete") for entry in table[kind] for each in entry["generators"]]
    assert len(other_systems(3)) == len(printed)
    assert without_guidance(3) == without_guidance(10) == {
        "GigaTok-B-L, LlamaGen-XXL (1d)", "GigaTok-XL-XXL, LlamaGen-XXL (1d)",
    }  # fmt: skip


def test_rows_read_their_own_recipes_where_the_profile_has_them():
    paper = full("paper")
    rows = {(table.number, line.label): line.runs(paper) for table in TABLES for line in table.lines}
    assert rows[2, "S-B"] == ("S-B-100ep", "S-B-100ep")
    assert rows[6, "DINOv2-B"] == ("S-B-dinov2", "S-B-dinov2")
    for number in (3, 10):
        assert rows[number, "GigaTok-S-B, LlamaGen-B (1d)"] == ("S-B", "S-B-GPT-B")
        assert rows[number, "GigaTok-XL-XXL, LlamaGen-XXL (1d)"] == ("XL-XXL", "XL-XXL-GPT-XXL")
        dino = rows[number, "GigaTok-B-L (dino-disc), LlamaGen-B (1d)"]
        assert dino == ("B-L-dino-disc", "B-L-dino-disc-GPT-B")
        assert set(dino) <= {*paper.tokenizers, *paper.generators}
    nano = full()
    assert {line.runs(nano) for table in TABLES for line in table.lines if line.label == "S-B"} == {("S-B", "S-B")}
