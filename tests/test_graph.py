"""Capture: programs that know nothing of it, run on symbols, replay as eager does."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import wengert as torch
from wengert._tensor import Tensor
from wengert.graph import Graph, capture


def same(a: object, b: object) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and np.array_equal(a.detach().numpy(), b.detach().numpy())
    if isinstance(a, tuple | list):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def seed_step():
    """Return the step of the first seed and what it changes."""
    x = torch.tensor([1.0], requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.01)

    def step():
        loss = (x - 3) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, x


def test_a_seed_step_is_one_graph_of_records():
    step, x = seed_step()
    graph = capture(step)
    assert [e.op.name for e in graph.equations] == [
        "subtract", "power_number", "filled", "add", "multiply", "copy", "multiply", "add",
    ]  # fmt: skip
    text = str(graph)
    assert "power_number %1, exponent=2" in text
    assert "write %0 <- %" in text and "grad of %0 <- %" in text


def test_capture_does_nothing_by_itself():
    step, x = seed_step()
    capture(step)
    assert x.item() == 1.0 and x.grad is None


@pytest.mark.parametrize("steps", [1, 5, 50])
def test_a_seed_step_replays_as_eager(steps):
    eager, x = seed_step()
    captured, y = seed_step()
    graph = capture(captured)
    for _ in range(steps):
        assert same(eager(), graph())
    assert same(x, y) and same(x.grad, y.grad)


def two_equations():
    x1 = torch.tensor([0.0], requires_grad=True)
    x2 = torch.tensor([0.0], requires_grad=True)
    optimizer = torch.optim.SGD([x1, x2], lr=0.01, momentum=0.9)

    def step():
        f1 = torch.exp(-torch.exp(-(x1 + x2))) - x2 * (1 + x1**2)
        f2 = x1 * torch.cos(x2) + x2 * torch.sin(x1) - 0.5
        loss = f1**2 + f2**2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, (x1, x2)


def test_state_of_an_optimizer_is_written_back():
    eager, xs = two_equations()
    captured, ys = two_equations()
    assert same(eager(), captured())  # the momentum exists from now on
    graph = capture(captured)
    for _ in range(20):
        assert same(eager(), graph())
    assert same(xs, ys)


def test_a_captured_step_may_be_left_for_eager_and_taken_up_again():
    eager, x = seed_step()
    captured, y = seed_step()
    graph = capture(captured)
    for i in range(6):
        assert same(eager(), graph() if i % 2 else captured())
    assert same(x, y)


def views_and_writes(a):
    b = a * 2
    b[0] = 7
    c = b.t()
    c[1] += a[0]
    b[:2, None, 1:].mul_(3)
    return b, c.reshape(9), b.sum(0, keepdim=True)


def indexing(a):
    i = torch.tensor([2, 0])
    b = a.clone()
    b[i] = a[[0, 1]] * 10
    return b, a[i, 1], a.gather(1, torch.tensor([[0], [2], [1]])), torch.cat([a, b]).flip(0)


def inner_gradient(a):
    x = a.detach().requires_grad_()
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    return g.detach(), h


def reductions(a):
    return a.mean(), a.std(0), a.max(1).values, a.softmax(1), torch.einsum("ij,kj->ik", a, a), a.norm()


@pytest.mark.parametrize("program", [views_and_writes, indexing, inner_gradient, reductions])
def test_programs_replay_on_new_arguments(program):
    a = torch.arange(9.0).reshape(3, 3)
    graph = capture(program, a)
    for shift in (0.0, 1.0, -2.5):
        assert same(graph(a + shift), program(a + shift))


def test_writes_to_state_and_to_arguments_happen_at_each_call():
    total = torch.zeros(3)

    def step(x):
        total.add_(x)
        x.zero_()
        return total * 2

    graph = capture(step, torch.ones(3))
    assert total.tolist() == [0, 0, 0]
    x = torch.tensor([1.0, 2.0, 3.0])
    assert graph(x).tolist() == [2, 4, 6]
    assert x.tolist() == [0, 0, 0] and total.tolist() == [1, 2, 3]


def test_results_are_nobody_elses_memory():
    w = torch.ones(3)
    graph = capture(lambda: (w, w * 1, w[:2]))
    first, _, part = graph()
    first.zero_()
    part.zero_()
    assert w.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x[0].item(),
        lambda x: x.sum().item(),
        lambda x: bool(x.sum() > 0),
        lambda x: x.tolist(),
        lambda x: (x * 2).numpy(),
        lambda x: repr(x),
        lambda x: x.nonzero(),
        lambda x: f"{x.sum()}",
    ],
)
def test_asking_for_a_value_raises_and_leaves_everything_as_it_was(ask):
    x = torch.ones(3)
    with pytest.raises(RuntimeError, match="needs a value"):
        capture(ask, x)
    assert x.tolist() == [1, 1, 1] and (x * 2).sum().item() == 6  # eager works again


def test_random_numbers_are_drawn_in_each_run():
    graph = capture(lambda: torch.randn(3))
    torch.manual_seed(1)
    drawn = [graph().tolist() for _ in range(3)]
    torch.manual_seed(1)
    assert drawn == [torch.randn(3).tolist() for _ in range(3)] and drawn[0] != drawn[1]


def test_numbers_from_a_generator_alone_are_refused_rather_than_frozen():
    with pytest.raises(NotImplementedError, match="same in every run"):
        capture(lambda: torch.default_generator.uniforms((3,), np.dtype("f4")))


def test_another_shape_or_type_is_refused():
    graph = capture(lambda x: x + 1, torch.ones(3))
    for other in (torch.ones(4), torch.ones(3, dtype=torch.float64), torch.ones(3, 1)):
        with pytest.raises(TypeError, match="captured for"):
            graph(other)


def test_a_symbol_that_escapes_says_so():
    kept = []
    capture(lambda x: kept.append(x * 2), torch.ones(3))
    with pytest.raises(RuntimeError, match="outside of the capture"):
        kept[0] + 1


def test_other_threads_stay_eager_while_one_captures():
    inside, done, results = threading.Event(), threading.Event(), []

    def other():
        inside.wait(10)
        x = torch.ones(3, requires_grad=True)
        (x * 2).sum().backward()
        results.append(x.grad.tolist())
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def program(x):
        inside.set()
        assert done.wait(10)
        return x + 1

    graph = capture(program, torch.ones(2))
    thread.join()
    assert results == [[2.0, 2.0, 2.0]]
    assert [e.op.name for e in graph.equations] == ["add"]


def test_the_picture_names_every_equation():
    graph = capture(seed_step()[0])
    dot = graph.dot()
    assert dot.startswith("digraph {") and dot.count("shape=box, label=") == len(graph.equations)
    assert graph.draw().svg().startswith("<svg") and graph.source().startswith("def program():")
    assert isinstance(graph, Graph) and "8 equations" in repr(graph)
