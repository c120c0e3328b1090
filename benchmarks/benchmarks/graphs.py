"""Recording and running back: long chains, many uses of one leaf, a small graph, gradients of gradients.

Owns: the cost of the tape and its engine. May import: `common`, `programs`. Must not know: how they are made.
"""

from __future__ import annotations

from typing import Any

from . import programs
from .common import CALLS, Taped

LENGTH = 1000


class Chain(Taped):
    """A thousand ops of one element, one after the other."""

    def prepare(self) -> None:
        self.x = self.torch.tensor([1.0], requires_grad=True)

    def time_forward(self, name: str) -> None:
        programs.links(self.torch, self.x, LENGTH)

    def time_forward_and_backward(self, name: str) -> None:
        programs.chain(self.torch, LENGTH)

    def time_backward_recorded(self, name: str) -> None:
        self.torch.autograd.grad(programs.links(self.torch, self.x, LENGTH), self.x, create_graph=True)


class FanIn(Taped):
    """A thousand gradients meet in one leaf, or come from one sum."""

    def prepare(self) -> None:
        self.x = self.torch.tensor([1.0], requires_grad=True)
        self.leaves = [self.torch.tensor([1.0], requires_grad=True) for _ in range(LENGTH)]

    def time_one_leaf_used_often(self, name: str) -> None:
        self.x.grad = None
        sum([self.x] * LENGTH).backward()

    def time_sum_of_many_leaves(self, name: str) -> None:
        for leaf in self.leaves:
            leaf.grad = None
        sum(self.leaves).backward()


class SmallBackward(Taped):
    """Backward alone through (x - 3)^2 and through a model of five ops, CALLS times each."""

    def prepare(self) -> None:
        torch = self.torch
        self.x = torch.tensor([1.0], requires_grad=True)
        self.square = (self.x - 3) ** 2
        weight = torch.tensor([[0.5, -0.5], [0.25, 1.0]], requires_grad=True)
        bias = torch.zeros(2, requires_grad=True)
        self.parameters = [weight, bias]
        self.loss = ((torch.tensor([[1.0, 2.0]]) @ weight + bias).tanh() ** 2).mean()

    def time_backward(self, name: str) -> None:
        x, square = self.x, self.square
        for _ in range(CALLS):
            x.grad = None
            square.backward(retain_graph=True)

    def time_accumulate(self, name: str) -> None:
        square = self.square
        for _ in range(CALLS):
            square.backward(retain_graph=True)

    def time_grad_of_a_small_model(self, name: str) -> None:
        grad: Any = self.torch.autograd.grad
        for _ in range(CALLS):
            grad(self.loss, self.parameters, retain_graph=True)
