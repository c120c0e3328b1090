"""Feeding data to programs: `wengert.utils.data`, as a plugin.

Owns: the names; each module is loaded when one of its names is first asked for.
May import: `wengert.plugins` only, so that finding the plugin costs nothing. Must not know: tensors, devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl

if TYPE_CHECKING:
    from wengert.registry import Registry


@hookimpl
def wengert_register_ops(registry: Registry) -> None:
    """Register every name by the module that has it."""
    for module, names in (
        ("datasets", "Dataset IterableDataset TensorDataset ConcatDataset ChainDataset StackDataset Subset random_split"),
        ("samplers", "Sampler SequentialSampler RandomSampler SubsetRandomSampler WeightedRandomSampler BatchSampler "
         "DistributedSampler"),
        ("collate", "collate default_collate default_collate_fn_map default_convert"),
        ("workers", "get_worker_info WorkerInfo"),
        ("loader", "DataLoader _BaseDataLoaderIter=_Iteration _MultiProcessingDataLoaderIter=_Workers "
         "_SingleProcessDataLoaderIter=_Here"),
    ):  # fmt: skip
        registry.family(f"wengert_data.{module}", prefix="utils.data.", functions=names)
    registry.family(
        "wengert_data.memory",
        functions="TypedStorage UntypedStorage",
        methods="set_ pin_memory is_pinned share_memory_ is_shared untyped_storage storage record_stream",
    )
