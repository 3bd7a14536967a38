"""Networks on a GPU against the same on the CPU."""

from __future__ import annotations

import pytest
import torch

from gigatok.models.sizes import build_tokenizer
from gigatok.runtime.device import allow_tf32, autocast, full_precision


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_tokens_and_images_of_the_paper_s_smallest(cuda: torch.device, images: torch.Tensor) -> None:
    torch.manual_seed(0)
    tokenizer = build_tokenizer("S-S").eval()
    with torch.inference_mode():
        expected, decoded = tokenizer.encode_continuous(images), tokenizer.decode(torch.arange(512).view(2, 256))
        tokenizer.to(cuda)
        allow_tf32(True)
        with full_precision():
            found = tokenizer.encode_continuous(images.to(cuda)).cpu()
            again = tokenizer.decode(torch.arange(512, device=cuda).view(2, 256)).cpu()
        rounded = tokenizer.encode_continuous(images.to(cuda)).cpu()
        allow_tf32(False)
        with autocast(cuda, "bf16"):
            half = tokenizer.encode_continuous(images.to(cuda)).float().cpu()
    errors = [float((each - expected).norm() / expected.norm()) for each in (found, rounded, half)]
    assert errors[0] < 1e-4
    assert errors[0] * 3 < errors[1] < 0.05  # TF32 was off in the block, and is on outside
    assert errors[2] < 0.2
    torch.testing.assert_close(again, decoded, rtol=1e-3, atol=1e-3)
