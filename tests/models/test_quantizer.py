"""The quantizer against the official code's outputs and gradients, and closed forms."""

from __future__ import annotations

from typing import Any

import formula
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from gigatok.config import GigatokError
from gigatok.losses.entropy import entropy_loss
from gigatok.models.quantizer import VectorQuantizer

CLOSE = {"atol": 3e-5, "rtol": 1e-5}
STORED = formula.outputs("losses")
GRADIENTS: list[Any] = ["straight-through", "rotation"]


def stored(gradient: str, name: str) -> Tensor:
    """A stored array; (B, C, 1, N) becomes (B, N, C)."""
    found = torch.as_tensor(STORED[f"{gradient.replace('-', '_')}_{name}"])
    return found[:, :, 0].transpose(1, 2) if found.dim() == 4 else found


def official(gradient: Any) -> tuple[VectorQuantizer, Tensor]:
    """The stored case: quantizer and input."""
    quantizer = VectorQuantizer(64, 8, gradient=gradient)
    with torch.no_grad():
        quantizer.codebook.copy_(stored(gradient, "codebook"))
    return quantizer, stored(gradient, "z").clone().requires_grad_()


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_values_and_losses_are_official(gradient: Any) -> None:
    quantizer, z = official(gradient)
    out = quantizer(z)
    torch.testing.assert_close(out.z_q, stored(gradient, "zq"), **CLOSE)
    assert torch.equal(out.indices.flatten(), stored(gradient, "ids"))
    weighted = {"vq": out.codebook_loss, "commit": 0.25 * out.commitment_loss, "entropy": 0.1 * out.entropy_loss}
    for name, loss in weighted.items():
        torch.testing.assert_close(loss.double(), stored(gradient, name), **CLOSE)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_gradients_are_official(gradient: Any) -> None:
    quantizer, z = official(gradient)
    out = quantizer(z)
    found = torch.autograd.grad(out.z_q, z, stored(gradient, "upstream"), retain_graph=True)[0]
    torch.testing.assert_close(found, stored(gradient, "grad_z"), **CLOSE)
    losses = out.codebook_loss + 0.25 * out.commitment_loss + 0.1 * out.entropy_loss
    of_z, of_codebook = torch.autograd.grad(losses, (z, quantizer.codebook))
    torch.testing.assert_close(of_z, stored(gradient, "loss_grad_z"), **CLOSE)
    torch.testing.assert_close(of_codebook, stored(gradient, "loss_grad_codebook"), **CLOSE)


def textbook_losses(quantizer: VectorQuantizer, z: Tensor) -> dict[str, Tensor]:
    """Of SPEC section 3, with the whole matrix of distances, in the type of ``z``."""
    codes = F.normalize(quantizer.codebook.to(z.dtype), dim=1) if quantizer.l2_normalize else quantizer.codebook
    unit = F.normalize(z, dim=-1) if quantizer.l2_normalize else z
    distances = (unit.unsqueeze(2) - codes.to(z.dtype)).square().sum(-1)  # (B, N, K)
    nearest = codes.to(z.dtype)[distances.argmin(-1)]
    groups = distances.split(quantizer.entropy_group or len(z))
    entropies = [entropy_loss(group.flatten(0, 1), quantizer.entropy_temperature or 1.0) for group in groups]
    return {
        "codebook": (nearest - unit.detach()).square().mean(),
        "commitment": (unit - nearest.detach()).square().mean(),
        "entropy": torch.stack(entropies).mean(),
    }


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 8)),
    codes=st.sampled_from([1, 3, 64, 130]),
    temperature=st.sampled_from([0.05, 1.0]),
    group=st.sampled_from([None, 1, 2]),
    normalise=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_losses_and_gradients_are_the_textbooks_for_any_shape(
    shape: tuple[int, int, int], codes: int, temperature: float, group: int | None, normalise: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    quantizer = VectorQuantizer(
        codes, shape[2], l2_normalize=normalise, entropy_temperature=temperature, entropy_group=group
    )
    with torch.no_grad():
        quantizer.codebook.normal_()
    z = torch.randn(shape)
    results = []
    for kind in (torch.float32, torch.float64):
        inputs = z.to(kind).requires_grad_()
        if kind == torch.float32:
            out = quantizer(inputs)
            found = {"codebook": out.codebook_loss, "commitment": out.commitment_loss, "entropy": out.entropy_loss}
        else:
            found = textbook_losses(quantizer, inputs)
        gradients = torch.autograd.grad(sum(found.values()), (inputs, quantizer.codebook))
        results.append([*(value.double() for value in found.values()), *(each.double() for each in gradients)])
    for ours, textbook in zip(*results, strict=True):
        scale = max(1.0, float(textbook.detach().abs().max()))
        torch.testing.assert_close(ours / scale, textbook / scale, rtol=0, atol=2e-4)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_no_decoder_gradient_reaches_the_codebook(gradient: Any) -> None:
    quantizer, z = official(gradient)
    out = quantizer(z)
    found = torch.autograd.grad(out.z_q.square().sum() + out.z_q.sum(), quantizer.codebook, allow_unused=True)
    assert found[0] is None


def test_nearest_code_of_a_codebook_set_by_hand() -> None:
    quantizer = VectorQuantizer(3, 2)
    with torch.no_grad():
        quantizer.codebook.copy_(torch.tensor([[5.0, 0.0], [0.0, 0.1], [-1.0, -1.0]]))
    z = torch.tensor([[[0.2, 0.1], [0.1, 7.0], [-3.0, -1.0]]])
    out = quantizer(z)
    assert out.indices.tolist() == [[0, 1, 2]]
    unit = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-(0.5**0.5), -(0.5**0.5)]])
    torch.testing.assert_close(out.z_q[0], unit, atol=1e-5, rtol=0)
    assert torch.equal(quantizer.lookup(out.indices), F.normalize(quantizer.codebook, dim=1)[None])
    assert torch.equal(quantizer.search(z), out.indices)


