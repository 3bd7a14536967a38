"""Entropy loss: closed forms, the official value, and the quantizer's chunked computation of the same."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gigatok.losses import entropy_loss
from gigatok.models.assignment import entropy_of_assignment

REFERENCE = Path(__file__).parents[1] / "reference" / "losses.npz"


def squared_distances(z: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return torch.cdist(z.double(), codes.double()).square().float()


def test_equals_the_official_value():
    with np.load(REFERENCE) as stored:
        z = torch.from_numpy(stored["straight_through_z"])  # (B, C, 1, N)
        codes = F.normalize(torch.from_numpy(stored["straight_through_codebook"]), dim=1)
        expected = float(stored["straight_through_entropy"])  # weight 0.1 included
    vectors = F.normalize(z.flatten(2).transpose(1, 2).reshape(-1, z.shape[1]), dim=1)
    assert 0.1 * entropy_loss(squared_distances(vectors, codes)).item() == pytest.approx(expected, abs=1e-6)


def test_sure_and_even_assignments_give_minus_log_codes():
    distances = 1 - torch.eye(8)
    assert entropy_loss(distances, 0.01).item() == pytest.approx(-math.log(8), abs=1e-4)


def test_undecided_or_collapsed_assignments_give_zero():
    collapsed = torch.ones(6, 4)
    collapsed[:, 0] = 0
    assert entropy_loss(torch.ones(6, 4)).item() == pytest.approx(0, abs=1e-4)
    assert entropy_loss(collapsed).item() == pytest.approx(0, abs=1e-4)


def test_temperature_blurs():
    distances = torch.rand(16, 8)
    assert entropy_loss(distances, 0.01) < entropy_loss(distances, 1.0)


def test_agrees_with_the_quantizer_in_value_and_gradient():
    torch.manual_seed(0)
    z = F.normalize(torch.randn(50, 8), dim=1).requires_grad_()
    codes = F.normalize(torch.randn(30, 8), dim=1)
    plain = entropy_loss(z.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * z @ codes.T, 0.05)
    (expected,) = torch.autograd.grad(plain, z)
    _, chunked = entropy_of_assignment(z, codes, 0.05)
    (found,) = torch.autograd.grad(chunked, z)
    # The quantizer drops |z|^2, which no softmax notices; compare along the sphere, where both live.
    tangent = torch.eye(8) - z.detach()[:, :, None] * z.detach()[:, None, :]
    torch.testing.assert_close(chunked, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close((tangent @ found[..., None]), (tangent @ expected[..., None]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("shape", "temperature"), [((3,), 0.01), ((3, 4), 0.0)])
def test_refuses_what_has_no_meaning(shape, temperature):
    with pytest.raises(ValueError, match="temperature"):
        entropy_loss(torch.rand(shape), temperature)
