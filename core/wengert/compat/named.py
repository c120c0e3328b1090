"""What PyTorch has and wengert has not, as far as libraries name it: types of which there is never an object here.

Owns: the table of these names, by the module of PyTorch that has them, and why they are only names. May import: dtypes.
Must not know: anything else. Libraries ask `isinstance(x, DTensor)`, annotate with `GraphModule` and derive from `Tracer`
without ever making one: such programs run. Making one, or calling one, raises NotImplementedError that says what and why.
"""

from __future__ import annotations

import functools
from types import GenericAlias, ModuleType
from typing import Any

from wengert import dtypes

PROCESSES = "wengert has no communication between processes"
GRAPHS = "wengert does not rewrite modules; wengert.graph captures and prints what a function does"
QUANTIZED = "wengert does not quantize"
SCRIPTS = "wengert has no TorchScript"
SYMBOLS = "sizes are plain integers here, also in a captured function"
NESTED = "wengert has no nested tensors; nn.utils.rnn.pad_sequence makes one of several"

# (module, why its names are only names, the names)
TABLE = (
    ("", SYMBOLS, "SymInt SymFloat SymBool"),
    ("", SCRIPTS, "ScriptObject"),
    ("", "wengert has no numbers of this type",
     "chalf complex32 float4_e2m1fn_x2 qint32 qint8 quint2x4 quint4x2 quint8"),
    ("", "wengert.save and wengert.load write and read these files", "PyTorchFileReader PyTorchFileWriter"),
    ("cuda", "there is one stream", "ExternalStream StreamContext"),
    ("fx", GRAPHS, "Graph GraphModule Interpreter Node Proxy Tracer Transformer replace_pattern symbolic_trace"),
    ("fx.experimental.proxy_tensor", GRAPHS, "make_fx"),
    ("fx.graph", GRAPHS, "Graph CodeGen"),
    ("fx.graph_module", GRAPHS, "GraphModule _CodeOnlyModule _copy_attr _USER_PRESERVED_ATTRIBUTES_KEY"),
    ("fx.node", GRAPHS, "Node Target Argument map_arg"),
    ("fx.proxy", GRAPHS, "Proxy"),
    ("fx._symbolic_trace", GRAPHS, "Tracer symbolic_trace"),
    ("jit", SCRIPTS, "Attribute RecursiveScriptModule ScriptFunction _get_trace_graph"),
    ("_C", "there is no dispatcher of PyTorch's", "_ExcludeDispatchKeyGuard"),
    ("_C", SCRIPTS, "Graph Value ScriptObject ScriptFunction ScriptModule"),
    ("ao.quantization", QUANTIZED,
     "DeQuantStub FakeQuantize FakeQuantizeBase MinMaxObserver ObserverBase QConfig QuantStub QuantWrapper convert "
     "default_observer default_per_channel_weight_observer default_weight_observer fuse_modules fuse_modules_qat "
     "get_default_qat_qconfig get_default_qconfig prepare prepare_qat quantize_dynamic"),
    ("quantization", QUANTIZED,
     "DeQuantStub FakeQuantize FakeQuantizeBase ObserverBase QuantStub QuantWrapper convert get_default_qat_qconfig "
     "get_default_qconfig prepare prepare_qat quantize_dynamic"),
    ("ao.nn", QUANTIZED, "quantized"),
    ("nn.quantized", QUANTIZED, "FloatFunctional QFunctional"),
    ("export", "wengert exports no programs; save the state_dict() with wengert.save()",
     "Dim ExportedProgram export export_for_training load save"),
    ("utils.cpp_extension", "wengert compiles no C++ extensions of PyTorch; wengert.extend is for own operations",
     "BuildExtension CUDAExtension CppExtension include_paths load load_inline"),
    ("onnx", "wengert writes no ONNX files",
     "ONNXProgram OperatorExportTypes TensorProtoDataType TrainingMode symbolic_opset11"),
    ("nn.attention.flex_attention", "there is one way to compute attention; pass it a mask",
     "AuxRequest BlockMask _DEFAULT_SPARSE_BLOCK_SIZE create_block_mask create_mask flex_attention"),
    ("utils.flop_counter", "wengert.profiler counts time and memory", "FlopCounterMode"),
    ("autograd.profiler", "wengert.profiler counts time and memory", "EventList emit_itt emit_nvtx"),
    ("futures", PROCESSES, "Future collect_all wait_all"),
    ("", PROCESSES, "Future"),
    ("nested", NESTED, "as_nested_tensor nested_tensor nested_tensor_from_jagged to_padded_tensor"),
    ("distributed.algorithms.join", PROCESSES, "Join Joinable JoinHook"),
    ("distributed.algorithms._checkpoint.checkpoint_wrapper", PROCESSES,
     "CheckpointImpl CheckpointWrapper apply_activation_checkpointing checkpoint_wrapper"),
    ("distributed.fsdp", PROCESSES,
     "BackwardPrefetch CPUOffload CPUOffloadPolicy FSDPModule FullOptimStateDictConfig FullStateDictConfig "
     "FullyShardedDataParallel MixedPrecision MixedPrecisionPolicy OffloadPolicy OptimStateKeyType ShardingStrategy "
     "StateDictType fully_shard"),
    ("distributed.fsdp.api", PROCESSES, "ShardedOptimStateDictConfig ShardedStateDictConfig StateDictType"),
    ("distributed.fsdp.fully_sharded_data_parallel", PROCESSES,
     "BackwardPrefetch CPUOffload FullyShardedDataParallel MixedPrecision ShardingStrategy StateDictType"),
    ("distributed.fsdp.sharded_grad_scaler", PROCESSES, "ShardedGradScaler"),
    ("distributed.fsdp.wrap", PROCESSES,
     "ModuleWrapPolicy enable_wrap size_based_auto_wrap_policy transformer_auto_wrap_policy wrap"),
    ("distributed.tensor", PROCESSES, "DTensor distribute_module distribute_tensor"),
    ("distributed.tensor.placement_types", PROCESSES, "_StridedShard"),
    ("distributed.tensor._utils", PROCESSES, "compute_local_shape_and_global_offset"),
    ("distributed._functional_collectives", PROCESSES, "all_to_all_single_autograd wait_tensor"),
    ("distributed._composable.fsdp", PROCESSES, "FSDPModule fully_shard"),
    ("distributed.checkpoint.hf_storage", PROCESSES, "HuggingFaceStorageReader HuggingFaceStorageWriter"),
    ("distributed.checkpoint.default_planner", PROCESSES, "DefaultLoadPlanner DefaultSavePlanner"),
    ("distributed.tensor.parallel", PROCESSES, "ColwiseParallel ParallelStyle RowwiseParallel parallelize_module"),
    ("distributed._tensor", PROCESSES, "DTensor distribute_tensor"),
    ("distributed._tensor.experimental", PROCESSES, "implicit_replication"),
    ("distributed.device_mesh", PROCESSES, "DeviceMesh init_device_mesh"),
    ("distributed", PROCESSES,
     "DeviceMesh FileStore HashStore P2POp PrefixStore Store TCPStore batch_isend_irecv init_device_mesh"),
    ("distributed.checkpoint", PROCESSES, "FileSystemReader FileSystemWriter load save"),
    ("distributed.checkpoint.state_dict", PROCESSES,
     "StateDictOptions get_model_state_dict get_optimizer_state_dict set_model_state_dict set_optimizer_state_dict"),
    ("distributed.pipelining", PROCESSES, "PipelineStage ScheduleGPipe SplitPoint pipeline"),
    ("distributed.rpc", PROCESSES, "RRef init_rpc remote rpc_async rpc_sync shutdown"),
    ("distributed.optim", PROCESSES, "DistributedOptimizer PostLocalSGDOptimizer ZeroRedundancyOptimizer"),
    ("_subclasses.fake_tensor", "wengert's tensors of shapes are those of device='meta'", "FakeTensor FakeTensorMode"),
    ("_dynamo", "wengert.compile returns a module or a function", "OptimizedModule"),
    ("_dynamo.eval_frame", "wengert.compile returns a module or a function", "OptimizedModule"),
)  # fmt: skip
NAMES = {(path, name): why for path, why, names in TABLE for name in names.split()}
PATHS = {".".join(path.split(".")[: i + 1]) for path, _ in NAMES for i in range(path.count(".") + 1)} - {""}


