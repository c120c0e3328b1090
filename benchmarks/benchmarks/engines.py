"""What the same work is run on: wengert's devices, and the libraries beside it, each chosen by name or declared absent.

Owns: the list, how one is loaded, waited for, compiled, and how it takes a training step. May import: NumPy, `faces`; the
libraries late. Must not know: any workload. The list never depends on what is installed: asv keeps results by it, and takes
NotImplementedError in a `setup` for "n/a".
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import COUNT, faces

if TYPE_CHECKING:
    from .training import Workload

TAPES = ["wengert:cpu", "wengert:opencl", "wengert:cuda", "torch:cpu", "torch:cuda"]  # with PyTorch's interface
ENGINES = [*TAPES, "jax", "autograd", "mygrad", "tinygrad"]
MODES = ["eager", "captured"]
LAZY = [("jax", "eager"), ("tinygrad", "eager")]  # what is meant to be compiled takes milliseconds an op else
TITLES = {
    ("wengert:cpu", "eager"): "wengert",
    ("wengert:cpu", "captured"): "wengert compiled",
    ("wengert:cpu", "fast"): "wengert fast_math",
    ("wengert:opencl", "eager"): "wengert OpenCL",
    ("wengert:opencl", "captured"): "OpenCL compiled",
    ("wengert:cuda", "eager"): "wengert CUDA",
    ("wengert:cuda", "captured"): "CUDA compiled",
    ("torch:cpu", "eager"): "PyTorch",
    ("torch:cpu", "captured"): "torch.compile",
    ("torch:cuda", "eager"): "PyTorch CUDA",
    ("torch:cuda", "captured"): "torch.compile CUDA",
    ("jax", "eager"): "JAX",
    ("jax", "captured"): "JAX jit",
    ("autograd", "eager"): "HIPS autograd",
    ("mygrad", "eager"): "MyGrad",
    ("tinygrad", "eager"): "tinygrad",
    ("tinygrad", "captured"): "tinygrad jit",
}
Step = Callable[[], Any]


def present(module: str) -> bool:
    """Say whether a module could be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def absent(module: str) -> NotImplementedError:
    return NotImplementedError(f"{module} is not installed")


