"""`cupy.RawModule` of the stand-in: CUDA C is compiled for the host by a C++ compiler, and run there.

Owns: the compiling (one shared library a source text, kept in a folder for the session), the checks of a launch, and the call.
Names, types and numbers of arguments are checked as a card would not: a wrong one is a TypeError here, nonsense there.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
COMPILER = shutil.which("g++")
FLAGS = ["-O0", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-Wno-attributes", "-w"]
CHECKS = ["-fsanitize=alignment,bounds"]  # what a card stops at; emulate.cc is told of it
BARE = ["-nodefaultlibs", "-lm", "-lgcc"]  # of kernels: to find nothing in the library of C++ takes half of the time
C_TYPES = {
    "float": "f4", "double": "f8", "long long": "i8", "int": "i4", "unsigned int": "u4", "unsigned long long": "u8", "short": "i2",
    "unsigned short": "u2", "unsigned char": "u1", "signed char": "i1", "w_c64": "c8", "w_c128": "c16",
}  # fmt: skip
FAILED = {
    1: "threads that wait for each other are at different places", 2: "misaligned address",
    3: "an index outside of an array of registers or of shared memory",
}  # fmt: skip
launches: list[str] = []  # the names of kernels in the order of their launches
sources: dict[str, str] = {}  # every source that was compiled, by its kernel's name and hash


@functools.cache
def folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="standin_cupy_"))
    import atexit

    atexit.register(shutil.rmtree, made, True)
    return made


@functools.cache
def runtime() -> Any:
    """Return the library that runs blocks of threads."""
    target = folder() / "emulate.so"
    subprocess.run([str(COMPILER), *FLAGS, str(HERE / "emulate.cc"), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target), mode=ctypes.RTLD_GLOBAL)


def parameters(source: str, name: str) -> list[tuple[str, bool]]:
    """Return the type of each parameter of a kernel, and whether it is a pointer."""
    match = re.search(rf"__global__ void (?:__launch_bounds__\(\d+\) )?{name}\((.*?)\) \{{", source)
    if match is None:
        raise AttributeError(f"no kernel {name} in the module")
    made = []
    for text in match[1].split(","):
        words, pointer = text.replace("const ", "").strip(), "*" in text
        made.append((words.split("*")[0].strip() if pointer else words.rsplit(" ", 1)[0], pointer))
    return made


class RawModule:
    """A source text with kernels."""

    def __init__(self, code: str | None = None, *, options: tuple[str, ...] = (), name_expressions: Any = None) -> None:
        if COMPILER is None:
            raise RuntimeError("the stand-in runs generated kernels by g++, which is not installed here")
        assert isinstance(code, str) and isinstance(options, tuple)
        self.code = code

    @functools.cached_property
    def compiled(self) -> Any:
        runtime()
        names = re.findall(r"__global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(", self.code)
        text = f'#include "{HERE / "prelude.h"}"\n{self.code}\n'
        for name in names:
            calls = ", ".join(f"*({t}{' *' if p else ''} *)a[{i}]" for i, (t, p) in enumerate(parameters(self.code, name)))
            text += f'extern "C" void {name}_go(void **a) {{ {name}({calls}); }}\n'
        key = hashlib.sha1(text.encode()).hexdigest()[:16]
        target = folder() / f"{key}.so"
        if not target.exists():
            made = subprocess.run([str(COMPILER), *FLAGS, *CHECKS, "-x", "c++", "-", "-o", str(target), *BARE], input=text, capture_output=True, text=True)
            if made.returncode:
                raise RuntimeError(f"the kernel does not compile: {made.stderr}\n{self.code}")
        sources[f"{names[0]}_{key}"] = self.code
        return ctypes.CDLL(str(target))

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self, name)


class RawKernel:
    """One kernel of a module."""

    def __init__(self, module: RawModule, name: str) -> None:
        self.name, self.types = name, parameters(module.code, name)
        self.go = ctypes.cast(getattr(module.compiled, f"{name}_go"), ctypes.c_void_p)
        self.waits = int("__shfl" in module.code or "__syncthreads" in module.code)
        limit = re.search(rf"__launch_bounds__\((\d+)\) {name}\(", module.code)
        self.limit = int(limit[1]) if limit else 1024

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0) -> None:
        from standin_cupy import module

        assert isinstance(grid, tuple) and isinstance(block, tuple) and isinstance(args, tuple)
        assert 0 < block[0] <= self.limit and 0 < grid[0] < 2**31 and all(0 < g < 2**16 for g in grid[1:])
        if len(args) != len(self.types):
            raise TypeError(f"{self.name} takes {len(self.types)} arguments, {len(args)} were given")
        values: list[np.ndarray[Any, Any]] = []
        memories: list[module.Guarded] = []
        for given, (name, pointer) in zip(args, self.types, strict=True):
            wanted = np.dtype(C_TYPES[name])
            if pointer:
                if not isinstance(given, module.ndarray):
                    raise TypeError(f"{self.name}: {type(given).__name__} for a pointer to {name}")
                if given._device != module.peers[0]:
                    raise RuntimeError(f"{self.name}: an array of cuda:{given._device} for a kernel of cuda:{module.peers[0]}")
                if given.dtype.itemsize != wanted.itemsize:
                    raise TypeError(f"{self.name}: an array of {given.dtype} for a pointer to {name}")
                values.append(np.array([given._a.ctypes.data], np.uint64))
                if isinstance(memory := module.root(given._a), module.Guarded):
                    memories.append(memory)
                continue
            if type(given) in (int, float, bool):
                given = np.asarray(given, {int: np.int64, float: np.float64, bool: np.bool_}[type(given)])
            if not isinstance(given, np.generic | np.ndarray) or given.ndim or given.dtype.itemsize != wanted.itemsize or (
                (given.dtype.kind == "f") != (wanted.kind == "f")
            ):
                raise TypeError(f"{self.name}: {given!r} for an argument of type {name}")
            values.append(np.ascontiguousarray(given).reshape(1))

        def run() -> None:
            launches.append(self.name)
            pointers = (ctypes.c_void_p * max(len(values), 1))(*[v.ctypes.data for v in values])
            gy = grid[1] if len(grid) > 1 else 1
            failed = runtime().w_launch(self.go, pointers, grid[0], gy, block[0], self.waits)
            if failed:
                raise RuntimeError(f"{self.name}: {FAILED[failed]}")
            for memory in memories:
                if not memory.whole():
                    raise RuntimeError(f"{self.name}: an element outside of an array was written to")

        module.done(run, args)
