"""Whole paper-scale tokenizers against the official code's outputs, 3e-5 absolute plus 1e-5 relative."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import formula
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from gigatok.interop.official import load_tokenizer
from gigatok.models import Tokenizer, TokenizerOutput

NAMES = {"VQ_SS256": "S-S", "VQ_SS256_2d": "S-S-2d"}
SURE = 1e-5
"""Margin between the two nearest codes above which indices must be equal."""


class Case(NamedTuple):
    """A case, run once."""

    tokenizer: Tokenizer
    out: TokenizerOutput
    continuous: Tensor
    stored: dict[str, npt.NDArray[np.generic]]

    def check(self, found: Tensor, name: str) -> None:
        torch.testing.assert_close(found, torch.as_tensor(self.stored[name]), atol=3e-5, rtol=1e-5)


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    name = request.param
    tokenizer = load_tokenizer(formula.state_dict(formula.shapes(name)), NAMES[name])
    images = formula.images(2)
    with torch.no_grad():
        yield Case(tokenizer, tokenizer(images), tokenizer.encode_continuous(images), formula.outputs(name))


def test_block_follows_from_the_keys(case: Case) -> None:
    assert case.tokenizer.config.block == "qformer"
    assert sum(p.numel() for p in case.tokenizer.parameters()) == case.stored["params"]


def test_cnn_features(case: Case) -> None:
    case.check(case.out.encoder_map[:1, ::8], "cnn_features")


def test_continuous_codes(case: Case) -> None:
    stored = torch.as_tensor(case.stored["prequant"]).flatten(2).transpose(1, 2)
    torch.testing.assert_close(case.continuous, stored, atol=3e-5, rtol=1e-5)


def test_indices_wherever_the_margin_is_sure(case: Case) -> None:
    sure = case.stored["margin"] > SURE
    assert sure.sum() > 500
    assert np.array_equal(case.out.indices.flatten().numpy()[sure], case.stored["indices"][sure])


def test_decoder_features(case: Case) -> None:
    case.check(case.out.decoder_map[:1, ::8], "decoder_spatial")


def test_alignment_features(case: Case) -> None:
    assert case.out.alignment is not None
    case.check(case.out.alignment[:, ::16, ::8], "distill_features")


def test_reconstruction(case: Case) -> None:
    case.check(case.out.reconstruction[:1], "reconstruction")


def test_reconstruction_from_indices(case: Case) -> None:
    indices = torch.as_tensor(case.stored["indices"]).long().view(2, -1)
    with torch.no_grad():
        case.check(case.tokenizer.decode(indices[:1])[:, :, ::4, ::4], "reconstruction_from_indices")
