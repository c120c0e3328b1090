"""`wengert.distributed`: training by several processes, of which there is one.

Owns: a group of one process, in which every collective is a copy, and the refusal of larger ones. May import: tensor.
Must not know: anything else.
"""

from __future__ import annotations

import datetime
import enum
import os
from collections.abc import Sequence
from typing import Any

from wengert._tensor import Tensor
from wengert.modes import no_grad


class ReduceOp(enum.Enum):
    """How `all_reduce` and its kin put tensors of several processes together; of one process all give the tensor itself."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR, PREMUL_SUM = range(9)


setattr(ReduceOp, "RedOpType", ReduceOp)  # another name of it in PyTorch


class ProcessGroup:
    """A group of processes, which has one member."""

    def rank(self) -> int:
        """Return which member this process is: 0."""
        return 0

    def size(self) -> int:
        """Return the number of members: 1."""
        return 1


class Backend(str):
    """The name of a library for communication."""

    UNDEFINED, GLOO, NCCL, MPI, UCC = "undefined", "gloo", "nccl", "mpi", "ucc"


class Work:
    """What a collective called with `async_op=True` returns: it is done."""

    def wait(self, timeout: Any = None) -> bool:
        """Return at once."""
        return True

    def is_completed(self) -> bool:
        """Say that it is done."""
        return True

    is_success = is_completed


class group:
    """PyTorch's name for the group of all processes."""

    WORLD: ProcessGroup | None = None


_backend = ""
default_pg_timeout = datetime.timedelta(minutes=30)


def is_available() -> bool:
    """Say that the functions of this module can be called."""
    return True


def is_nccl_available() -> bool:
    """Say that the library is not here."""
    return False


is_mpi_available = is_ucc_available = is_xccl_available = is_torchelastic_launched = is_nccl_available
is_gloo_available = is_available


def is_initialized() -> bool:
    """Say whether `init_process_group` was called."""
    return group.WORLD is not None


def init_process_group(
    backend: str | None = None, init_method: str | None = None, timeout: Any = None, world_size: int = -1, rank: int = -1,
    store: Any = None, group_name: str = "", pg_options: Any = None, device_id: Any = None,
) -> None:  # fmt: skip
    """Make the group of one process. Raises RuntimeError where more are asked for, ValueError where there is one already."""
    global _backend
    size = int(os.environ.get("WORLD_SIZE", 1)) if world_size < 0 else world_size
    if size != 1 or rank > 0:
        raise RuntimeError(
            f"distributed.init_process_group: wengert has no communication between processes, and {size} are asked for; "
            f"run with world_size=1, or without a group"
        )
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    group.WORLD, _backend = ProcessGroup(), backend or "gloo"


def destroy_process_group(group_: Any = None) -> None:
    """Forget the group."""
    if group_ is None or group_ is group.WORLD:
        group.WORLD = None


def new_group(ranks: Sequence[int] | None = None, *args: Any, **kwargs: Any) -> ProcessGroup:
    """Return another group of the one process. Raises ValueError before `init_process_group`."""
    _made()
    return ProcessGroup()


def get_backend(group: Any = None) -> str:
    """Return the name that `init_process_group` was given. Raises ValueError before that."""
    _made()
    return _backend


def get_rank(group: Any = None) -> int:
    """Return which process this is: 0."""
    return 0


get_node_local_rank = get_rank


def get_world_size(group: Any = None) -> int:
    """Return the number of processes: 1."""
    return 1


def get_process_group_ranks(group: Any = None) -> list[int]:
    """Return the ranks of the group: 0 alone."""
    _made()
    return [0]


def get_global_rank(group: Any, group_rank: int) -> int:
    """Return the rank in the group of all processes: 0."""
    return 0


get_group_rank = get_global_rank


def _get_default_group() -> ProcessGroup:
    """Return the group of all processes. Raises ValueError before `init_process_group`."""
    _made()
    return group.WORLD  # type: ignore[return-value]


def _made() -> None:
    if group.WORLD is None:
        raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")


def _done(async_op: bool) -> Work | None:
    _made()
    return Work() if async_op else None


# ---- collectives: what one process would send to itself
def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Return at once: there is nobody to wait for. Raises ValueError before `init_process_group`, as all collectives."""
    return _done(async_op)


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """Leave the tensor as it is: the sum, mean or other reduction over one process."""
    return _done(async_op)


def reduce(tensor: Tensor, dst: Any = None, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """Leave the tensor as it is."""
    return _done(async_op)


def broadcast(tensor: Tensor, src: Any = None, group: Any = None, async_op: bool = False) -> Work | None:
    """Leave the tensor as it is."""
    return _done(async_op)


def broadcast_object_list(object_list: list[Any], src: Any = None, group: Any = None, device: Any = None) -> None:
    """Leave the objects as they are."""
    _made()


def scatter_object_list(
    scatter_object_output_list: list[Any], scatter_object_input_list: list[Any] | None = None, src: Any = None,
    group: Any = None,
) -> None:  # fmt: skip
    """Put the one object of a list into the other."""
    _made()
    if scatter_object_input_list:
        scatter_object_output_list[0] = scatter_object_input_list[0]


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Return at once."""
    _made()


def _copied(target: Tensor, source: Tensor, async_op: bool) -> Work | None:
    work = _done(async_op)
    with no_grad():
        target.copy_(source.reshape(target.shape))
    return work


def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """Copy the tensor into the one of the list."""
    return _copied(tensor_list[0], tensor, async_op)


def gather(
    tensor: Tensor, gather_list: list[Tensor] | None = None, dst: Any = None, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copy the tensor into the one of the list."""
    return _done(async_op) if gather_list is None else _copied(gather_list[0], tensor, async_op)


def scatter(
    tensor: Tensor, scatter_list: list[Tensor] | None = None, src: Any = None, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copy the one of the list into the tensor."""
    return _done(async_op) if scatter_list is None else _copied(tensor, scatter_list[0], async_op)


def reduce_scatter(
    output: Tensor, input_list: list[Tensor], op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copy the one of the list into the tensor."""
    return _copied(output, input_list[0], async_op)


def all_to_all(
    output_tensor_list: list[Tensor], input_tensor_list: list[Tensor], group: Any = None, async_op: bool = False
) -> Work | None:
    """Copy the one of a list into the one of the other."""
    return _copied(output_tensor_list[0], input_tensor_list[0], async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copy the input into the output, which has its elements."""
    return _copied(output_tensor, input_tensor, async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copy the input into the output, which has its elements."""
    return _copied(output, input, async_op)


all_to_all_single = all_gather_into_tensor


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Put the object into the list."""
    _made()
    object_list[0] = obj


def gather_object(obj: Any, object_gather_list: list[Any] | None = None, dst: Any = None, group: Any = None) -> None:
    """Put the object into the list."""
    _made()
    if object_gather_list is not None:
        object_gather_list[0] = obj


def send(tensor: Tensor, dst: Any = None, *args: Any, **kwargs: Any) -> None:
    """Raise RuntimeError: there is no other process to send to, or to hear from."""
    _made()
    raise RuntimeError("distributed: there is one process, which can neither send to itself nor receive")


recv = isend = irecv = send
