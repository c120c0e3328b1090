"""`torch.distributed.tensor`'s words for how a tensor would lie on several devices, which libraries keep in tables.

Owns: the descriptions. Must not know: tensors. There is one process, and no tensor is ever laid out so (see `named`).
"""

from __future__ import annotations

from dataclasses import dataclass


class Placement:
    """How a tensor lies along one dimension of a mesh of devices."""

    def is_replicate(self) -> bool:
        """Say whether every device has all of it."""
        return isinstance(self, Replicate)

    def is_partial(self) -> bool:
        """Say whether every device has a summand of it."""
        return isinstance(self, Partial)

    def is_shard(self, dim: int | None = None) -> bool:
        """Say whether every device has a part of it (along a dimension)."""
        return isinstance(self, Shard) and dim in (None, self.dim)


@dataclass(frozen=True)
class Replicate(Placement):
    """Every device has all of it."""


@dataclass(frozen=True)
class Shard(Placement):
    """Every device has a part of it along a dimension."""

    dim: int


@dataclass(frozen=True)
class Partial(Placement):
    """Every device has a summand of it."""

    reduce_op: str = "sum"
