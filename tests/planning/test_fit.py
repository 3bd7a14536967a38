"""What does not fit is said before anything starts, with the setting that makes it fit."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from gigatok.config import Params, parse_params
from gigatok.config.profiles import render
from gigatok.planning import fit
from gigatok.planning.fit import GIB, SMALL_FLOPS, Hardware, too_large
from gigatok.planning.flops import generator_flops, tokenizer_flops


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


def test_small_profiles_cost_nothing():
    code = (
        "import sys, yaml\n"
        "from gigatok.config import parse_params\n"
        "from gigatok.config.profiles import render\n"
        "from gigatok.planning.fit import Hardware, too_large\n"
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
    named = re.search(r"set launch\.micro_batch to (\d+) \(then loss\.discriminator\.statistics_group of S-S", line)
    assert named is not None  # a discriminator that sees the whole batch cannot see a part of it
    fitting = int(named[1])
    assert 2048 % fitting == 0
    mended = nano(2048).replace(launch={"micro_batch": fitting})
    assert too_large(mended, machine) == []


def test_the_largest_of_each_strategy_is_looked_at_as_training_will_spread_it(monkeypatch):
    """XL-XXL is sharded over GPUs of 80 GB, L-XL is not: what fits in shards says nothing of a whole model."""
    looked_at = {}

    def note(params, run, hardware, strategy):
        looked_at[run.kind, run.name] = strategy
        return []

    monkeypatch.setattr(fit, "_problems", note)
    params = parse_params(yaml.safe_load(render("paper", "core")))
    for hardware, expected in (
        (Hardware(80 * GIB, 8), {"XL-XXL": "fsdp", "L-XL": "ddp"}),
        (Hardware(200 * GIB, 8), {"XL-XXL": "ddp"}),
        (Hardware(80 * GIB, 1), {"XL-XXL": "single"}),
        (Hardware(80 * GIB, 0), {"XL-XXL": "single"}),
    ):
        looked_at.clear()
        too_large(params.replace(launch={"processes": "auto"}), hardware)
        assert {name: how for (kind, name), how in looked_at.items() if kind == "tokenizer"} == expected


@pytest.mark.parametrize(
    ("kind", "largest", "remedy"),
    [
        ("dino", 47, "set launch.micro_batch to 24"),
        ("dino", 15, "set launch.micro_batch to 8"),
        ("dino", 7, "not even a group of 8 images fits: use a machine with more memory, or smaller sizes"),
        ("patchgan", 7, "set launch.micro_batch to 6 (then loss.discriminator.statistics_group of S-S takes"),
    ],
)
def test_a_micro_batch_that_is_named_holds_whole_groups_of_the_dino_discriminator(monkeypatch, kind, largest, remedy):
    """Its groups are of 8 images, whatever is set."""
    params = nano(48)
    training = params.train_tokenizer
    loss = training.loss.replace(discriminator=training.loss.discriminator.replace(kind=kind))
    params = params.replace(train_tokenizer=training.replace(loss=loss), launch={"recompute": "blocks"})
    machine = Hardware(GIB, 0)
    (run,) = fit._tokenizers(params, machine)
    memory = SimpleNamespace(largest_micro_batch=lambda *_: largest)
    said = fit._remedy(params, run, machine, memory, None)
    assert said.startswith(remedy)
    assert ("then" in said) == (kind == "patchgan")


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