@functools.cache
def find(path: str, name: str) -> Any:
    """Return the type of that name in a module of PyTorch's (its path without `torch.`), or None where the table has none."""
    why = NAMES.get((path, name))
    if why is None:
        return dtypes.LIMITED.get(name) if not path else None
    whole = ".".join(filter(None, ("torch", path, name)))

    def refuse(cls: type, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{whole}: {why}")

    # one type wherever a name is looked up: the first place of the table owns it
    first = next(place for place, other in NAMES if other == name)
    if first != path and NAMES[first, name] == why:
        return find(first, name)
    own = {"__new__": refuse, "__class_getitem__": classmethod(GenericAlias), "__doc__": f"Only a name: {why}."}
    return type(name, (), {**own, "__module__": f"torch.{path}".rstrip(".")})


class NamedModule(ModuleType):
    """A module of PyTorch's in which there are only names."""

    def __init__(self, path: str) -> None:
        super().__init__(f"wengert.{path}", "A module of PyTorch's whose names stand for nothing here.")
        self._place = path

    def __getattr__(self, name: str) -> Any:
        found = find(self.__dict__["_place"], name)
        if found is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return found

    def __dir__(self) -> list[str]:
        return [name for path, name in NAMES if path == self._place]


@functools.cache
def module(path: str) -> ModuleType | None:
    """Return the module of these names, or None where the table has none."""
    return NamedModule(path) if path in PATHS else None
