"""Closed forms against torch's own counter."""

import subprocess
import sys

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from gigatok.config import ArConfig, CnnConfig, Params, TokenizerConfig, TransformerSize, parse_params
from gigatok.config.profiles import render
from gigatok.models import ArModel, Tokenizer
from gigatok.planning.flops import attention_counters, encoder_flops, generator_flops, tokenizer_flops, training_flops

SMALL, LARGE = TransformerSize(width=16, depth=2, heads=2), TransformerSize(width=24, depth=3, heads=2)
CNN = CnnConfig(channels=8, multipliers=(1, 2, 2), encoder_blocks=2, decoder_blocks=3, latent_channels=12, groups=4)
CONFIGS = {
    "1d": TokenizerConfig(encoder=SMALL, decoder=LARGE, cnn=CNN, image_size=32, codebook_size=64, num_tokens=16),
    "1d, as many tokens as positions": TokenizerConfig(
        encoder=LARGE, decoder=SMALL, cnn=CNN, image_size=32, alignment_layer=2
    ),
    "patches": TokenizerConfig(
        encoder=SMALL,
        decoder=LARGE,
        cnn=CNN.model_copy(update={"patch": 2, "mid_blocks": 1, "encoder_blocks": 1}),
        image_size=32,
        alignment_layer=None,
    ),
    "2d plain": TokenizerConfig(
        encoder=SMALL, decoder=LARGE, cnn=CNN, image_size=32, layout="2d", block="plain", alignment_dim=5
    ),
    "2d as released": TokenizerConfig(encoder=SMALL, decoder=LARGE, cnn=CNN, image_size=32, layout="2d"),
}


def counted(function, *inputs) -> int:
    counter = FlopCounterMode(display=False, custom_mapping=dict(attention_counters()))
    with torch.no_grad(), counter:
        function(*inputs)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_tokenizers_operations_are_those_that_torch_counts(name):
    config = CONFIGS[name]
    tokenizer = Tokenizer(config, entropy_temperature=None).eval()
    images = torch.zeros(1, 3, config.image_size, config.image_size)

    assert tokenizer_flops(config) == counted(tokenizer, images)
    assert encoder_flops(config) == counted(tokenizer.encode, images)


@pytest.mark.parametrize("tokens", [1, 10])
def test_a_generators_operations_are_those_that_torch_counts(tokens):
    config = ArConfig(width=24, depth=2, heads=2, ffn_multiple_of=16, codebook_size=40, num_tokens=tokens)
    model = ArModel(config).eval()

    indices = torch.zeros(1, tokens, dtype=torch.int64)
    assert generator_flops(config) == counted(model, indices, torch.zeros(1, dtype=torch.int64))


def test_attention_is_counted_on_a_cpu_too():
    query = torch.zeros(1, 2, 6, 4)
    attend = torch.nn.functional.scaled_dot_product_attention
    with FlopCounterMode(display=False) as plain:
        attend(query, query, query)

    assert plain.get_total_flops() == 0  # why attention_counters is there: should torch learn it, drop ours
    assert counted(attend, query, query, query) == 2 * 2 * (2 * 6 * 6 * 4)  # two products for each of two heads


def nano() -> Params:
    return parse_params(yaml.safe_load(render("nano", "core")))


def test_training_takes_three_forward_passes_an_image_without_the_alignment():
    params = nano()
    config = params.tokenizer_model("S-S", alignment_dim=1).model_copy(update={"alignment_layer": None})
    section = params.train_tokenizer

    assert training_flops(params, "S-S") == 3 * tokenizer_flops(config) * section.steps * section.batch_size
    assert training_flops(params, "S-S-no-sem") == training_flops(params, "S-S")


def test_counting_loads_no_torch():
    code = (
        "import sys, yaml\n"
        "from gigatok.config import parse_params\n"
        "from gigatok.config.profiles import render\n"
        "from gigatok.planning.hours import expected_seconds\n"
        "expected_seconds(parse_params(yaml.safe_load(render('nano', 'core'))))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
