"""Help that the paper does not use is listed when, and only when, it is on."""

from __future__ import annotations

import pytest
import yaml
from fake_runs import fake_params

from gigatok.config import parse_params
from gigatok.config.profiles import render
from gigatok.paper.results.departures import aids, differences


def test_helps_that_are_on_are_listed():
    found = {each.setting: (each.ours, each.paper) for each in aids(fake_params())}
    assert found["train_tokenizer.codebook_restart"] == ("every 50 steps until step 600", "none")
    assert found["train_tokenizer.loss.l1_weight"] == ("1", "0")
    assert found["train_tokenizer.model.cnn.patch"] == ("2", "1")


def test_helps_that_are_off_are_not():
    values = fake_params().model_dump()
    training = values["train_tokenizer"]
    training["codebook_restart"]["until_step"] = 0
    training["loss"]["l1_weight"] = 0.0
    training["model"]["cnn"] |= {"patch": 1, "multipliers": [1, 2, 2]}
    assert aids(fake_params(train_tokenizer=training)) == []


def test_differences_name_data_judge_and_scale_but_nothing_equal():
    found = {each.setting: (each.ours, each.paper) for each in differences(fake_params())}
    assert found["extractor of rFID and gFID"] == ("efficientnet-lite2", "inception-2015")
    assert found["tokens an image"] == ("64", "256")
    assert found["data"][1] == "ImageNet-1k 256x256"
    assert "code dimension" not in found


def of_profile(name):
    params = parse_params(yaml.safe_load(render(name, "core")))
    return {each.setting: (each.ours, each.paper) for each in differences(params)}


def test_weights_rates_and_warm_up_are_among_the_differences():
    found = of_profile("nano")
    assert found["perceptual weight"] == ("0.05", "1")
    assert found["adversarial weight"] == ("none: tokenizers are trained without an adversary", "0.5")
    assert found["tokenizer learning-rate warm-up"] == ("50 steps", "0 to 5,000 steps")
    assert found["AR base learning rate"] == ("0.002", "0.0001")
    assert found["AR learning-rate warm-up"] == ("50 steps", "0 to 5,000 steps")


def test_depths_search_and_probe_are_among_the_differences():
    found = of_profile("nano")
    assert found["transformer blocks, S to XXL"] == ("4, 4, 5, 6, 8", "6, 12, 24, 36, 48")
    assert found["aligned decoder layer of S"] == ("3 of 4", "3 of 6")
    assert found["guidance search"] == ("scales 1, 1.5, 2", "hill climb in steps of 0.25")
    assert found["linear probe"] == ("logistic regression to convergence (L-BFGS)", "LARS")


def test_the_share_of_steps_with_an_adversary_is_among_the_differences():
    training = fake_params().model_dump()["train_tokenizer"]
    training["loss"]["discriminator"]["start_step"] = round(0.8 * training["steps"])
    found = {each.setting: (each.ours, each.paper) for each in differences(fake_params(train_tokenizer=training))}
    assert found["adversary takes part in"] == ("the last 20% of steps", "the last 98% of steps")


@pytest.mark.parametrize("change", [{"adversarial_weight": 0.0}, {"discriminator": {"start_step": 2280}}])
def test_training_without_an_adversary_is_said_in_words(change):
    training = fake_params().model_dump()["train_tokenizer"]
    training["loss"]["discriminator"]["start_step"] = 500
    params = fake_params(train_tokenizer=training)
    assert "adversarial weight" not in {each.setting for each in differences(params)}
    training["loss"] |= change
    found = {each.setting: each.ours for each in differences(fake_params(train_tokenizer=training))}
    assert found["adversarial weight"] == "none: tokenizers are trained without an adversary"


def test_the_papers_own_profile_differs_in_no_setting():
    assert set(of_profile("paper")) == {"data", "tokenizer steps x batch", "AR steps x batch"}
