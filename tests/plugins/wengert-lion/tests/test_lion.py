"""Lion does what every optimizer must, and what its paper says."""

import wengert
from wengert.testing import check_optimizer


def test_lion():
    check_optimizer("Lion", lr=0.01, devices="all")


def test_two_steps_by_hand():
    p = wengert.tensor([1.0, -2.0], requires_grad=True)
    optimizer = wengert.optim.Lion([p], lr=0.1, weight_decay=0.5)
    p.grad = wengert.tensor([3.0, -1.0])
    optimizer.step()
    assert wengert.allclose(p, wengert.tensor([0.85, -1.8]))
    p.grad = wengert.tensor([-3.0, 1.0])
    optimizer.step()
    assert wengert.allclose(p, wengert.tensor([0.85 * 0.95 + 0.1, -1.8 * 0.95 - 0.1]))
