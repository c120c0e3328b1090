"""Every generated CUDA kernel compiles: by NVRTC, which needs no card, for compute capabilities 7.5, 8.0 and 9.0.

Owns: the collecting of sources (the backend plans its calls on the stand-in's arrays; nothing is run) and the compiling: all
kernels of a type in one text, once an architecture, to PTX; WENGERT_CUDA_BINARY=1 goes on to machine code, kernel
by kernel. May import: the stand-in, the generator's user, NVRTC by ctypes. Skipped where NVRTC is missing (extra `nvrtc`).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import standin_cupy
import wengert as torch
from wengert.backend import backend_named
from wengert.op import OPS, Op
from wengert.testing.cases import every

ARCHITECTURES = (75, 80, 90)
FLOATS = ("float16", "float32", "float64", "bfloat16")
OTHERS = ("complex64", "complex128", "int64", "int32", "int8", "uint8", "uint64", "bool")
TYPES = (*FLOATS, *OTHERS)


# ---- NVRTC
@functools.cache
def library() -> Any:
    """Return NVRTC as a ctypes library, or None."""
    spec = importlib.util.find_spec("nvidia")
    for root in (spec.submodule_search_locations or ()) if spec is not None else ():
        for path in sorted(Path(root).glob("*/lib/libnvrtc.so.*")):
            if "builtins" not in path.name and ".alt." not in path.name:
                return ctypes.CDLL(str(path))
    return None


pytestmark = pytest.mark.skipif(library() is None, reason="NVRTC is not installed (the extra `nvrtc`)")


def compiled(source: str, architecture: str, *extra: str) -> bytes:
    """Return what NVRTC makes of a text. Raises AssertionError with its words."""
    nvrtc, program = library(), ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None) == 0
    options = [f"--gpu-architecture={architecture}", "--std=c++17", *extra]
    given = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    status = nvrtc.nvrtcCompileProgram(program, len(options), given)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert status == 0, f"{architecture}: {log.value.decode()[:4000]}"
    kind = "CUBIN" if architecture.startswith("sm_") else "PTX"
    getattr(nvrtc, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
    made = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{kind}")(program, made)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return made.raw


# ---- what there is to compile
@pytest.fixture(scope="module")
def sources() -> Iterator[dict[str, dict[str, str]]]:
    """The source of each kernel by its name, by the type it is for; each is planned, none is run."""
    pytest.importorskip("ml_dtypes")
    with standin_cupy.installed():
        backend = backend_named("cuda")
        found: dict[str, dict[str, str]] = {t: {} for t in TYPES}
        numbers = itertools.count()
        now = ""

        def get(source: str, name: str) -> Any:
            unique = f"{name}_{next(numbers)}"
            if source not in seen:
                seen[source] = unique
                found[now][unique] = source.replace(f" {name}(", f" {unique}(")
            return lambda grid, block, args: None

        seen: dict[str, str] = {}
        backend.generated.get, backend.generated.large = get, 0
        for op in OPS.values():
            op.kernels.pop(backend.cupy.ndarray, None)
        cases = every()
        for now in TYPES:  # noqa: B007
            for op in list(OPS.values()):
                if op.elementwise and (now in FLOATS or now.startswith("complex")):
                    with contextlib.suppress(*[NotImplementedError] if now in OTHERS else []):  # which some ops refuse
                        planned(backend, op, now)
                elif op.elementwise and op.name in cases and cases[op.name].integers:
                    called(op, cases[op.name], now)
            if now in FLOATS:
                reductions(backend, now)
                groups(backend, now)
                rows(backend, now)
            else:
                for name in ("sum", "prod") if now in ("bool", "complex64", "complex128") else ("sum", "prod", "amax", "amin"):
                    backend.reduced[name](array(now, 64, 64), (1,), False), backend.reduced[name](array(now, 5000, 3), (0,), False)
            apart(backend, now)
        for op in OPS.values():
            op.kernels.pop(backend.cupy.ndarray, None)
        yield found


def array(dtype: str, *shape: int) -> Any:
    return backend_named("cuda").cupy.zeros(shape, torch.bfloat16.numpy if dtype == "bfloat16" else dtype)


def called(op: Op, case: Any, dtype: str) -> None:
    """Call an op on integers, which it may convert first, or refuse; they are not computed with."""
    params = [a for a in case.samples[0].args if not hasattr(a, "draw")]
    with contextlib.suppress(NotImplementedError, TypeError, RuntimeError, ValueError):
        op(*[torch.as_tensor(array(dtype, 64, 64)) for _ in op.inputs], *params)


def planned(backend: Any, op: Op, dtype: str) -> None:
    """Plan an op on arrays in order, and (for one type) on arrays that are not, beside a number."""
    from wengert.op import ANY

    free = [op.domain == ANY or n in op.free for n in op.inputs]
    numbers = [2.5] * len(op.params)
    plain = [array("bool" if n == "condition" else dtype, 64, 64) for n in op.inputs]
    if not plain:
        return
    backend.generated.plan_elementwise(op, plain, free, numbers, ...)
    if dtype == "float32":
        turned = [a.T if i == 0 else a[:1] if i == 1 else np.float32(2).reshape(()) for i, a in enumerate(plain)]
        backend.generated.plan_elementwise(op, turned, free, numbers, ...)


def reductions(backend: Any, dtype: str) -> None:
    """Plan reductions and ops on rows: of few long rows and many short ones, along the last dim and the first."""
    shapes = [(64, 64), (3, 5000), (5000, 3), (2, 64, 7), (1 << 20,), (3, 40001)]
    for name, kernel in backend.reduced.items():
        for shape in shapes:
            for axis in ((0,), (len(shape) - 1,)):
                kernel(array(dtype, *shape), axis, *([1] if name in ("var", "std") else []), False)
    for name, kernel in backend.rows.items():
        for shape in shapes:
            for axis in ((0,), (len(shape) - 1,)):
                x = array(dtype, *shape)
                kernel(*([x, x] if name.endswith("back") else [x]), axis, *([False] if name == "logsumexp" else []))


def apart(backend: Any, dtype: str) -> None:
    """Plan what no formula is of: products, small and large, of factors in order and turned; random numbers; looks at indices."""
    from wengert_cupy import device, products, random

    for n in (64, 400) if dtype in FLOATS or dtype.startswith("complex") else ():
        x = array(dtype, n, n)
        products.product(backend.generated, x, x), products.product(backend.generated, x.T, x.T)
    if dtype in ("float32", "float64"):
        for captured in (False, True):
            backend.generated.get(random.source({"float32": "float", "float64": "double"}[dtype], captured), "k_uniform")
    if dtype == "float32":
        for source in device.CHECK.values():
            backend.generated.get(source, "w_check")


def groups(backend: Any, dtype: str) -> None:
    """Plan groups of every few ops of the table that follow each other, on arrays in order and turned ones."""
    from wengert.graph import Equation, Value
    from wengert_cupy.kernels import formula_of

    ops = [op for op in OPS.values() if op.elementwise and not op.params and formula_of(op, array(dtype, 1).dtype) is not None]
    count, kind = itertools.count(), array(dtype, 1).dtype
    for start in range(0, len(ops), 6):
        first = [Value(next(count), (64, 64), kind) for _ in range(3)]
        last, equations = first[0], []
        for op in ops[start : start + 6]:
            given = [last if last.dtype == kind else first[0], *first[1:]][: len(op.inputs)]
            if "condition" in op.inputs:
                continue
            out = Value(next(count), (64, 64), np.dtype(bool) if op.boolean else kind)
            equations.append(Equation(op, tuple(given), (), (out,)))
            last = out
        outs, x = [e.outs[0] for e in equations[-2:]], array(dtype, 64, 64)
        run = backend.fused(equations, first, outs)
        run([x, x, x], [None] * len(outs)), run([x, x.T, x[::-1]], [None] * len(outs))


def rows(backend: Any, dtype: str) -> None:
    """Plan groups with reductions: all of them over one row, of rows of a warp, of a block, and longer ones."""
    from wengert.graph import Equation, Value

    kind, count = array(dtype, 1).dtype, itertools.count()
    for n in (64, 1000, 5000, 20001):
        x, row, column = (Value(next(count), shape, kind) for shape in ((8, n), (8, 1), (n,)))
        made: list[Any] = []

        def put(name: str, given: Any, params: Any = (), shape: Any = None, made: list[Any] = made, n: int = n) -> Any:
            out = Value(next(count), (8, n) if shape is None else shape, kind)
            made.append(Equation(OPS[name], tuple(given), params, (out,)))
            return out

        scaled = put("multiply", (put("add", (x, row)), column))
        folds = [put(name, (scaled,), ((1,), True), (8, 1)) for name in ("sum", "mean", "amax", "amin")]
        last = put("divide", (put("exp", (put("subtract", (scaled, folds[2])),)), folds[0]))
        run = backend.fused(made, [x, row, column], [last, folds[1], folds[3]])
        run([array(dtype, 8, n), array(dtype, 8, 1), array(dtype, n)], [None] * 3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_kernel_compiles(sources: Any, dtype: str, architecture: int) -> None:
    assert len(sources[dtype]) > (100 if dtype in FLOATS[:3] else 50 if dtype == "bfloat16" else 10)
    for name in [] if dtype in OTHERS else ["k_group", "k_rows", "k_product", "k_softmax", "k_sum"]:
        assert len([n for n in sources[dtype] if n.startswith(name)]) > 1, name
    ptx = compiled("\n".join(sources[dtype].values()), f"compute_{architecture}", "--Ofast-compile=max")
    assert all(f".entry {name}(".encode() in ptx for name in sources[dtype])


def test_what_does_not_compile_is_noticed() -> None:
    with pytest.raises(AssertionError, match="identifier"):
        compiled('extern "C" __global__ void k(float * x) { x[0] = nonsense(x[0]); }', "compute_80")


@pytest.mark.skipif(not os.environ.get("WENGERT_CUDA_BINARY"), reason="takes minutes: WENGERT_CUDA_BINARY=1 asks for it")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_kernel_becomes_machine_code(sources: Any, dtype: str, architecture: int) -> None:
    for name, source in sources[dtype].items():
        assert compiled(source, f"sm_{architecture}"), name
