"""Programs written for PyTorch, run as they are: tests/programs/ under `wengert.compat`, and what `import torch` finds there.

Owns the proof of core/wengert/compat/ and of the names that programs use beside operations. What the programs print under
PyTorch is kept in tests/recorded/programs.json (`python tests/test_compat.py` writes it anew); the numbers must agree.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import wengert as w

PROGRAMS = Path(__file__).parent / "programs"
RECORDED = Path(__file__).parent / "recorded" / "programs.json"
NAMES = sorted(p.name for p in PROGRAMS.glob("*.py"))
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|\bnan\b|\binf\b")


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python on the host alone: other devices round in other ways."""
    surroundings = {**os.environ, "WENGERT_DISABLE_PLUGINS": "opencl,cupy", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=surroundings, timeout=1200, **options)


def printed(*arguments: str) -> str:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def differences(expected: str, actual: str) -> list[str]:
    """Return the lines whose words differ, or whose numbers by more than 1e-4 (absolutely and relatively)."""
    wrong = []
    old, new = expected.splitlines(), actual.splitlines()
    for a, b in zip(old, new):
        numbers = [float(x) for x in NUMBER.findall(a)], [float(x) for x in NUMBER.findall(b)]
        near = len(numbers[0]) == len(numbers[1]) and all(
            x == y or (x != x and y != y) or abs(x - y) <= 1e-4 + 1e-4 * abs(x) for x, y in zip(*numbers)
        )
        if not near or NUMBER.sub("#", a) != NUMBER.sub("#", b):
            wrong.append(f"- {a}\n+ {b}")
    return wrong + [f"- {line}" for line in old[len(new) :]] + [f"+ {line}" for line in new[len(old) :]]


def test_the_comparison_sees_differences() -> None:
    assert differences("a 1.0\nb 2", "a 1.00001\nb 2") == []
    assert len(differences("a 1.0\nb 2\nc", "a 1.001\nB 2")) == 3
    assert differences("nan", "1.0") and differences("1 2", "1 2 3")


@pytest.mark.parametrize("name", NAMES)
def test_program(name: str) -> None:
    """A program prints under wengert what it printed under PyTorch."""
    expected = json.loads(RECORDED.read_text())
    assert differences(expected[name], printed("-m", "wengert.compat", str(PROGRAMS / name))) == []


# PyTorch takes seconds to import: one process does, and a fork of it runs each program.
OF_PYTORCH = """
import io, json, os, runpy, sys, traceback
import torch
found = {}
for path in sys.argv[1:]:
    sys.stdout.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 1)
        os.close(reading)
        sys.argv = [path]
        try:
            runpy.run_path(path, run_name="__main__")
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(0)
    os.close(writing)
    found[os.path.basename(path)] = open(reading).read()
    os.waitpid(child, 0)
print(json.dumps(found))
"""


PARTS = 6  # of the programs, one process each


def of_pytorch(part: int) -> dict[str, str]:
    """Return what a part of the programs print under PyTorch."""
    found = printed("-c", OF_PYTORCH, *[str(PROGRAMS / name) for name in NAMES[part::PARTS]])
    return json.loads(found)  # type: ignore[no-any-return]


@pytest.mark.parity
@pytest.mark.parametrize("part", range(PARTS))
def test_the_record_is_what_pytorch_prints(part: int) -> None:
    recorded, now = json.loads(RECORDED.read_text()), of_pytorch(part)
    assert {name: found for name in now if (found := differences(recorded[name], now[name]))} == {}


def test_there_are_enough_programs() -> None:
    assert len(NAMES) >= 95 and set(NAMES) == set(json.loads(RECORDED.read_text()))


# ---- what import finds
def under_compat(program: str, *arguments: str, tmp: Path) -> subprocess.CompletedProcess[str]:
    path = tmp / "program.py"
    path.write_text(textwrap.dedent(program))
    return run("-m", "wengert.compat", str(path), *arguments)


