"""Profiles: every one gives a valid params.yaml for every suite, and ``paper`` is the paper's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gigatok.config import RUNGS, ConfigError, Params, parse_params
from gigatok.config.experiments import recipe_steps, suite_entries
from gigatok.config.profiles import PROFILES, profile_text, render
from gigatok.config.sections import TrainTokenizerSection
from gigatok.data import prepare
from gigatok.models import AR_MODELS, TOKENIZERS, Tokenizer
from gigatok.paper.printed import load_claims
from gigatok.paper.results.departures import aids

ROOT = Path(__file__).parents[2]
SUITES = ("core", "full")
EPOCH = 1_280_000
"""Images (SPEC section 7)."""


@cache
def params_of(profile: str, suite: str = "core") -> Params:
    """What ``gigatok-bench profile`` writes, read back."""
    return parse_params(yaml.safe_load(render(profile, suite, *suite_entries(suite, profile))))


def paper(tokenizer: str) -> TrainTokenizerSection:
    """Training of a tokenizer of suite full at paper scale."""
    return params_of("paper", "full").tokenizer_training(tokenizer)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid_with_every_suite(profile: str, suite: str) -> None:
    params = params_of(profile, suite)
    assert (params.profile, params.suite) == (profile, suite)
    for rung in RUNGS.values():
        assert params.tokenizer_model(rung, alignment_dim=8)
        assert params.generators[rung].tokenizer == rung
    assert set(params.tokenizers) <= set(params.generators)


def test_the_committed_parameters_are_profile_nano() -> None:
    assert (ROOT / "params.yaml").read_text() == render("nano", "core", *suite_entries("core", "nano"))


def test_comments_come_along_and_the_profiles_own_keys_do_not() -> None:
    text = render("paper")
    assert "# table 9: 200 epochs" in text
    assert not {"per_tokenizer", "more_tokenizers", "per_generator", "more_generators"} & set(yaml.safe_load(text))
    assert "What follows is not part" not in text


def test_unknown_profiles_list_the_known() -> None:
    with pytest.raises(ConfigError, match="'giga' is unknown: choose one of smoke, nano, mini, paper"):
        render("giga")


def test_rendering_leaves_the_suites_entries_alone() -> None:
    entries, generators = suite_entries("full", "paper")
    before = repr((entries, generators))
    render("paper", "full", entries, generators)
    assert repr((entries, generators)) == before


@pytest.mark.parametrize("profile", ["smoke", "nano", "mini"])
def test_sizes_rise_in_the_papers_order(profile: str) -> None:
    params = params_of(profile)
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in Tokenizer(params.tokenizer_model(name, alignment_dim=320)).parameters())
            for name in ("S-S", "S-B", "S-L", "B-L", "L-XL", "XL-XXL")
        ]
    assert counts == sorted(set(counts))
    steps = {params.tokenizer_training(name).steps for name in RUNGS.values()}
    assert len(steps) == 1


def test_mini_is_larger_than_nano() -> None:
    mini, nano = params_of("mini"), params_of("nano")
    assert mini.prepare.image_size == 64 > nano.prepare.image_size
    assert mini.train_generator.steps > nano.train_generator.steps
    assert mini.train_tokenizer.model.cnn.channels > nano.train_tokenizer.model.cnn.channels
    for size, small in nano.train_tokenizer.model.sizes.items():
        assert mini.train_tokenizer.model.sizes[size].width >= small.width
    assert mini.train_tokenizer.model.sizes["XXL"].width > nano.train_tokenizer.model.sizes["XXL"].width


@pytest.mark.parametrize("profile", ["smoke", "nano", "mini", "paper"])
def test_2d_tokens_are_as_many_as_1d_ones(profile: str) -> None:
    params = params_of(profile, "full")
    counts = {params.tokenizer_model(f"B-L{layout}", alignment_dim=8).tokens for layout in ("", "-2d")}
    assert len(counts) == 1


# --- profile paper ---


@pytest.mark.parametrize("name", sorted(load_claims()["official_code_params"]["tokenizer"]))
def test_paper_sizes_have_the_official_totals(name: str) -> None:
    config = params_of("paper", "full").tokenizer_model(name, alignment_dim=768)
    assert config.tokens == 256
    assert config.replace(num_tokens=None) == TOKENIZERS[name]
    with torch.device("meta"):
        total = sum(p.numel() for p in Tokenizer(config).parameters())
    assert total == load_claims()["official_code_params"]["tokenizer"][name]


@pytest.mark.parametrize("column", range(5))
def test_tokenizers_follow_table_9(column: int) -> None:
    table: dict[str, Any] = load_claims()["table9"]
    name = table["columns"][column]
    training, config = paper(name), params_of("paper").tokenizer_model(name, alignment_dim=768)
    assert training.batch_size == table["batch_size"][column]
    assert training.steps * training.batch_size == table["epochs"][column] * EPOCH
    assert training.optimizer.warmup_steps == table["warmup_iterations"][column]
    assert training.loss.entropy_weight == table["entropy_weight"][column]
    for part, size in (("encoder", config.encoder), ("decoder", config.decoder)):
        assert [table[f"{part}_{key}"][column] for key in ("depth", "heads", "dim")] == [
            size.depth,
            size.heads,
            size.width,
        ]
    common, optimizer = table["common"], training.optimizer
    assert (config.codebook_size, config.codebook_dim) == (common["codebook_size"], common["codebook_dim"])
    assert (config.tokens, config.alignment_layer) == (common["num_tokens"], common["align_layer"])
    assert (optimizer.schedule, optimizer.learning_rate) == (common["lr_schedule"], common["base_lr"])
    assert optimizer.min_learning_rate == common["min_lr"]
    assert optimizer.betas == (common["beta1"], common["beta2"])


def test_weights_steps_and_networks_of_the_tokenizers_losses() -> None:
    for name in ("S-S", "S-B", "B-L", "S-S-2d", "S-B-2d", "B-L-2d"):
        loss = paper(name).loss
        assert loss.shortcut is not None
        assert (loss.shortcut.image_end_step, loss.shortcut.feature_end_step) == (15_000, 15_000)
        assert (loss.shortcut.image_weight, loss.shortcut.feature_weight) == (1, 1)
    assert paper("XL-XXL").loss.shortcut is None
    loss = paper("B-L").loss
    assert (loss.l2_weight, loss.l1_weight, loss.perceptual_weight, loss.perceptual_network) == (1, 0, 1, "vgg16")
    assert (loss.adversarial_weight, loss.discriminator_weight, loss.semantic_weight) == (0.5, 0.5, 0.5)
    assert (loss.codebook_weight, loss.commitment_weight, loss.entropy_temperature) == (1, 0.25, 0.01)
    assert (loss.discriminator.kind, loss.discriminator.start_step) == ("patchgan", 20_000)
    assert (loss.discriminator.channels, loss.discriminator.layers) == (64, 3)
    optimizer = paper("B-L").optimizer
    assert (optimizer.weight_decay, optimizer.decay_all_parameters, optimizer.gradient_clip) == (1e-4, True, 10)
    assert paper("B-L").model.quantizer_gradient == "rotation"
    assert (paper("B-L").ema_decay, paper("B-L").token_crops) == (0, "ten-crop")


def test_variants_train_as_their_size_does() -> None:
    for variant, base in (
        ("S-S-no-sem", "S-S"),
        ("S-S-layer2", "S-S"),
        ("S-S-weight100", "S-S"),
        ("S-B-2d", "S-B"),
        ("B-L-no-sem", "B-L"),
        ("XL-XXL-no-entropy", "XL-XXL"),
    ):
        ours, theirs = paper(variant), paper(base)
        assert (ours.steps, ours.batch_size, ours.optimizer) == (theirs.steps, theirs.batch_size, theirs.optimizer)
    assert paper("XL-XXL-no-entropy").loss.entropy_weight == 0
    assert paper("XL-XXL-no-entropy").loss.shortcut is None
    assert paper("B-L-2d").loss.entropy_weight == 0.005
    assert paper("S-S-2d").loss.entropy_weight == 0


def test_durations_and_checkpoints_are_shares_of_each_sizes_recipe() -> None:
    assert recipe_steps("paper", "S-S") == paper("S-S").steps
    assert paper("S-S-40pct").steps * paper("S-S-40pct").batch_size == 40 * EPOCH
    assert paper("S-S-120pct-no-sem").steps * paper("S-S-120pct-no-sem").batch_size == 120 * EPOCH
    assert paper("XL-XXL").keep_steps == tuple(paper("XL-XXL").steps * percent // 100 for percent in (25, 50, 75))


def test_the_simpler_recipe() -> None:
    simple, base = paper("B-L-simple"), paper("B-L")
    assert (simple.steps, simple.batch_size) == (base.steps, base.batch_size)
    assert simple.model.quantizer_gradient == "straight-through"
    assert (simple.loss.entropy_weight, simple.optimizer.warmup_steps) == (0.005, 5_000)
    assert simple.loss.shortcut is not None
    assert (simple.loss.shortcut.image_end_step, simple.loss.shortcut.feature_end_step) == (0, 15_000)


def test_the_dino_discriminator_has_its_own_start() -> None:
    dino, base = paper("B-L-dino-disc"), paper("B-L")
    assert (dino.loss.discriminator.kind, dino.loss.discriminator.start_step) == ("dino", 80_000)
    assert dino.replace(loss=base.loss, keep_steps=base.keep_steps) == base


def test_the_s_b_of_table_2_has_half_the_epochs() -> None:
    assert paper("S-B-100ep").steps * paper("S-B-100ep").batch_size == 100 * EPOCH
    assert paper("B-S").steps * paper("B-S").batch_size == 100 * EPOCH
    assert paper("S-B").steps == 2 * paper("S-B-100ep").steps


@pytest.mark.parametrize("size", ["GPT-B", "GPT-XL", "GPT-XXL"])
def test_generators_follow_table_8(size: str) -> None:
    params, table = params_of("paper", "full"), load_claims()["table8"]
    training = params.generator_training(f"B-L-{size}")
    recipe, letter = table["training"], size.removeprefix("GPT-")
    assert params.generators[f"B-L-{size}"].size == size
    assert training.batch_size == recipe["batch_size"][letter]
    assert training.steps * training.batch_size == recipe["epochs"] * EPOCH
    optimizer = training.optimizer
    assert optimizer.warmup_steps * training.batch_size == recipe["warmup_epochs"] * EPOCH
    assert (optimizer.schedule, optimizer.decay_fraction) == (recipe["lr_schedule"], recipe["decay_ratio"])
    assert (optimizer.learning_rate, optimizer.betas) == (recipe["base_lr"], (0.9, 0.95))
    assert (optimizer.weight_decay, optimizer.decay_all_parameters, optimizer.gradient_clip) == (0.05, False, 1)
    assert params.generator_model(f"B-L-{size}", tokens=256, codebook_size=16384, classes=1000) == AR_MODELS[size]


def test_paper_samples_in_half_precision() -> None:
    params = params_of("paper", "full")
    assert {params.generator_evaluation(name).precision for name in params.generators} == {"bf16"}
    assert params_of("mini").evaluate_generator.precision == "fp32"


@pytest.mark.parametrize("name", ["S-S", "XL-XXL", "B-L-no-sem", "B-L-step250000"])
def test_ar_probes_train_50_epochs_at_a_constant_rate(name: str) -> None:
    params, protocol = params_of("paper", "full"), load_claims()["protocol"]["ar_probing"]
    training = params.generator_training(name)
    assert params.generators[name].size == f"GPT-{protocol['model']}"
    assert (training.steps, training.batch_size) == (250_000, 256)
    assert training.steps * training.batch_size == protocol["epochs"] * EPOCH
    assert (training.optimizer.schedule, training.optimizer.warmup_steps) == ("constant", 0)
    assert params.evaluate_generator.cfg_schedule == protocol["cfg_schedule"]


@pytest.mark.parametrize(
    ("name", "schedule", "begin", "start"),
    [
        ("B-L", "constant", 0.0, 2.0),
        ("XL-XXL", "constant", 0.0, 1.75),
        ("XL-XXL-no-entropy", "constant", 0.0, 1.75),
        ("S-S-GPT-B", "step", 0.18, 2.5),
        ("XL-XXL-GPT-B", "step", 0.18, 2.5),
        ("B-L-GPT-XXL", "step", 0.18, 1.25),
        ("XL-XXL-GPT-XXL", "step", 0.18, 1.25),
    ],
)
def test_systems_and_probes_are_guided_as_the_papers(name: str, schedule: str, begin: float, start: float) -> None:
    found = params_of("paper", "full").generator_evaluation(name)
    assert (found.cfg_schedule, found.cfg_start) == (schedule, begin)
    assert (found.guidance.kind, found.guidance.start) == ("zero-order", start)


def test_data_teacher_and_judge_are_the_papers() -> None:
    params = params_of("paper")
    assert (params.prepare.source, params.prepare.image_size) == ("imagefolder", 256)
    assert params.prepare.augmentation == "crop-flip"
    assert (params.teacher.name, params.teacher.image_size, params.teacher.cache) == ("dinov2-b", 224, False)
    assert (params.reference.extractor, params.evaluate_generator.samples) == ("inception-2015", 50_000)
    assert (params.evaluate_generator.probe.kind, params.evaluate_generator.cfg_scales[0]) == ("sgd", 1.0)


def test_paper_has_no_help_for_short_runs() -> None:
    params = params_of("paper")
    assert aids(params) == []
    assert params.train_tokenizer.model.initialisation == "paper"
    assert aids(params_of("nano")) != []


def test_preparing_without_imagenet_names_the_setting(tmp_path: Path) -> None:
    params = params_of("paper")
    assert params.prepare.path is None
    with pytest.raises(Exception, match=r"prepare\.path is not set") as caught:
        prepare(params.prepare, params.base, tmp_path)
    assert "\n" not in str(caught.value)


def test_paper_compiles_all_but_its_largest_tokenizer() -> None:
    params = parse_params(yaml.safe_load(render("paper", "full", seeds=(0, 1))))
    large = {name for name, entry in params.tokenizers.items() if (entry.encoder, entry.decoder) == ("XL", "XXL")}
    assert {"XL-XXL", "XL-XXL-seed1"} <= large
    assert {name for name in params.tokenizers if not params.tokenizer_launch(name).compile} == large
    assert all(params.generator_launch(name).compile for name in params.generators)


def test_every_value_of_paper_names_its_source() -> None:
    """Source: the paper (table, section), SPEC, or "ours"; of the line itself or of the mapping around it."""
    bare = []
    sourced: list[tuple[int, bool]] = []  # open mappings: indentation, whether a source stands there
    for line in profile_text("paper").split("per_tokenizer:")[0].splitlines():
        code, _, comment = line.partition("#")
        if not code.strip():
            continue
        indent = len(code) - len(code.lstrip())
        sourced = [level for level in sourced if level[0] < indent]
        known = any(word in comment for word in ("table", "SPEC", "ours", "section", "paper", "probing"))
        if code.rstrip().endswith(":"):
            sourced.append((indent, known))
        elif not known and not any(inherited for _, inherited in sourced):
            bare.append(code.strip())
    settings_of_the_machine = {"seed: 0", "device: auto", "path: null", "weights: null", "perceptual_weights: null",
                               "cache: false", "enabled: true", "experiment: gigatok-paper", "report: {}",
                               "cfg_start: 0.0"}  # fmt: skip
    assert set(bare) <= settings_of_the_machine
