"""Elementwise functions where PyTorch's samples do not look: digits, limits, memory, and functions that write.

Owns: what is particular to them. May import: the public API, NumPy, SciPy. Must not know: how anything is computed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

import wengert as torch
from wengert import Tensor


def slopes(function: object, value: float, count: int = 2) -> list[float]:
    """Return the derivatives of a function at a number, in float64."""
    x = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    y, found = function(x), []  # type: ignore[operator]
    for _ in range(count):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        found.append(y.item())
    return found


@pytest.mark.parametrize("at", [0.0, 1e-8, 1e-3, 0.07, 0.08, 0.5, 3.0])
def test_sinc_keeps_its_digits_near_0(at: float) -> None:
    """The quotient (cos(u) - sin(u) / u) / u has none left there, and no value at all at 0."""
    u = math.pi * at
    first = -math.pi * scipy.special.spherical_jn(1, u)
    second = -(math.pi**2) * scipy.special.spherical_jn(1, u, derivative=True)
    assert slopes(torch.sinc, at) == pytest.approx([first, second], rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("name, first, second", [("i1", 0.5, 0.0), ("bessel_j1", 0.5, 0.0), ("i0", 0.0, 0.5)])
def test_bessel_functions_have_their_limits_at_0(name: str, first: float, second: float) -> None:
    assert slopes(getattr(torch.special, name), 0.0) == [first, second]


def test_parts_of_complex_numbers_are_views() -> None:
    z = torch.tensor([1 + 2j, 3 - 4j])
    z.real.mul_(10)
    z.imag = torch.tensor([5.0, 6.0])
    torch.view_as_real(z)[0, 1] = 7.0
    torch.view_as_complex(torch.view_as_real(z))[1] = 1j
    assert z.tolist() == [10 + 7j, 1j]
    x = torch.tensor([1.0])
    assert x.real is x
    with pytest.raises(RuntimeError, match="non-complex"):
        x.imag  # noqa: B018


def test_a_gradient_flows_through_a_part_that_was_written() -> None:
    z = torch.tensor([3 + 1j], requires_grad=True)
    y = torch.tensor([4.0], requires_grad=True)
    made = z * 1
    made.imag = y
    made.abs().sum().backward()
    assert z.grad.tolist() == [pytest.approx(0.6)]
    assert y.grad.tolist() == [pytest.approx(0.8)]


def test_the_absolute_value_of_a_complex_number_has_a_second_gradient() -> None:
    """By differences of the first: |x + iy| has the Hessian of hypot."""
    parts = torch.tensor([[3.0, 4.0], [-1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(torch.view_as_complex(parts).abs().sum(), parts, create_graph=True)
    (second,) = torch.autograd.grad(first[:, 0].sum(), parts)
    x, y = parts.detach().numpy().T
    size = np.hypot(x, y)
    np.testing.assert_allclose(second.numpy(), np.stack([y * y, -x * y], 1) / size[:, None] ** 3, 1e-14)


def test_many_elements_and_few_give_the_same_numbers() -> None:
    """Large arrays take another road through the array module."""
    special = [0.0, -0.0, 1.0, -2.5, 1000.0, math.inf, -math.inf, math.nan]
    few = torch.tensor([[a, b] for a in special for b in special], dtype=torch.float64)
    many = few.repeat(10, 1)
    for name in ("logaddexp", "logaddexp2", "fmod"):
        function = getattr(torch, name)
        a, b = function(few[:, 0], few[:, 1]).repeat(10).numpy(), function(many[:, 0], many[:, 1]).numpy()
        np.testing.assert_allclose(a, b, 1e-15, err_msg=name)
        assert (np.signbit(a) == np.signbit(b))[~np.isnan(a)].all()


def test_integers_to_negative_integer_powers_round_towards_0() -> None:
    base, exponent = torch.tensor([2, 1, -1, -1, 0, 3]), torch.tensor([-1, -5, -2, -3, -1, 2])
    assert (base**exponent).tolist() == [0, 1, 1, -1, 0, 9]
    assert (base.to(torch.int32) ** exponent.to(torch.int32)).dtype is torch.int32


@pytest.mark.parametrize("name", ["maximum", "atan2", "logical_and", "fmax", "gcd", "nextafter"])
def test_a_number_is_no_tensor(name: str) -> None:
    x = torch.tensor([1, 2])
    for arguments in ((x, 2), (2, x)):
        with pytest.raises(TypeError, match=name):
            getattr(torch, name)(*arguments)


def test_functions_with_an_underscore_write_to_their_argument() -> None:
    x = torch.tensor([4.0, math.nan])
    assert torch.nan_to_num_(torch.sqrt_(x)) is x
    assert x.tolist() == [2.0, 0.0]
    assert isinstance(torch.clamp_(x, max=1), Tensor) and x.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("weight", [0.5, 0.75, 1, 1.0])
def test_lerp_starts_from_the_nearer_end(weight: float) -> None:
    """A step from 1e8 to 1 has lost the 1: at weight 1 there must be nothing left of the start."""
    start, end = torch.tensor([1e8, 1.0]), torch.tensor([1.0, 1e8])
    wanted = np.float32([(1 - weight) * 1e8 + weight, (1 - weight) + weight * 1e8]).tolist()
    assert start.lerp(end, weight).tolist() == wanted
    assert start.clone().lerp_(end, weight).tolist() == wanted
