"""Hinge losses: closed forms at, inside and outside the margin."""

import pytest
import torch

from gigatok.losses import hinge_discriminator_loss, hinge_generator_loss


def test_discriminator_closed_form():
    real = torch.tensor([2.0, 0.5, -1.0])  # relu(1 - x): 0, 0.5, 2
    fake = torch.tensor([[-3.0, 0.0]])  # relu(1 + x): 0, 1
    assert hinge_discriminator_loss(real, fake).item() == pytest.approx(0.5 * (2.5 / 3 + 1 / 2))


def test_an_undecided_discriminator_loses_one():
    assert hinge_discriminator_loss(torch.zeros(4, 1, 6, 6), torch.zeros(4, 1, 6, 6)).item() == 1


def test_no_gradient_past_the_margin():
    real = torch.tensor([1.5, 0.0], requires_grad=True)
    hinge_discriminator_loss(real, torch.zeros(1)).backward()
    assert real.grad.tolist() == [0.0, -0.25]


def test_generator_is_minus_the_mean():
    logits = torch.tensor([[1.0, 2.0], [-4.0, 3.0]])
    assert hinge_generator_loss(logits).item() == -0.5
