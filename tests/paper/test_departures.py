"""Help that the paper does not use is listed when, and only when, it is on."""

from __future__ import annotations

from fake_runs import fake_params

from gigatok.paper.departures import differences, helps


def test_helps_that_are_on_are_listed():
    found = {each.setting: (each.ours, each.paper) for each in helps(fake_params())}
    assert found["train_tokenizer.codebook_restart"] == ("every 50 steps until step 600", "none")
    assert found["train_tokenizer.loss.l1_weight"] == ("1", "0")
    assert found["train_tokenizer.model.cnn.patch"] == ("2", "1")


def test_helps_that_are_off_are_not():
    values = fake_params().model_dump()
    training = values["train_tokenizer"]
    training["codebook_restart"]["until_step"] = 0
    training["loss"]["l1_weight"] = 0.0
    training["model"]["cnn"] |= {"patch": 1, "multipliers": [1, 2, 2]}
    assert helps(fake_params(train_tokenizer=training)) == []


def test_differences_name_data_judge_and_scale_but_nothing_equal():
    found = {each.setting: (each.ours, each.paper) for each in differences(fake_params())}
    assert found["judge of rFID and gFID"] == ("efficientnet-lite2", "inception-2015")
    assert found["tokens an image"] == ("64", "256")
    assert found["data"][1] == "ImageNet-1k 256x256"
    assert "code dimension" not in found
