import pytest
import yaml

from gigatok.config import Params, parse_params
from gigatok.config.profiles import render
from gigatok.tracking.run_info import flatten, generator_info, tokenizer_info


@pytest.fixture(scope="module")
def params() -> Params:
    return parse_params(yaml.safe_load(render("smoke")))


def test_a_tokenizer_run_can_be_filtered_and_plotted_by_size(params: Params) -> None:
    name = next(iter(params.tokenizers))
    model = params.tokenizer_model(name, alignment_dim=8)
    info = tokenizer_info(name, params, model, 1234)
    assert (info.suite_run, info.kind, info.name) == (f"{params.profile}-{params.suite}", "tokenizer", name)
    assert info.metrics == {"parameters": 1234.0}
    assert info.tags["encoder"] == params.tokenizers[name].encoder
    flat = flatten(info.params)
    assert flat["seed"] == str(params.training_seed("tokenizer", name))
    assert flat["teacher"] == params.tokenizer_teacher(name).name
    assert flat["model.image_size"] == str(params.prepare.image_size)
    assert flat["model.codebook_size"] == str(model.codebook_size)
    assert flat["loss.discriminator.kind"] == "patchgan"
    assert not [key for key in flat if key.endswith("codebook_size")][1:]  # the settings do not repeat the shape


def test_a_generator_run_also_says_how_large_its_tokenizer_is(params: Params) -> None:
    name = next(iter(params.generators))
    model = params.generator_model(name, tokens=16, codebook_size=64, classes=9)
    info = generator_info(name, params, model, 10, 20)
    assert info.metrics == {"parameters": 10.0, "tokenizer_parameters": 20.0}
    assert info.tags["tokenizer"] == params.generators[name].tokenizer


def test_models_are_logged_where_the_setting_says_so_and_never_those_of_checkpoints() -> None:
    values = yaml.safe_load(render("smoke"))
    for setting, wanted in ((None, False), ("never", False), ("finished", True)):
        values["tracking"] = {"models": setting} if setting else {}
        values["tokenizers"]["B-L"].setdefault("overrides", {})["keep_steps"] = [6]
        values["generators"]["early"] = {"tokenizer": "B-L", "checkpoint": 6}
        params = parse_params(values)
        tokenizer = tokenizer_info("S-S", params, params.tokenizer_model("S-S", alignment_dim=8), 1)
        ar = params.generator_model("S-S", tokens=16, codebook_size=64, classes=9)
        told = [tokenizer, *(generator_info(name, params, ar, 1, 1) for name in ("S-S", "early"))]
        assert [each.described()["log_model"] for each in told] == [wanted, wanted, False]