IMPORTS = """
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torch.utils.data as data
import torch.cuda.amp as old_amp
import torch.backends.cudnn as cudnn
import torch.multiprocessing as mp
import torch.distributed as dist
import torch.onnx
import torch.jit
from torch import Tensor, autograd, nn as nn2, optim as optim2
from torch.amp import GradScaler, autocast
from torch.autograd import Function, Variable
from torch.autograd.functional import jacobian
from torch.backends import mps
from torch.cuda.amp import GradScaler as G2, autocast as a2
from torch.func import grad, vmap
from torch.nn import Module, Parameter, init
from torch.nn.modules.linear import Linear
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import Parameter as P2
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence
from torch.optim import Adam, Optimizer, lr_scheduler
from torch.optim.lr_scheduler import StepLR, _LRScheduler
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.stateless import _reparametrize_module, functional_call
from torch.types import Device, Number
from torch.utils.hooks import RemovableHandle
from torch.optim.optimizer import Optimizer as O2
from torch.testing import assert_close
from torch.utils import data as data2
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import default_collate
from torch.utils.data.distributed import DistributedSampler
import torch.utils.data._utils.collate as collating
from torch.distributions import Categorical, constraints, transforms
from torch.distributions.kl import kl_divergence
from torch.distributions.normal import Normal
from torch.optim.swa_utils import AveragedModel
import torch.compiler, torch._dynamo.config, torch.nn.init as old_init
import wengert, sys

assert torch.nn is nn is nn2 and F is torch.nn.functional and torch.utils.data is data is data2
assert P2 is Parameter is wengert.nn.Parameter and O2 is Optimizer and Linear is wengert.nn.Linear
assert torch.utils.data._utils.collate.default_collate is collating.default_collate is default_collate
assert DataLoader is wengert.utils.data.DataLoader and torch.Tensor is wengert.Tensor is Tensor
assert torch.__version__.split(".")[0] == "2" and torch.version.cuda is None
assert not torch.cuda.is_available() and not mps.is_available() and not dist.is_nccl_available() and not cudnn.is_available()
assert isinstance(torch.randn(2), torch.Tensor) and isinstance(torch.zeros(1).float(), torch.FloatTensor)
assert _LRScheduler is lr_scheduler.LRScheduler and functional_call is torch.func.functional_call
layer = nn.Linear(2, 1)
with _reparametrize_module(layer, {"weight": torch.zeros(1, 2)}):
    assert layer.weight.sum() == 0
assert isinstance(layer.weight, nn.Parameter) and layer.weight.sum() != 0
assert isinstance(torch.ones(1, requires_grad=True).register_hook(print), RemovableHandle) and isinstance(1.5, Number)
with sdpa_kernel([SDPBackend.MATH]):
    F.scaled_dot_product_attention(*[torch.ones(1, 2, 2)] * 3)
assert Normal is wengert.distributions.Normal is torch.distributions.Normal and constraints.positive.check(torch.ones(1)).all()
assert not torch.compiler.is_compiling() and not torch.xpu.is_available() and torch.compiler.disable()(print) is print
torch._dynamo.config.suppress_errors = True
torch._dynamo.mark_dynamic(torch.ones(2), 0)
assert torch._dynamo.optimize("eager")(lambda x: x + 1)(torch.ones(1)) == 2
assert torch._dynamo.is_dynamo_supported() and torch._dynamo.is_inductor_supported()
from torch import library
from torch._subclasses.fake_tensor import unset_fake_temporarily
with unset_fake_temporarily():
    twice = library.triton_op("test::twice", lambda x: x * 2, mutates_args=(), schema="(Tensor x) -> Tensor")
assert torch.ops.test.twice(torch.ones(1)) == 2
import functorch
assert functorch.vmap is torch.func.vmap
from functorch import combine_state_for_ensemble, make_functional, make_functional_with_buffers
linear = nn.Linear(2, 1)
f, values = make_functional(linear)
assert f([v * 0 for v in values], torch.ones(1, 2)) == 0 and f(values, torch.ones(1, 2)) == linear(torch.ones(1, 2))
f, values, buffers = combine_state_for_ensemble([nn.BatchNorm1d(2).eval() for _ in range(3)])
assert functorch.vmap(f, (0, 0, None))(values, buffers, torch.ones(4, 2)).shape == (3, 4, 2)
from torch.nn.modules.activation import MultiheadAttention
from torch.nn.modules.module import _addindent
from torch.nn.modules.transformer import _get_activation_fn, _get_clones
from torch.nn import _reduction as _Reduction
from torch.optim.optimizer import ParamsT
import torch._inductor.config
torch._inductor.config.coordinate_descent_tuning = True
assert F._Reduction.get_enum("sum") == _Reduction.legacy_get_enum(False, None, emit_warning=False) == 2
assert _addindent("a\\nb", 2) == "a\\n  b" and len(_get_clones(linear, 3)) == 3 and _get_activation_fn("gelu") is F.gelu
with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):
    assert torch.utils.checkpoint.checkpoint(torch.exp, torch.zeros(1), use_reentrant=False) == 1
assert isinstance(nn.DataParallel(nn.Linear(1, 1)).module, Linear) and old_init.xavier_normal is init.xavier_normal_
namespace = {}
exec("from torch.nn import *", namespace)
assert namespace["Linear"] is Linear
print("fine", sys.argv[1:], __name__)
"""


