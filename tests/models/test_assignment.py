"""Nearest codes and entropy against the definition that keeps the whole matrix."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from gigatok.models import assignment
from gigatok.models.assignment import entropy_of_assignment, nearest_codes


def by_definition(vectors: Tensor, codes: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """SPEC section 3, written out."""
    distances = (vectors[:, None] - codes[None]).square().sum(-1)
    logits = -distances / temperature
    shares, logs = logits.softmax(1), logits.log_softmax(1)
    mean = shares.mean(0)
    entropy = -(shares * logs).sum(1).mean() + (mean * torch.log(mean + 1e-5)).sum()
    return distances.argmin(1), entropy


def example(n: int = 50, codes: int = 64, normalise: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pair = (torch.randn(k, 5, generator=generator, dtype=torch.float64) for k in (n, codes))
    vectors, table = (F.normalize(x, dim=1) if normalise else x for x in pair)
    return vectors.requires_grad_(), table.requires_grad_()


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("codes", [64, 65])
@pytest.mark.parametrize("temperature", [0.01, 0.5])
def test_value_indices_and_gradients(normalise: bool, codes: int, temperature: float) -> None:
    vectors, table = example(codes=codes, normalise=normalise)
    indices, entropy = entropy_of_assignment(vectors, table, temperature)
    wanted_indices, wanted = by_definition(vectors, table, temperature)
    assert torch.equal(indices, wanted_indices)
    assert torch.equal(nearest_codes(vectors, table), wanted_indices)
    torch.testing.assert_close(entropy, wanted)
    found = torch.autograd.grad(3 * entropy, (vectors, table))
    torch.testing.assert_close(found, torch.autograd.grad(3 * wanted, (vectors, table)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("elements", [1, 64 * 7, 64 * 50])
def test_the_size_of_chunks_does_not_matter(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, table = example()
    whole = entropy_of_assignment(vectors, table, 0.01)
    gradients = torch.autograd.grad(whole[1], (vectors, table))
    monkeypatch.setitem(assignment.CHUNK_ELEMENTS, "cpu", elements)
    indices, entropy = entropy_of_assignment(vectors, table, 0.01)
    assert torch.equal(indices, whole[0])
    torch.testing.assert_close(entropy, whole[1])
    torch.testing.assert_close(torch.autograd.grad(entropy, (vectors, table)), gradients)


def test_what_a_single_chunk_keeps_serves_a_second_backward_pass() -> None:
    vectors, table = example()
    _, entropy = entropy_of_assignment(vectors, table, 0.01)
    first = torch.autograd.grad(entropy, (vectors, table), retain_graph=True)
    assert all(map(torch.equal, torch.autograd.grad(entropy, (vectors, table)), first))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 40),
    codes=st.sampled_from([1, 2, 63, 64, 65, 128, 320]),
    width=st.integers(1, 9),
    temperature=st.sampled_from([0.01, 0.1, 1.0]),
    normalise=st.booleans(),
    kind=st.sampled_from([torch.float32, torch.float64]),
    elements=st.sampled_from([1, 700, 2**18]),
    seed=st.integers(0, 1000),
)
def test_blocks_are_the_definition_for_any_shape(
    n: int, codes: int, width: int, temperature: float, normalise: bool, kind: torch.dtype, elements: int, seed: int
) -> None:
    """Near a tie float32 may take the other code, and a share that decides a gradient has float32's rounding."""
    generator = torch.Generator().manual_seed(seed)
    pair = [torch.randn(k, width, generator=generator, dtype=torch.float64) for k in (n, codes)]
    exact = [(F.normalize(x, dim=1) if normalise else x).requires_grad_() for x in pair]
    rounded = [x.detach().to(kind).requires_grad_() for x in exact]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(assignment.CHUNK_ELEMENTS, "cpu", elements)
        indices, entropy = entropy_of_assignment(rounded[0], rounded[1], temperature)
        found = torch.autograd.grad(entropy, rounded)
        assert torch.equal(nearest_codes(rounded[0], rounded[1]), indices)
    close = 1e-9 if kind == torch.float64 else 1e-5
    _, wanted = by_definition(exact[0], exact[1], temperature)
    distances = torch.cdist(exact[0], exact[1]).square().detach()
    chosen = distances.gather(1, indices.unsqueeze(1)).squeeze(1)
    largest = float(distances.max())
    assert (chosen - distances.min(1).values).max() <= close * largest
    relative = close * (1 + largest / temperature)
    torch.testing.assert_close(entropy.double(), wanted, rtol=relative, atol=relative)
    for ours, definition in zip(found, torch.autograd.grad(wanted, exact), strict=True):
        scale = max(1.0, float(definition.abs().max()))
        torch.testing.assert_close(ours.double() / scale, definition / scale, rtol=0, atol=10 * relative)


def test_equal_codes_give_the_first() -> None:
    table = torch.zeros(128, 2)
    assert nearest_codes(torch.ones(3, 2), table).tolist() == [0, 0, 0]
    table[70] = table[100] = torch.ones(2)
    assert nearest_codes(torch.ones(3, 2), table).tolist() == [70, 70, 70]


def test_no_vectors_have_no_codes() -> None:
    assert nearest_codes(torch.zeros(0, 2), torch.ones(4, 2)).shape == (0,)


@pytest.mark.parametrize(("n", "most"), [(500, 3 * assignment.CHUNK_ELEMENTS["cpu"]), (5000, 5000 * 64 // 4)])
def test_forward_keeps_no_more_than_one_chunk_for_backward(n: int, most: int) -> None:
    saved = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal saved
        saved += tensor.numel()
        return tensor

    vectors, table = example(n=n)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        entropy_of_assignment(vectors, table, 0.01)
    assert 0 < saved < most
