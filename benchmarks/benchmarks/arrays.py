"""Arrays without or with a gradient: creation, indexing, reductions, products of matrices, small and large.

Owns: the cost of the ops that are more than one kernel. May import: `common`. Must not know: any device.
`time_` figures of small arrays are CALLS calls; the large ones say so by their parameter.
"""

from __future__ import annotations

from typing import Any

from .common import CALLS, Taped
from .engines import TAPES

RANGE = range(CALLS)


class Creation(Taped):
    """CALLS small tensors."""

    def time_tensor_of_a_list(self, name: str) -> None:
        tensor = self.torch.tensor
        for _ in RANGE:
            tensor([1.0, 2.0, 3.0])

    def time_parameter(self, name: str) -> None:
        tensor = self.torch.tensor
        for _ in RANGE:
            tensor([1.0], requires_grad=True)

    def time_zeros(self, name: str) -> None:
        zeros = self.torch.zeros
        for _ in RANGE:
            zeros(3)

    def time_arange(self, name: str) -> None:
        arange = self.torch.arange
        for _ in RANGE:
            arange(10)

    def time_randn(self, name: str) -> None:
        randn = self.torch.randn
        for _ in RANGE:
            randn(10)


class Indexing(Taped):
    """CALLS reads or writes of a 10 x 10 matrix."""

    def prepare(self) -> None:
        torch = self.torch
        self.a = torch.arange(100.0).reshape(10, 10)
        self.p = self.a.clone().requires_grad_()
        self.rows, self.mask = torch.tensor([0, 3, 3]), self.a > 50

    def time_element(self, name: str) -> None:
        a = self.a
        for _ in RANGE:
            a[3, 4]

    def time_recorded_row(self, name: str) -> None:
        p = self.p
        for _ in RANGE:
            p[3]

    def time_slice(self, name: str) -> None:
        a = self.a
        for _ in RANGE:
            a[1:9:2, ::3]

    def time_list_of_rows(self, name: str) -> None:
        a, rows = self.a, self.rows
        for _ in RANGE:
            a[rows]

    def time_mask(self, name: str) -> None:
        a, mask = self.a, self.mask
        for _ in RANGE:
            a[mask]

    def time_write(self, name: str) -> None:
        a = self.a
        for _ in RANGE:
            a[3] = 1.0

    def time_rows_and_backward(self, name: str) -> None:
        p, rows = self.p, self.rows
        for _ in RANGE:
            p.grad = None
            p[rows].sum().backward()


class Reduction(Taped):
    """A matrix reduced in whole or by rows: CALLS times the small one, once the large one."""

    params = (TAPES, [10, 1000])
    param_names = ["engine", "n"]

    def prepare(self, n: int) -> None:
        self.a = self.torch.arange(float(n * n)).reshape(n, n) / (n * n)
        self.p = self.a.clone().requires_grad_()
        self.range = RANGE if n == 10 else range(1)

    def time_sum(self, name: str, n: int) -> None:
        for _ in self.range:
            self.a.sum()

    def time_mean_of_rows(self, name: str, n: int) -> None:
        for _ in self.range:
            self.a.mean(dim=1)

    def time_max_of_rows(self, name: str, n: int) -> None:
        for _ in self.range:
            self.a.max(dim=1)

    def time_sum_and_backward(self, name: str, n: int) -> None:
        for _ in self.range:
            self.p.grad = None
            self.p.sum().backward()


class Matmul(Taped):
    """Square matrices: CALLS times the small ones, once the large ones."""

    params = (TAPES, [2, 512])
    param_names = ["engine", "n"]

    def prepare(self, n: int) -> None:
        torch: Any = self.torch
        self.a, self.b = torch.ones(n, n) / n, torch.ones(n, n) / n
        self.p = torch.ones(n, n, requires_grad=True)
        self.range = RANGE if n == 2 else range(1)

    def time_matmul(self, name: str, n: int) -> None:
        for _ in self.range:
            self.a @ self.b

    def time_matmul_and_backward(self, name: str, n: int) -> None:
        for _ in self.range:
            self.p.grad = None
            (self.p @ self.b).sum().backward()
