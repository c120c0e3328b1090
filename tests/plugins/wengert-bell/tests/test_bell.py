"""The op is right, to the second derivative, on every device of this machine."""

import numpy as np

import wengert
from wengert.testing import check_op


def test_bell():
    check_op(wengert.bell, oracle=lambda x: np.exp(-x * x), devices="all")


def test_bell_in_a_program():
    x = wengert.tensor([0.0, 1.0], requires_grad=True)
    wengert.compile(lambda x: wengert.bell(x).sum())(x).backward()
    assert np.allclose(x.grad.numpy(), [0.0, -2 * np.exp(-1.0)])