def test_imports_of_programs(tmp_path: Path) -> None:
    done = under_compat(IMPORTS, "--lr", "0.1", tmp=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "fine ['--lr', '0.1'] __main__\n"


OF_LIBRARIES = """
import torch, torch.utils._pytree as pytree
from torch._C import DispatchKey, DispatchKeySet, _get_tracing_state
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
from torch.ao.quantization import QuantStub
from torch.distributed.algorithms.join import Join
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.nn.functional import all_gather
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch._dynamo.exc import TorchDynamoException, Unsupported
from torch._dynamo.utils import disable_cache_limit
from torch.distributions.multivariate_normal import _batch_mahalanobis, _precision_to_scale_tril
from torch.distributions.utils import _standard_normal, _sum_rightmost
from torch.hub import load_state_dict_from_url
from torch.jit.annotations import BroadcastingList2
from torch.quasirandom import SobolEngine
from torch._higher_order_ops.associative_scan import associative_scan
from torch.export import Dim, ExportedProgram
from torch.nn.common_types import _size_2_t, _size_any_t
from torch.types import IntLikeType, _device, _dtype
from torch.utils.data.dataloader import _BaseDataLoaderIter
import os, pathlib, tempfile

x = [torch.tensor([1.0, -2.0]), torch.tensor([3.0])]
torch._foreach_add_(x, [1, 2])
torch._foreach_mul_(x, [2.0, 3.0])
torch._foreach_addcdiv_(x, [t.clone() for t in x], x, value=-1.0)
torch._foreach_lerp_(x, [torch.zeros(2), torch.ones(1)], 0.5)
print([t.tolist() for t in (*x, *torch._foreach_norm(x), *torch._foreach_maximum(x, 0.5), *torch._foreach_pow(x, 2))])
torch._check(True)
try:
    torch._check_index(False, lambda: "too far")
except IndexError as error:
    print(error)
print(isinstance(x[0], (DTensor, torch.SymInt, torch.fx.Proxy, torch.jit.ScriptModule, QuantStub, Join)), Shard(1) == Shard(1))
print(torch.fx.wrap(abs) is abs, torch.fx.node.Node is torch.fx.Node, torch.torch is torch, _get_tracing_state())
print((DispatchKeySet(DispatchKey.AutocastCPU) | DispatchKeySet(DispatchKey.CUDA)).has(DispatchKey.CUDA))
print(torch.ops.aten.add.Tensor(x[0], x[0]).tolist(), torch.ops.aten.add.Tensor is torch.ops.aten.add.Tensor)
flat = _flatten_dense_tensors(x)
print(flat.tolist(), [t.tolist() for t in _unflatten_dense_tensors(flat, x)])
print(torch.finfo(torch.float8_e4m3fn), torch.float8_e5m2.itemsize, isinstance(torch.float8_e5m2, _dtype))
print(pytree.SUPPORTED_NODES[dict].flatten_fn({"a": 1})[0] != None, pytree.tree_is_leaf(3), pytree._get_node_type([1]) is list)
tree = {"b": [1, (2, 3)], "a": "c"}
print([pytree.keystr(path) for path, _ in pytree.tree_leaves_with_path(tree)], pytree.tree_structure([1, [2]]))
print(pytree.tree_map(lambda x, y: (x, y), {"a": 1, "b": 2}, {"b": [3], "a": ()}), pytree.tree_all_only(str, bool, tree))
print(pytree.tree_map_with_path(lambda path, x: pytree.key_get(tree, path) == x, {"b": [1, (2, 0)]}))
for wrong in ([1], (1, 2), [1, 2, 3]):
    try:
        print(pytree.tree_map(max, [1, 2], wrong))
    except ValueError:
        print("of different structures")
print(isinstance(torch.ones(2).topk(1), torch.return_types.topk), isinstance(torch.ones(2).max(0), torch.return_types.topk))
for made in (torch.ones(2).max(0), torch.linalg.eigh(torch.eye(2)), torch.frexp(torch.ones(2)), torch.ones(2).aminmax()):
    assert type(made) is type(type(made)(list(made))) is type(type(made)(*made)) is getattr(torch.return_types, type(made).__name__)
print(SobolEngine(3).draw(4).tolist(), SobolEngine(2, scramble=True, seed=1).draw(8).shape)
print("Normal" in vars(torch.distributions), "SGD" in vars(torch.optim), type(x[0]).__module__, torch.Tensor.__name__)
print(_sum_rightmost(torch.ones(2, 3, 4), 2).tolist(), _standard_normal((2,), torch.float64, "cpu").dtype)
storage = torch.arange(4.0).untyped_storage()
print(len(storage), torch.asarray(storage[4:12], dtype=torch.uint8).view(torch.float32).tolist(), x[0].t()._is_view())

class Both(torch.distributions.transforms.Transform, torch.nn.Module):  # as Pyro's transforms that have parameters
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(2))

class Softer(type(torch.distributions.constraints.lower_cholesky)):
    pass

states = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), torch.tensor([[1.0, 0.0, 2.0], [3.0, 1.0, 0.0]])
for reverse in (False, True):
    scanned = associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), states, 1, reverse, "generic")
    print([t.tolist() for t in scanned], associative_scan(torch.add, states[0], 0, combine_mode="generic").tolist())
precision = torch.tensor([[4.0, 2.0], [2.0, 5.0]])
print(_precision_to_scale_tril(precision).tolist(), _batch_mahalanobis(torch.linalg.cholesky(precision), torch.ones(2)).item())
with disable_cache_limit():
    print(issubclass(Unsupported, TorchDynamoException), issubclass(TorchDynamoException, RuntimeError))
print(Both().scale.tolist(), Softer().event_dim, Softer().check(torch.eye(2)).item())
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "weights-0000.pth")
    torch.save({"w": x[0]}, path)
    print(load_state_dict_from_url(path.as_uri(), model_dir=os.path.join(folder, "kept"), progress=False)["w"].tolist())
    try:
        load_state_dict_from_url(path.as_uri(), model_dir=os.path.join(folder, "other"), progress=False, check_hash=True)
    except RuntimeError as error:
        print(str(error)[:18], os.listdir(os.path.join(folder, "other")))
"""
OF_LIBRARIES_PRINTED = """
[[1.5, -1.5], [7.5], 2.1213202476501465, 7.5, [1.5, 0.5], [7.5], [2.25, 2.25], [56.25]]
too far
False True
True True True None
True
[3.0, -3.0] True
[1.5, -1.5, 7.5] [[1.5, -1.5], [7.5]]
finfo(resolution=1, min=-448, max=448, eps=0.125, smallest_normal=0.015625, tiny=0.015625, dtype=float8_e4m3fn) 1 True
True True True
["['b'][0]", "['b'][1][0]", "['b'][1][1]", "['a']"] TreeSpec(list, None, [*,
  TreeSpec(list, None, [*])])
{'a': (1, ()), 'b': (2, [3])} True
{'b': [True, (True, False)]}
of different structures
of different structures
of different structures
True False
[[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.75, 0.25, 0.25], [0.25, 0.75, 0.75]] torch.Size([8, 2])
True True torch Tensor
[12.0, 12.0] torch.float64
16 [1.0, 2.0] True
[[[1.0, 2.0, 6.0], [4.0, 20.0, 120.0]], [[1.0, 2.0, 8.0], [3.0, 16.0, 96.0]]] [[1.0, 2.0, 3.0], [5.0, 7.0, 9.0]]
[[[6.0, 6.0, 3.0], [120.0, 30.0, 6.0]], [[5.0, 4.0, 2.0], [7.0, 1.0, 0.0]]] [[1.0, 2.0, 3.0], [5.0, 7.0, 9.0]]
[[0.55901700258255, 0.0], [-0.22360679507255554, 0.4472135901451111]] 0.3125
True True
[1.0, 1.0] 2 True
[1.5, -1.5]
invalid hash value []
"""


def test_names_that_libraries_use(tmp_path: Path) -> None:
    """What PyTorch itself prints of these, but for the exact words of the last line."""
    done = under_compat(OF_LIBRARIES, tmp=tmp_path)
    assert done.returncode == 0, done.stderr
    assert differences(OF_LIBRARIES_PRINTED.strip(), done.stdout.strip()) == []


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.modules['tensorboardX'] = None; from torch.utils.tensorboard import SummaryWriter",
         ["ModuleNotFoundError", "torch.utils.tensorboard", "wengert[tensorboard]"]),
        ("import torch.export; torch.export.export(abs, ())", ["NotImplementedError", "torch.export.export", "state_dict"]),
        ("from torch.utils.cpp_extension import load; load('fast', ['fast.cpp'])",
         ["NotImplementedError", "torch.utils.cpp_extension.load", "wengert.extend"]),
        ("import torch.fx; torch.fx.symbolic_trace(abs)", ["NotImplementedError", "torch.fx.symbolic_trace", "wengert.graph"]),
        ("import torch; torch.ops.load_library('some.so')", ["OSError", "some.so", "custom_op"]),
        ("import torch; torch.ops.aten.no_such_thing", ["AttributeError", "no_such_thing"]),
        ("import torch; torch.zeros(2, dtype=torch.float8_e5m2)", ["TypeError", "torch.float8_e5m2"]),
        ("from torch.distributed.tensor import DTensor; DTensor()", ["NotImplementedError", "DTensor", "processes"]),
        ("import torch; torch.distributions.Nrmal", ["AttributeError", "'Nrmal'"]),
        ("import torch.nowhere", ["ModuleNotFoundError", "torch.nowhere"]),
        ("import torch; torch.tnah", ["AttributeError", "'tnah'", "'tanh'"]),
        ("import torch; torch.nn.Linaer", ["AttributeError", "'Linaer'", "'Linear'"]),
        ("from torch.nn import Linaer", ["ModuleNotFoundError", "torch.nn.Linaer", "'Linear'"]),
        ("import torch; torch.hub.load('a/b', 'c')", ["RuntimeError", "hub"]),
        ("import torch; torch.onnx.export(1)", ["NotImplementedError", "ONNX"]),
        ("import torch; torch.distributed.init_process_group(rank=1, world_size=2)", ["RuntimeError", "processes"]),
        ("import torch; torch.ones(2).frobnicate()", ["AttributeError", "frobnicate"]),
    ],
)
def test_what_is_missing_says_so(program: str, words: list[str], tmp_path: Path) -> None:
    done = under_compat(program, tmp=tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert all(word in last for word in words), last


def test_install_and_uninstall() -> None:
    program = """
    import sys, wengert
    wengert.compat.install()
    wengert.compat.install()
    import torch, torch.nn.functional
    assert torch.ones is wengert.ones and len([f for f in sys.meta_path if type(f).__module__ == "wengert.compat.finder"]) == 1
    wengert.compat.uninstall()
    assert not any(name == "torch" or name.startswith("torch.") for name in sys.modules)
    sys.modules["torch"] = sys
    try:
        wengert.compat.install()
    except RuntimeError as error:
        print(error)
    """
    assert "imported already" in printed("-c", textwrap.dedent(program))


def test_command_line(tmp_path: Path) -> None:
    assert run("-m", "wengert.compat").returncode == 2
    assert "usage" in printed("-m", "wengert.compat", "--help")
    missing = run("-m", "wengert.compat", str(tmp_path / "no.py"))
    assert missing.returncode == 2 and "no such file" in missing.stderr
    (tmp_path / "part.py").write_text("import sys, torch\nprint(torch.ones(2).sum().item(), sys.argv[1:], __name__)\n")
    done = run("-m", "wengert.compat", "-m", "part", "x", cwd=tmp_path)
    assert done.stdout == "2.0 ['x'] __main__\n", done.stderr


# ---- names that compute nothing
def test_settings_are_kept() -> None:
    assert not w.are_deterministic_algorithms_enabled()
    w.use_deterministic_algorithms(True, warn_only=True)
    assert w.are_deterministic_algorithms_enabled() and w.get_deterministic_debug_mode() == 1
    w.set_deterministic_debug_mode("default")
    assert not w.are_deterministic_algorithms_enabled()
    w.set_float32_matmul_precision("high")
    assert w.get_float32_matmul_precision() == "high"
    w.set_float32_matmul_precision("highest")
    with pytest.raises(RuntimeError, match="medium"):
        w.set_float32_matmul_precision("low")
    w.backends.cudnn.benchmark = True
    assert w.backends.cudnn.benchmark and not w.backends.cudnn.is_available()
    w.backends.cudnn.benchmark = False
    assert not w.set_flush_denormal(True) and w.get_num_interop_threads() == 1
    assert w.typename(w.ones(1)) == "torch.FloatTensor" and w.typename(3) == "int"


def test_autocast_of_another_device_changes_nothing() -> None:
    x = w.ones(2, requires_grad=True)

    @w.autocast("cuda")
    def f(x: Any) -> Any:
        return (x * 2).sum()

    scaler = w.amp.GradScaler()
    opt = w.optim.SGD([x], lr=0.5)
    with w.autocast(device_type="cuda", dtype=w.float16):
        assert not w.is_autocast_enabled()
        loss = f(x)
    assert scaler.scale(loss) is loss and loss.dtype is w.float32
    loss.backward()
    scaler.unscale_(opt)
    scaler.step(opt)
    scaler.update()
    assert x.tolist() == [0.0, 0.0] and scaler.get_scale() == 1.0 and scaler.state_dict() == {}


def test_autocast_leaves_the_norms_of_weights_alone() -> None:
    for norm in (w.nn.utils.spectral_norm, w.nn.utils.parametrizations.spectral_norm):
        layer = norm(w.nn.Linear(3, 2))
        with w.autocast("cpu", w.bfloat16):
            made = layer(w.ones(1, 3))
        made.float().sum().backward()
        assert made.dtype is w.bfloat16 and all(p.grad.dtype is w.float32 for p in layer.parameters())


def test_autocast_reaches_checkpoints_and_ends() -> None:
    net, x = w.nn.Sequential(w.nn.Linear(4, 3), w.nn.GELU(), w.nn.Linear(3, 2)), w.randn(5, 4, requires_grad=True)
    for reentrant in (False, True):
        with w.autocast("cpu", w.float16):
            made = w.utils.checkpoint.checkpoint(net, x, use_reentrant=reentrant)
            assert w.is_autocast_cpu_enabled() and w.get_autocast_cpu_dtype() is w.float16
            with w.autocast("cpu", enabled=False):
                assert net(x).dtype is w.float32
        assert made.dtype is w.float16 and not w.is_autocast_enabled("cpu")
        made.float().sum().backward()  # compares what is computed again with what was kept
        assert net[0].weight.grad.dtype is x.grad.dtype is w.float32
    with pytest.raises(ZeroDivisionError), w.autocast("cpu", w.float16):
        raise ZeroDivisionError
    assert net(x).dtype is w.float32
    with pytest.warns(UserWarning, match="supports bfloat16 and float16"), w.autocast("cpu", w.float64):
        assert net(x).dtype is w.float32
    with pytest.raises(ValueError, match="device_type"):
        w.autocast(3)


def test_a_decorated_function_may_run_in_several_threads_at_once() -> None:
    decorator, x = w.autocast("cpu", w.float16), w.ones(2, 2)
    first_in, second_in = threading.Event(), threading.Event()

    @decorator
    def first() -> None:
        first_in.set()
        assert second_in.wait(10)

    def other() -> list[Any]:
        with w.autocast("cpu", enabled=False):
            first()
            return [(x @ x).dtype, w.is_autocast_enabled("cpu")]

    @decorator
    def second(found: Any) -> Any:
        second_in.set()
        return found.result(), (x @ x).dtype

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(other)
        assert first_in.wait(10)
        assert second(found) == ([w.float32, False], w.float16)  # the first, who came first, has left first
    assert (x @ x).dtype is w.float32 and not w.is_autocast_enabled("cpu")


def test_a_scaler_divides_sparse_gradients() -> None:
    table = w.nn.Embedding(4, 2, sparse=True)
    with w.no_grad():
        table.weight.fill_(1.0)
    opt, scaler = w.optim.SGD(table.parameters(), 0.25), w.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(table(w.tensor([1, 1, 2])).sum()).backward()
    scaler.unscale_(opt)
    assert table.weight.grad.to_dense().tolist() == [[0.0, 0.0], [2.0, 2.0], [1.0, 1.0], [0.0, 0.0]]
    scaler.step(opt)
    assert table.weight.tolist() == [[1.0, 1.0], [0.5, 0.5], [0.75, 0.75], [1.0, 1.0]]


def test_a_scaler_refuses_what_it_has_done() -> None:
    net = w.nn.Linear(2, 1)
    opt, scaler = w.optim.SGD(net.parameters(), 0.1), w.amp.GradScaler("cpu")
    with pytest.raises(AssertionError, match="scaler.scale"):
        scaler.step(opt)
    scaler.scale(net(w.ones(1, 2)).sum()).backward()
    assert net.bias.grad.item() == 65536
    scaler.unscale_(opt)
    assert net.bias.grad.item() == 1
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(opt)
    scaler.step(opt)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(opt)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(opt)
    scaler.update()
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.update()
    other = w.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 65536 and other._tracker == 1
    with pytest.raises(RuntimeError, match="disabled GradScaler"):
        other.load_state_dict({})


def test_jit_asks_for_types_with_parts() -> None:
    asked, x = getattr(w.jit, "isinstance"), w.ones(1)
    for value, kind, holds in (
        ([x], list[w.Tensor], True), ([1, "a"], list[int], False), ({"a": 1}, dict[str, int], True), ({"a": 1}, dict[str, str], False),
        (None, int | None, True), ("a", int | None, False), (3, (int, str), True), ((1, "a"), tuple[int, str], True),
        ((1, "a"), tuple[int, int], False), ((1, 2), tuple[int, ...], True), ({"k": [x]}, dict[str, list[w.Tensor]], True), (x, w.Tensor, True),
    ):  # fmt: skip
        assert asked(value, kind) is holds, (value, kind)


def test_parts_for_devices_by_hand() -> None:
    from wengert.compat import parallel

    x, two = w.arange(4.0), ["cpu", "cpu"]
    assert [part.tolist() for part in parallel.scatter(x, two)] == [[0.0, 1.0], [2.0, 3.0]]
    parts = parallel.scatter({"x": (x, 3)}, two)
    assert parts[1]["x"][0].tolist() == [2.0, 3.0] and parts[1]["x"][1] == 3
    assert parallel.gather(parallel.scatter(x, two), "cpu").tolist() == x.tolist()
    assert parallel.gather([{"x": (x[:1],)}, {"x": (x[1:],)}], "cpu")["x"][0].tolist() == x.tolist()
    given, named = parallel.scatter_kwargs((x,), {}, two)
    assert len(given) == len(named) == 2 and named[1] == {}
    square = w.nn.Identity()
    made = parallel.parallel_apply(parallel.replicate(square, two), parallel.scatter(x, two))
    assert parallel.gather(made, "cpu").tolist() == x.tolist()


def test_names_within_the_loading_of_data(tmp_path: Path) -> None:
    program = """
        import wengert.compat; wengert.compat.install()
        import torch
        from torch.nn.parallel.scatter_gather import gather, scatter
        from torch.serialization import DEFAULT_PROTOCOL
        from torch.utils.data._utils.collate import collate_str_fn, collate_tensor_fn, default_collate_fn_map, np_str_obj_array_pattern
        from torch.utils.data._utils.pin_memory import pin_memory
        from torch.utils.data.dataloader import _collate_fn_t
        pair = [torch.zeros(2), torch.ones(2)]
        assert collate_tensor_fn(pair).shape == (2, 2) and collate_str_fn(["a"]) == ["a"] and DEFAULT_PROTOCOL == 2
        assert default_collate_fn_map[str] is collate_str_fn and np_str_obj_array_pattern.search("S") and pin_memory(pair) is pair
        torch._C._jit_set_profiling_executor(False); torch._C._jit_set_profiling_mode(False)
        assert torch._C._is_tracing() is False and torch.futures.Future[torch.Tensor]
        torch.nn.parallel.scatter(torch.ones(2), ["cpu"])
    """
    path = tmp_path / "names.py"
    path.write_text(textwrap.dedent(program))
    subprocess.run([sys.executable, path], check=True)


def test_jit_is_python_with_a_warning() -> None:
    w.compat.jit._warned = False
    with pytest.warns(UserWarning, match="TorchScript"):
        assert w.jit.script(abs) is abs
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert w.jit.trace(abs, w.ones(1)) is abs
    assert not w.jit.is_scripting() and w.jit.ignore(abs) is abs and w.jit.ignore(drop=True)(abs) is abs


def test_cuda_without_a_device() -> None:
    if w.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    assert w.cuda.memory_allocated() == 0 and not w.cuda.is_initialized() and not w.cuda.is_bf16_supported()
    with pytest.raises(RuntimeError, match="wengert devices"):
        w.cuda.get_device_name(0)
    state = w.cuda.get_rng_state()
    a = w.rand(3)
    w.cuda.set_rng_state(state)
    assert w.rand(3).tolist() == a.tolist()
    w.cuda.random.manual_seed_all(4)
    assert w.initial_seed() == 4
    start, end = w.cuda.Event(enable_timing=True), w.cuda.Event(enable_timing=True)
    with pytest.raises(RuntimeError, match="recorded"):
        start.elapsed_time(end)
    start.record()
    end.record()
    assert start.elapsed_time(end) >= 0
    with w.cuda.stream(w.cuda.Stream()):
        w.cuda.current_stream().synchronize()
    with pytest.raises(AttributeError, match="no attribute 'nothing_such'"):
        w.cuda.nothing_such  # noqa: B018


def test_accelerator_is_a_device_or_none() -> None:
    found = w.accelerator.current_accelerator()
    assert w.accelerator.is_available() == (found is not None) == (w.accelerator.device_count() > 0)
    assert found is None or w.ones(1, device=found).device.type == found.type
    w.accelerator.synchronize()


def test_events_and_streams_of_any_device() -> None:
    first, last = w.Event(enable_timing=True), w.Event(enable_timing=True)
    with pytest.raises(RuntimeError, match="recorded"):
        first.elapsed_time(last)
    with w.Stream(), w.accelerator.device_index(None):
        first.record()
        time.sleep(0.002)
        last.record()
    assert first.elapsed_time(last) >= 2 and last.query()


def test_words_for_memory() -> None:
    x = w.arange(6.0).reshape(2, 3)
    assert x.new(2, 2).shape == (2, 2) and x.new([1, 2]).tolist() == [1.0, 2.0] and x.new().numel() == 0
    assert x.new(w.Size([3])).shape == (3,) and x.double().new(1).dtype is w.float64
    assert x.pin_memory() is x and not x.is_pinned()
    view = x[1]
    assert view.untyped_storage().data_ptr() == x.untyped_storage().data_ptr() and x.untyped_storage().nbytes() == 24
    assert view.storage().size() == 6 and view.storage().tolist() == [0, 1, 2, 3, 4, 5] and view.storage()[2] == 2
    assert w.is_storage(x.storage()) and not w.is_storage(x)
    shared = w.ones(3)
    assert shared.share_memory_() is shared and shared.is_shared() and shared.tolist() == [1, 1, 1] and not x.is_shared()
    with pytest.raises(RuntimeError, match="view"):
        w.ones(4)[:2].share_memory_()


def test_shared_memory_is_seen_by_forked_processes() -> None:
    program = """
    import multiprocessing, wengert
    x, y = wengert.zeros(3).share_memory_(), wengert.zeros(3)
    def work():
        x.add_(2)
        y.add_(2)
    p = multiprocessing.get_context("fork").Process(target=work)
    p.start(); p.join()
    print(x.tolist(), y.tolist())
    """
    assert printed("-c", textwrap.dedent(program)) == "[2.0, 2.0, 2.0] [0.0, 0.0, 0.0]\n"


def _fails(i: int, error: BaseException) -> None:
    if i == 1:
        raise error


def _told(i: int, queue: Any) -> None:
    if i == 5:
        raise ValueError("five")
    queue.put(i)


def test_a_module_is_shared_by_forked_processes() -> None:
    program = """
    import multiprocessing, wengert
    model = wengert.nn.BatchNorm1d(2).share_memory()
    def work():
        model(wengert.ones(3, 2)).sum().backward()
        wengert.optim.SGD(model.parameters(), lr=1.0).step()
    p = multiprocessing.get_context("fork").Process(target=work)
    p.start(); p.join()
    print(model.bias.tolist(), model.num_batches_tracked.item())
    """
    assert printed("-c", textwrap.dedent(program)) == "[-3.0, -3.0] 1\n"


def test_set_takes_anothers_memory() -> None:
    x, y = w.zeros(2, 3), w.ones(4)
    assert x.set_(y) is x and x.shape == (4,) and x.data_ptr() == y.data_ptr()
    with pytest.raises(RuntimeError, match="float32"):
        x.set_(w.ones(2, dtype=w.float64))
    memory, x = w.arange(8.0), w.tensor(())
    assert x.set_(memory.storage(), 1, (2, 2), (4, 2)).tolist() == [[1, 3], [5, 7]]
    assert w.tensor(()).set_(memory.untyped_storage()).shape == (8,)
    x[0, 1] = 9
    assert memory[3] == 9 and x.set_().shape == (0,)
    with pytest.raises(RuntimeError, match="out of bounds"):
        x.set_(memory, 4, (8,))


def test_compile_falls_back_where_programs_were_written_for_pytorch(tmp_path: Path) -> None:
    done = under_compat(
        """
        import torch
        @torch.compile
        def f(x):
            return x + 1 if x.sum() > 0 else x - 1
        print([f(torch.ones(2) * k).tolist() for k in (1, 1, -1)])
        """, tmp=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout == "[[2.0, 2.0], [2.0, 2.0], [-2.0, -2.0]]\n", done.stderr
    assert "wengert.compile" in done.stderr


def test_multiprocessing_is_pythons() -> None:
    import multiprocessing

    assert w.multiprocessing.Queue == multiprocessing.Queue and w.multiprocessing.get_sharing_strategy() == "file_system"
    queue = multiprocessing.get_context("fork").SimpleQueue()
    w.multiprocessing.spawn(_told, args=(queue,), nprocs=2, start_method="fork")
    assert {queue.get(), queue.get()} == {0, 1}
    mp = w.multiprocessing
    started = mp.start_processes(_fails, args=(ValueError("lost"),), nprocs=2, join=False, start_method="fork")
    with pytest.raises(mp.ProcessRaisedException, match="Process 1 terminated.*\n.*Traceback(.|\n)*ValueError: lost") as caught:
        while not started.join():
            pass
    assert (caught.value.error_index, caught.value.pid) == (1, started.pids()[1])
    with pytest.raises(mp.ProcessExitedException, match="process 1 terminated with exit code 3") as ended:
        mp.spawn(_fails, args=(SystemExit(3),), nprocs=2, start_method="fork")
    assert ended.value.exit_code == 3


def test_benchmark_times() -> None:
    timer = w.utils.benchmark.Timer("sum(x)", setup="x = list(range(n))", globals={"n": 1000}, label="sum")
    taken = timer.timeit(50)
    assert 1e-7 < taken.mean < 1e-2 and taken.number_per_run == 50 and "sum" in repr(taken)
    several = timer.blocked_autorange(min_run_time=0.01)
    assert len(several.times) >= 1 and several.median > 0 and several.iqr >= 0


def test_absent_parts_refuse() -> None:
    with pytest.raises(ValueError, match="init_process_group"):
        w.compat.parallel.DistributedDataParallel(None)
    assert w.distributed.get_rank() == 0 and w.distributed.get_world_size() == 1
    with pytest.raises(AttributeError, match="nothing_such"):
        w.compat.nothing_such  # noqa: B018
    model = w.compat.parallel.DataParallel(w.nn.Linear(2, 1))
    assert model(w.ones(1, 2)).shape == (1, 1) and isinstance(model.module, w.nn.Linear)


# ---- make_tensor
@pytest.mark.parametrize("kind", ["bool", "uint8", "int8", "int64", "float16", "float64", "complex64"])
def test_make_tensor(kind: str) -> None:
    dtype = getattr(w, kind)
    made = w.testing.make_tensor(3, 40, dtype=dtype, device="cpu", noncontiguous=True, exclude_zero=True)
    assert made.shape == (3, 40) and made.dtype is dtype and not made.is_contiguous() and bool((made != 0).all())
    assert w.testing.make_tensor((), dtype=dtype, device="meta", exclude_zero=True).device.type == "meta"
    narrow = w.testing.make_tensor((50,), dtype=dtype, device="cpu", low=-1e300, high=1)
    low, high = w.view_as_real(narrow).aminmax() if dtype.is_complex else narrow.double().aminmax()
    assert (low < 0 or kind in ("bool", "uint8")) and high < 1 + dtype.is_floating_point


def test_make_tensor_refuses() -> None:
    assert w.testing.make_tensor(3, dtype=w.float32, device="cpu", low=1, high=1).tolist() == [1, 1, 1]
    for options in ({"low": 2, "high": 1}, {"low": math.nan}, {"noncontiguous": True, "memory_format": w.channels_last}):
        with pytest.raises(ValueError, match="make_tensor"):
            w.testing.make_tensor(3, dtype=w.float32, device="cpu", **options)
    with pytest.raises(ValueError, match="requires_grad"):
        w.testing.make_tensor(3, dtype=w.int64, device="cpu", requires_grad=True)


# ---- assert_close
CLOSE = [
    (lambda t: (t.ones(2), t.ones(2) + 1e-6), True),
    (lambda t: (t.ones(2), t.ones(2) + 1e-4), False),
    (lambda t: (t.ones(2, dtype=t.float64), t.ones(2, dtype=t.float64) + 1e-6), False),
    (lambda t: (t.ones(2), t.ones(2, dtype=t.float64)), False),
    (lambda t: (t.ones(2), t.ones(1, 2)), False),
    (lambda t: (t.tensor([1, 2]), t.tensor([1, 3])), False),
    (lambda t: (t.tensor([float("nan")]), t.tensor([float("nan")])), False),
    (lambda t: (t.tensor([float("inf")]), t.tensor([float("inf")])), True),
    (lambda t: ([t.ones(1), 2.0], [t.ones(1), 2.0]), True),
    (lambda t: ({"a": t.ones(1)}, {"a": t.zeros(1)}), False),
    (lambda t: ({"a": t.ones(1)}, {"b": t.ones(1)}), False),
    (lambda t: ([1], [1, 2]), False),
    (lambda t: (1.0, 1.0 + 1e-9), True),
    (lambda t: (1, 2), False),
    (lambda t: (1, 1.0), False),
    (lambda t: (1 + 2j, 1 + 2j), True),
    (lambda t: (t.tensor([1 + 1j]), t.tensor([1 + 1.1j])), False),
    (lambda t: (None, None), True),
]  # fmt: skip


def passes(module: Any, make: Any, **options: Any) -> bool:
    try:
        module.testing.assert_close(*make(module), **options)
    except AssertionError as error:
        assert str(error)
        return False
    return True


@pytest.mark.parametrize(("make", "expected"), CLOSE)
def test_assert_close(make: Any, expected: bool) -> None:
    assert passes(w, make) is expected


@pytest.mark.parity
@pytest.mark.parametrize(("make", "expected"), CLOSE)
def test_assert_close_of_pytorch(make: Any, expected: bool) -> None:
    import torch

    assert passes(torch, make) is expected


def test_assert_close_options() -> None:
    w.testing.assert_close(w.ones(1), w.ones(1) + 0.1, rtol=0, atol=0.2)
    w.testing.assert_close(w.tensor([float("nan")]), w.tensor([float("nan")]), equal_nan=True)
    w.testing.assert_close(w.ones(1), w.ones(1, dtype=w.float64), check_dtype=False)
    with pytest.raises(ValueError, match="both"):
        w.testing.assert_close(1.0, 1.0, rtol=0.1)
    with pytest.raises(TypeError, match="No comparison"):
        w.testing.assert_close("a", "a")
    with pytest.raises(AssertionError, match="Mismatched elements: 1 / 2 \\(50.0%\\)\nGreatest absolute difference: 2.0 at"):
        w.testing.assert_close(w.tensor([1.0, 2.0]), w.tensor([1.0, 4.0]))
    with pytest.raises(AssertionError, match="item \\['a'\\]\\[1\\]"):
        w.testing.assert_close({"a": [1, 2]}, {"a": [1, 3]})
    with pytest.raises(AssertionError, match="^mine$"):
        w.testing.assert_close(1, 2, msg="mine")


if __name__ == "__main__":
    shown = {name: text for part in range(PARTS) for name, text in of_pytorch(part).items()}
    RECORDED.write_text(json.dumps({name: shown[name] for name in NAMES}, indent=1) + "\n")


# ---- names that few programs use
def test_rare_names_at_the_top_mean_what_pytorchs_do() -> None:
    x = w.arange(12.0).reshape(3, 4)
    copies = [w.detach_copy(x), w.select_copy(x, 0, 1), w.slice_copy(x, 1, 0, 4, 2)]
    assert [c.tolist() for c in copies] == [x.tolist(), x[1].tolist(), x[:, 0:4:2].tolist()]
    x.zero_()
    assert all(c.abs().sum() > 0 for c in copies)
    assert (w.sym_max(1, 2.0), w.sym_min(1, 2.0), w.sym_int(2.7), w.sym_float(2)) == (2.0, 1.0, 2, 2.0)
    assert (w.sym_not(True), w.sym_ite(False, 1, 2), w.sym_sum([1, 2]), w.sym_sqrt(4)) == (False, 2, 3, 2.0)
    assert type(w.sym_min(1, 2.0)) is float
    assert w.get_device_module("cuda") is w.cuda and w.get_device_module("cpu").__name__.endswith("cpu")
    assert w.resize_as_(w.ones(2), w.ones(3)).shape == (3,) and w.as_strided_(w.ones(4), (2,), (2,)).shape == (2,)
    assert not (x.is_xla or x.is_vulkan or w.is_vulkan_available())
    w.set_anomaly_enabled(True)
    try:
        assert w.is_anomaly_enabled()
    finally:
        w.set_anomaly_enabled(False)
    assert w.func.functionalize(lambda x: x.add_(1))(w.ones(1)).item() == 2
    w.testing.assert_allclose(w.ones(2), [1, 1])
    with pytest.raises(AssertionError, match="not close"):
        w.testing.assert_allclose(w.ones(2), [1, 1.1])
    conv = w.nn.Conv2d(1, 1, 1)
    assert w.nn.utils.convert_conv2d_weight_memory_format(conv, w.channels_last) is conv
    file = io.BytesIO()
    w.save(w.ones(2), file)
    file.seek(0)
    restore = w.serialization.default_restore_location
    assert w.load(file, map_location=lambda storage, place: restore(storage, "cpu")).tolist() == [1, 1]
    assert issubclass(w.serialization.SourceChangeWarning, Warning)


def test_pieces_of_checkpoints() -> None:
    from wengert.utils import checkpoint

    x = w.ones(2, requires_grad=True) * 2
    found = checkpoint.detach_variable((x, 3))
    assert found[0].is_leaf and found[0].requires_grad and found[1] == 3
    with pytest.warns(UserWarning, match="requires_grad"):
        checkpoint.check_backward_validity([w.ones(2)])
    checkpoint.set_device_states(*checkpoint.get_device_states(x))


def test_a_report_says_what_is_installed() -> None:
    from wengert.utils import collect_env

    said = collect_env.get_pretty_env_info()
    assert f"wengert version: {w.__version__}" in said and "numpy==" in said and "cpu: " in said


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("generalised", [True, False])
def test_lobpcg_gives_the_first_solutions(largest: bool, generalised: bool) -> None:
    a, b = (m @ m.mT for m in (w.arange(25.0, dtype=w.float64).reshape(5, 5).sin(), w.eye(5, dtype=w.float64) * 2))
    values, vectors = w.lobpcg(a, 2, B=b if generalised else None, largest=largest)
    every = w.linalg.eigvalsh(a) / (4 if generalised else 1)
    assert w.allclose(values, every.flip(0)[:2] if largest else every[:2])
    assert w.allclose(a @ vectors, (b if generalised else w.eye(5, dtype=w.float64)) @ vectors * values)
    full = (a + w.eye(5, dtype=w.float64)).requires_grad_()
    assert w.autograd.gradcheck(lambda m: w.lobpcg(m, 1, B=b if generalised else None, largest=True)[0], full)


def test_options_of_the_old_compiler_reach_the_new_one() -> None:
    from wengert.compat import compiler

    @compiler.optimize("eager", dynamic=True)
    def halves(x: Any) -> Any:
        return x / x.shape[0]

    assert halves.dynamic is True

    def plain(x: Any) -> Any:
        return x

    assert compiler.optimize(disable=True)(plain) is plain
    with pytest.raises(TypeError):
        compiler.optimize(no_such_option=1)

    @compiler.disallow_in_graph
    def outside(x: Any) -> Any:
        return x + 1

    broken = compiler.compile(lambda x: outside(x) * 2)
    with pytest.warns(UserWarning, match="graph break at outside"):
        assert [broken(w.ones(())).item() for _ in range(3)] == [4.0] * 3
    with compiler.set_stance("force_eager"):
        assert compiler.optimize_assert("eager")(plain)(w.ones(1)).item() == 1
