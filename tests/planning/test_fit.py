"""What does not fit is said before anything starts, with the setting that makes it fit."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from gigatok.config import Params, parse_params
from gigatok.config.profiles import render
from gigatok.planning.fit import GIB, SMALL_FLOPS, heaviest, large_runs, too_large
from gigatok.planning.flops import generator_flops, tokenizer_flops
from gigatok.planning.remedies import remedy
from gigatok.planning.spread import Hardware, spread_runs


def nano(batch_size: int | None = None) -> Params:
    params = parse_params(yaml.safe_load(render("nano", "core")))
    if batch_size is None:
        return params
    training = params.train_tokenizer
    discriminator = training.loss.discriminator.replace(start_step=1)
    loss = training.loss.replace(adversarial_weight=0.1, discriminator=discriminator)
    return params.replace(
        train_tokenizer=training.replace(batch_size=batch_size, loss=loss),
        tokenizers={"S-S": params.tokenizers["S-S"]},
        generators={},
    )


def paper(**launch: object) -> Params:
    values = yaml.safe_load(render("paper", "core"))
    return parse_params({**values, "launch": {**values["launch"], **launch}})


def test_small_profiles_cost_nothing():
    code = (
        "import sys, yaml\n"
        "from gigatok.config import parse_params\n"
        "from gigatok.config.profiles import render\n"
        "from gigatok.planning.fit import too_large\n"
        "from gigatok.planning.spread import Hardware\n"
        "for profile in ('smoke', 'nano', 'mini'):\n"
        "    for suite in ('core', 'full'):\n"
        "        params = parse_params(yaml.safe_load(render(profile, suite)))\n"
        "        assert too_large(params, Hardware(2 * 1024**3, 0)) == []\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_run_of_the_paper_is_looked_at():
    params = parse_params(yaml.safe_load(render("paper", "core")))
    for name in params.tokenizers:
        assert tokenizer_flops(params.tokenizer_model(name, alignment_dim=1)) > SMALL_FLOPS
    model = params.generator_model("S-S", tokens=256, codebook_size=16384, classes=1000)
    assert generator_flops(model) * 256 > SMALL_FLOPS


def test_the_setting_that_is_named_makes_it_fit():
    machine = Hardware(4 * GIB, 0)
    (line,) = too_large(nano(2048), machine)

    assert re.match(r"tokenizer S-S needs \d+\.\d GiB for a pass over 2048 images, free memory is 3\.1 GiB", line)
    assert line.endswith(": set launch.recompute to blocks")  # a discriminator that sees the whole batch still does
    assert too_large(nano(2048).replace(launch={"recompute": "blocks"}), machine) == []


def test_the_largest_of_each_strategy_is_looked_at_as_training_will_spread_it():
    """XL-XXL is sharded over GPUs of 80 GB, L-XL is not: what fits in shards says nothing of a whole model."""
    params = paper(processes="auto")
    teachers = {"S-B-clip", "S-B-siglip"}  # larger networks than the others' DINOv2-B
    for hardware, expected in (
        (Hardware(80 * GIB, 8), {"XL-XXL": "fsdp", "L-XL": "ddp", "B-L-simple": "ddp"}),  # it has no shortcut either
        (Hardware(200 * GIB, 8), {"XL-XXL": "ddp", "L-XL": "ddp"}),
        (Hardware(80 * GIB, 1), {"XL-XXL": "single", "L-XL": "single"}),  # L-XL decodes twice, XL-XXL has no shortcut
        (Hardware(80 * GIB, 0), {"XL-XXL": "single", "L-XL": "single"}),
    ):
        runs = heaviest(large_runs(params, hardware, [f"train_tokenizer@{name}" for name in params.tokenizers]))
        assert {run.name: run.strategy for run in runs if run.name not in teachers} == expected
        assert teachers < {run.name for run in runs}


def test_a_small_model_that_keeps_more_is_looked_at_beside_a_large_one():
    def names(**launches: dict[str, object]) -> set[str]:
        values = paper().model_dump(mode="json")
        for name, launch in launches.items():
            values["tokenizers"][name.replace("_", "-")]["launch"] = launch
        stages = [f"train_tokenizer@{name.replace('_', '-')}" for name in launches]
        return {run.name for run in heaviest(large_runs(parse_params(values), Hardware(40 * GIB, 1), stages))}

    assert names(B_L={"micro_batch": 16, "recompute": "blocks"}, S_S={"micro_batch": 24}) == {"B-L", "S-S"}
    assert names(B_L={"micro_batch": 16}, S_S={"micro_batch": 32}) == {"B-L", "S-S"}  # neither is less in all
    assert names(B_L={"micro_batch": 16}, S_S={"micro_batch": 16}) == {"B-L"}
    assert names(B_L={"micro_batch": 16}, S_S={"micro_batch": 16, "recompute": "norms"}) == {"B-L"}
    assert names(B_L={"micro_batch": 16}, S_S={"micro_batch": 16, "stages_per_gpu": 2}) == {"B-L", "S-S"}
    assert names(L_XL={}, B_L_dino_disc={}, S_B={}, S_B_100ep={}, S_S_no_sem={}) == {"L-XL"}
    assert names(S_B={}, S_B_100ep={}) == {"S-B"}  # of equal ones the first
    assert names(S_B={}, S_B_clip={}) == {"S-B", "S-B-clip"}
    assert names(XL_XXL={}, B_L={}) == {"XL-XXL", "B-L"}  # B-L decodes its shortcut, too


@pytest.mark.parametrize(
    ("kind", "largest", "said"),
    [
        ("dino", 47, "set launch.micro_batch to 24"),
        ("dino", 15, "set launch.micro_batch to 8"),
        ("dino", 7, "not even a group of 8 images fits: use a machine with more memory, or smaller sizes"),
        ("patchgan", 7, "set launch.micro_batch to 6 (then loss.discriminator.statistics_group of S-S takes"),
    ],
)
def test_a_micro_batch_that_is_named_holds_whole_groups_of_the_dino_discriminator(kind, largest, said):
    """Its groups are of 8 images, whatever is set."""
    params = nano(48)
    training = params.train_tokenizer
    loss = training.loss.replace(discriminator=training.loss.discriminator.replace(kind=kind))
    params = params.replace(train_tokenizer=training.replace(loss=loss), launch={"recompute": "blocks"})
    (run,) = spread_runs(params, Hardware(GIB, 0), ["train_tokenizer@S-S"])
    memory = SimpleNamespace(total=lambda layout: 0 if layout.micro_batch <= largest else run.capacity + 1)
    found = remedy(run, lambda _: memory, [run])
    assert found.startswith(said)
    assert ("then" in found) == (kind == "patchgan")


def test_what_no_setting_mends_says_so():
    (line,) = too_large(nano(2048).replace(launch={"recompute": "blocks"}), Hardware(1, 0))
    assert "not even one image fits: use a machine with more memory" in line


@pytest.mark.parametrize(("named", "seen"), [("0", [1]), ("1,0", [2, 1]), (None, [1, 2]), ("7", [])])
def test_memory_of_visible_gpus(monkeypatch, tmp_path, named, seen):
    from gigatok.runtime import machine

    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 1\necho 2\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "has_cuda", lambda: True)
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert machine.gpu_memory() == [size * 1024**2 for size in seen]