def test_without_normalisation_distances_are_plain() -> None:
    quantizer = VectorQuantizer(2, 1, l2_normalize=False, gradient="straight-through")
    with torch.no_grad():
        quantizer.codebook.copy_(torch.tensor([[1.0], [10.0]]))
    out = quantizer(torch.tensor([[[5.0], [6.0]]]))
    assert out.indices.tolist() == [[0, 1]]
    assert out.z_q.flatten().tolist() == [1.0, 10.0]
    assert out.codebook_loss.item() == 16.0
    assert out.commitment_loss.item() == 16.0


def test_codebook_starts_on_the_unit_sphere() -> None:
    codebook = VectorQuantizer(128, 8).codebook
    torch.testing.assert_close(codebook.norm(dim=1), torch.ones(128))
    assert codebook.mean(0).abs().max() < 0.2


def test_entropy_can_be_switched_off() -> None:
    quantizer = VectorQuantizer(16, 4, entropy_temperature=None)
    z = torch.randn(1, 3, 4)
    out = quantizer(z)
    assert out.entropy_loss is None
    quantizer.entropy_temperature = 0.01
    assert quantizer(z).entropy_loss is not None
    assert torch.equal(quantizer(z).indices, out.indices)


def test_search_stays_in_fp32_under_autocast() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(4096, 8)
    z = torch.randn(4, 256, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = quantizer(z)
    assert out.z_q.dtype == torch.float32
    assert torch.equal(out.indices, quantizer(z).indices)


def test_dead_codes_become_inputs_and_living_ones_stay() -> None:
    quantizer = VectorQuantizer(6, 3)
    before = quantizer.codebook.detach().clone()
    used = torch.tensor([True, False, True, False, True, True])
    z = torch.randn(2, 5, 3)
    assert quantizer.restart_dead_codes(z, used, torch.Generator().manual_seed(1)) == 2
    after = quantizer.codebook.detach()
    assert torch.equal(after[used], before[used])
    rows = F.normalize(z.view(-1, 3), dim=1)
    for code in after[~used]:
        assert (rows - code).abs().sum(1).min() < 1e-6
    assert not torch.equal(after[1], after[3])
    assert quantizer.restart_dead_codes(z[:1, :1], torch.zeros(6, dtype=torch.bool)) == 1


def test_unknown_gradient_is_refused() -> None:
    wrong: Any = "gumbel"
    with pytest.raises(GigatokError, match="'gumbel' is unknown"):
        VectorQuantizer(4, 2, gradient=wrong)
