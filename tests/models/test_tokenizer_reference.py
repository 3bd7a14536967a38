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

pytestmark = pytest.mark.long(35)

NAMES = {"VQ_SS256": "S-S", "VQ_SS256_2d": "S-S-2d"}
SURE = 1e-5
"""Margin between the two nearest codes above which indices must be equal."""


class Case(NamedTuple):
    """A case, run once."""

    tokenizer: Tokenizer
    out: TokenizerOutput
    continuous: Tensor
    """Of the first image; ``out`` has the indices of both."""
    stored: dict[str, npt.NDArray[np.generic]]

    def error(self, found: Tensor, name: str) -> float:
        """Largest difference from what is stored, in units of the tolerance (3e-5 plus 1e-5 of the value)."""
        stored = torch.as_tensor(self.stored[name])
        assert found.shape == stored.shape
        return float(((found - stored).abs() / (3e-5 + 1e-5 * stored.abs())).max())


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    name = request.param
    tokenizer = load_tokenizer(formula.state_dict(formula.shapes(name)), NAMES[name])
    images = formula.images(2)
    with torch.no_grad():
        yield Case(tokenizer, tokenizer(images), tokenizer.encode_continuous(images[:1]), formula.outputs(name))


def test_block_follows_from_the_keys(case: Case) -> None:
    assert case.tokenizer.config.block == "qformer"
    assert sum(p.numel() for p in case.tokenizer.parameters()) == case.stored["params"]


def test_cnn_features(case: Case) -> None:
    assert case.error(case.out.encoder_map[:1, ::8], "cnn_features") < 1


def test_continuous_codes(case: Case) -> None:
    stored = torch.as_tensor(case.stored["prequant"]).flatten(2).transpose(1, 2)
    torch.testing.assert_close(case.continuous, stored[:1], atol=3e-5, rtol=1e-5)


def test_indices_wherever_the_margin_is_sure(case: Case) -> None:
    sure = case.stored["margin"] > SURE
    assert sure.sum() > 500
    assert np.array_equal(case.out.indices.flatten().numpy()[sure], case.stored["indices"][sure])


def test_decoder_features(case: Case) -> None:
    assert case.error(case.out.decoder_map[:1, ::8], "decoder_spatial") < 1


def test_alignment_features(case: Case) -> None:
    assert case.out.alignment is not None
    assert case.error(case.out.alignment[:, ::16, ::8], "distill_features") < 1


def test_reconstruction(case: Case) -> None:
    assert case.error(case.out.reconstruction[:1], "reconstruction") < 1


def test_reconstruction_from_indices(case: Case) -> None:
    indices = torch.as_tensor(case.stored["indices"]).long().view(2, -1)
    with torch.no_grad():
        assert case.error(case.tokenizer.decode(indices[:1])[:, :, ::4, ::4], "reconstruction_from_indices") < 1
