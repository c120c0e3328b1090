"""`torch.distributed.nn`: collectives that gradients go through, in a group of one process.

Owns: the functions. May import: tensor, distributed. Must not know: anything else. Of one process every sum is the tensor.
"""

from __future__ import annotations

from typing import Any

from wengert._tensor import Tensor
from wengert.compat import distributed


def all_reduce(tensor: Tensor, op: Any = distributed.ReduceOp.SUM, group: Any = None) -> Tensor:
    """Return the sum over the processes. Raises ValueError before `init_process_group`, as all of these."""
    distributed.get_backend()
    made: Tensor = tensor.clone()
    return made


def all_gather(tensor: Tensor, group: Any = None) -> tuple[Tensor, ...]:
    """Return the tensor of each process."""
    return (all_reduce(tensor),)


def reduce(tensor: Tensor, dst: int, op: Any = distributed.ReduceOp.SUM, group: Any = None) -> Tensor:
    """Return the sum over the processes, to process dst."""
    return all_reduce(tensor)


def broadcast(tensor: Tensor, src: int, group: Any = None) -> Tensor:
    """Return the tensor of process src."""
    return all_reduce(tensor)