class Engine:
    """What all have: `T`, which offers the names that workloads use, and how arrays get there."""

    def __init__(self, name: str, T: Any) -> None:
        self.name, self.T = name, T

    def place(self, array: Any) -> Any:
        """Return an array on this engine's device."""
        raise NotImplementedError

    def wait(self, out: Any = None) -> None:
        """Return when `out`, or all that was started, is done."""

    def capture(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function compiled by the engine's own compiler."""
        raise NotImplementedError(f"{self.name} has no compiler")

    def step(self, workload: Workload, mode: str = "eager") -> Step:
        """Return a function that takes a training step, waits for it, and returns the loss."""
        raise NotImplementedError

    def run(self, step: Step) -> Callable[[int], Any]:
        """Return a function that takes so many steps and waits at the end."""

        def times(count: int) -> None:
            out = None
            for _ in range(count):
                out = step()
            self.wait(out)

        return times


class Tape(Engine):
    """An engine with PyTorch's interface."""

    def __init__(self, name: str) -> None:
        module, _, self.device = name.partition(":")
        if not present(module):
            raise absent(module)
        T = importlib.import_module(module)
        T.set_num_threads(COUNT)
        super().__init__(name, T)
        reason = self.missing()
        if reason:
            raise NotImplementedError(reason)

    def missing(self) -> str:
        """Return why the device cannot be used, or nothing."""
        if self.T.__name__ == "torch":
            return "" if self.device == "cpu" or self.T.cuda.is_available() else "no CUDA device"
        from wengert import backend

        try:
            infos = backend.backend_named(self.device).devices()
        except Exception as error:  # not there, or its library does not load: the first sentence says which
            return str(error).partition(": known")[0]
        return "" if infos and infos[0].available else "; ".join(str(info.description) for info in infos) or "no device"

    def make_default(self, on: bool = True) -> None:
        """Let new tensors be on this engine's device, or on the host again."""
        if self.device != "cpu":
            self.T.set_default_device(self.device if on else "cpu")

    def place(self, array: Any) -> Any:
        return self.T.from_numpy(array).to(self.device)

    def wait(self, out: Any = None) -> None:
        if self.T.__name__ == "torch":
            if self.device == "cuda":
                self.T.cuda.synchronize()
            return
        if self.device != "cpu":
            from wengert import backend

            backend.backend_named(self.device).synchronize(0)

    def capture(self, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        if self.T.__name__ == "torch":
            self.T._dynamo.reset()  # it keeps what it compiled by code, and gives up after eight kinds of the same
        compiled: Callable[..., Any] = self.T.compile(function, **options)
        return compiled

    def step(self, workload: Workload, mode: str = "eager") -> Step:
        arrays, given, loss_of = workload.make()
        params = [self.place(a).clone().requires_grad_() for a in arrays]
        data = [self.place(a) for a in given]
        made = getattr(self.T.optim, workload.optimizer)(params, **workload.options)
        T = self.T

        def step() -> Any:
            loss = loss_of(T, params, *data)
            made.zero_grad()
            loss.backward()
            made.step()
            return loss

        return step if mode == "eager" else self.capture(step, **({"fast_math": True} if mode == "fast" else {}))


class Transforming(Engine):
    """A library of pure functions: its step is one of `value_and_grad`, and an update written out."""

    def __init__(self, name: str) -> None:
        if not present(name):
            raise absent(name)
        super().__init__(name, getattr(faces, name)())

    def place(self, array: Any) -> Any:
        return self.T.from_numpy(array)

    def wait(self, out: Any = None) -> None:
        if self.name == "jax" and out is not None:
            importlib.import_module("jax").block_until_ready(out)

    def capture(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self.name != "jax":
            return super().capture(function)
        compiled: Callable[..., Any] = importlib.import_module("jax").jit(function)
        return compiled

    def step(self, workload: Workload, mode: str = "eager") -> Step:
        arrays, given, loss_of = workload.make()
        data = [self.place(a) for a in given]
        T = self.T
        start, update = faces.optimizer(T, workload.optimizer, **workload.options)

        def pure(params: Any, state: Any, *data: Any) -> Any:
            loss, grads = T.value_and_grad(lambda params: loss_of(T, params, *data).reshape(()))(params)
            return loss, *update(params, grads, state)

        taken = self.capture(pure) if mode == "captured" else pure
        params = [self.place(a) for a in arrays]
        state = start(params)

        def step() -> Any:
            nonlocal params, state
            loss, params, state = taken(params, state, *data)
            self.wait(params)
            return loss

        return step


class Tinygrad(Engine):
    """Its tensors, optimizers and compiler, as its users write a step."""

    def __init__(self, name: str) -> None:
        if not present(name):
            raise absent(name)
        self.tinygrad = importlib.import_module(name)
        try:
            self.tinygrad.Tensor(1.0).exp().item()
        except Exception as error:  # it needs clang, or a device with a driver
            raise NotImplementedError(f"tinygrad has no device here: {error}") from error
        super().__init__(name, faces.tinygrad())

    def place(self, array: Any) -> Any:
        return self.T.from_numpy(array)

    def wait(self, out: Any = None) -> None:
        if isinstance(out, self.tinygrad.Tensor):
            out.realize()
        self.tinygrad.Device[self.tinygrad.Device.DEFAULT].synchronize()

    def capture(self, function: Callable[..., Any]) -> Callable[..., Any]:
        compiled: Callable[..., Any] = self.tinygrad.TinyJit(function)
        return compiled

    def step(self, workload: Workload, mode: str = "eager") -> Step:
        arrays, given, loss_of = workload.make()
        params, data = [self.place(a).is_param_() for a in arrays], [self.place(a) for a in given]
        made = getattr(importlib.import_module("tinygrad.nn.optim"), workload.optimizer)(params, **workload.options)
        T = self.T

        def taken() -> Any:
            made.zero_grad()
            loss = loss_of(T, params, *data).reshape(())
            loss.backward()
            loss.realize(*(p.grad for p in params))  # before the update, which its lazy graphs would read
            made.step()
            return loss

        inner = self.capture(taken) if mode == "captured" else taken

        def step() -> Any:
            with self.tinygrad.Context(TRAINING=1):
                return inner()

        return step


@functools.cache
def engine(name: str) -> Engine:
    """Return an engine. Raises NotImplementedError, asv's "n/a", where it is missing."""
    assert name in ENGINES, name
    return (Tape if name in TAPES else Tinygrad if name == "tinygrad" else Transforming)(name)


def warm(make: Callable[[], Step]) -> Step:
    """Make a function and return it when it has run three times, without other libraries' remarks on themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step = make()
        for _ in range(3):
            step()
    return step


@functools.cache
def warmed(name: str, workload: Workload, mode: str) -> Step:
    """Return a step that is warm: once a process, as a compiler may take a minute."""
    return warm(lambda: engine(name).step(workload, mode))
