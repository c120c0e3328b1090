"""`nn.utils.parametrize`: parameters that are functions of other ones, which are what is trained.

Owns: `ParametrizationList`, the class with properties that a parametrized module gets, the cache. May import: Module,
containers, Parameter. Must not know: any parametrization, devices. `module.parametrizations.<name>` has the functions in
order and the tensors they start from: `original`, or `original0`, `original1`, ... where right_inverse gives several.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import wengert
from wengert import Tensor
from wengert_nn.modules.container import ModuleDict, ModuleList
from wengert_nn.modules.module import Module
from wengert_nn.modules.parameter import Parameter

_cache: dict[tuple[int, str], Any] = {}
_caching = 0
CHANGED = "A parametrization must return a tensor", "Registering a parametrization may not change the {}"


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once inside this block."""
    global _caching
    _caching += 1
    try:
        yield
    finally:
        _caching -= 1
        if not _caching:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, and what they are functions of."""

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        kind = original.dtype, original.shape
        try:
            start = self._inverted(original)
        except NotImplementedError:  # then the tensor itself is what is trained
            start = original
        if not isinstance(start, Tensor | Sequence):
            raise ValueError(
                f"'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got {type(start).__name__}"
            )
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if isinstance(start, Tensor):
            if original.dtype != start.dtype and not unsafe:
                raise ValueError(
                    f"When `right_inverse` outputs one tensor, it may not change the dtype.\noriginal.dtype: {original.dtype}\n"
                    f"right_inverse(original).dtype: {start.dtype}"
                )
            self._keep("original", original, start)
        else:
            for i, value in enumerate(start):
                if not isinstance(value, Tensor):
                    raise ValueError(
                        f"'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got element {i} of "
                        f"the sequence with type {type(value).__name__}."
                    )
                made = Parameter(value.detach(), original.requires_grad) if isinstance(original, Parameter) else value
                _register(self, f"original{i}", made)
        if not unsafe:
            _check(self(), kind, *CHANGED)

    def _keep(self, name: str, original: Any, value: Any) -> None:
        if value is not original:
            original.data = value.detach()
        _register(self, name, original)

    def _inverted(self, value: Any) -> Any:
        with wengert.no_grad():
            for module in reversed([*self]):
                if hasattr(module, "right_inverse"):
                    value = module.right_inverse(value)
                elif not isinstance(value, Tensor):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse")
        return value

    @property
    def originals(self) -> tuple[Any, ...]:
        """What the first parametrization is called with."""
        return (self.original,) if self.is_tensor else tuple(getattr(self, f"original{i}") for i in range(self.ntensors))

    def right_inverse(self, value: Any) -> None:
        """Let the originals be what the parametrized tensor has this value for. Raises RuntimeError where that is unknown."""
        with wengert.no_grad():
            for module in reversed([*self]):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            values = (value,) if self.is_tensor else tuple(value)
            if len(values) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got {len(values)}."
                )
            for original, new in zip(self.originals, values, strict=True):
                if original.dtype != new.dtype:
                    raise ValueError(f"The tensor has dtype {original.dtype}, right_inverse gave {new.dtype}")
                original.data = new.detach()

    def forward(self) -> Any:
        first, *rest = self
        x = first(*self.originals)
        for module in rest:
            x = module(x)
        return x


def _check(made: Any, kind: tuple[Any, Any], no_tensor: str, other: str) -> None:
    """Raise ValueError unless what a parametrization made is a tensor of this dtype and shape."""
    if not isinstance(made, Tensor):
        raise ValueError(f"{no_tensor}. Got {type(made).__name__}.")
    for what, before in zip(("dtype", "shape"), kind, strict=True):
        after = getattr(made, what)
        if before != after:
            raise ValueError(
                f"{other.format(what)} of the tensor, unless `unsafe` flag is enabled.\nunparametrized {what}: {before}\n"
                f"parametrized {what}: {after}"
            )


def _register(module: Module, name: str, value: Any) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _property(name: str) -> property:
    def get(self: Any) -> Any:
        if not _caching:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def put(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def _own_class(module: Any) -> None:
    """Give a module a class of its own, which may have properties."""
    before = type(module)

    def deep(self: Any, memo: dict[int, Any]) -> Any:
        made = object.__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update({k: copy.deepcopy(v, memo) for k, v in self.__dict__.items()})
        made.__class__ = type(type(self).__name__, type(self).__bases__, dict(vars(type(self))))
        return made

    def state(self: Any) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(). See load_state_dict()."
        )

    module.__class__ = type(f"Parametrized{before.__name__}", (before,), {"__deepcopy__": deep, "__getstate__": state})
    module.parametrizations = ModuleDict()


def register_parametrization(module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Any:
    """Let a parameter or buffer of a module be a function of what is trained in its place, and return the module.

    unsafe: the function may change dtype and shape. Raises ValueError where it does, or where there is no such tensor.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        held = module.parametrizations[tensor_name]
        if not unsafe:
            before = getattr(module, tensor_name)
            kind, after = (before.dtype, before.shape), parametrization(before)
            _check(after, kind, *CHANGED)
            with contextlib.suppress(NotImplementedError):
                if hasattr(parametrization, "right_inverse"):
                    back = parametrization.right_inverse(after)
                    name = "parametrization.right_inverse must"
                    _check(back, kind, f"{name} return a tensor", f"The tensor returned by {name} have the same {{}} as that")
        held.append(parametrization)
        held.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        held = ParametrizationList([parametrization], original, unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _own_class(module)
        setattr(type(module), tensor_name, _property(tensor_name))
        module.parametrizations[tensor_name] = held
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    return module


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Say whether a module has parametrizations, or a tensor of it has."""
    held = module.__dict__.get("_modules", {}).get("parametrizations")
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Let a tensor be plain again: with the value it has (leave_parametrized), or what it was a function of."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    held = module.parametrizations[tensor_name]
    original = held.original if held.is_tensor else None
    if leave_parametrized:
        with wengert.no_grad():
            value = getattr(module, tensor_name)
        if original is None:
            original = Parameter(value, any(x.requires_grad for x in held.originals))
        else:
            original.data = value.detach()
    elif original is None:
        raise ValueError("Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of "
                         "a sequence of tensors.")  # fmt: skip
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    _register(module, tensor_name, original)
    return module


def type_before_parametrizations(module: Any) -> type:
    """Return the class a module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module: Any, to_module: Any, tensor_name: str | None = None) -> Any:
    """Let a module be parametrized as another is, with copies of its originals, and return it."""
    if not is_parametrized(from_module):
        return to_module
    for name in [tensor_name] if tensor_name is not None else list(from_module.parametrizations):
        held = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        for parametrization in held:
            register_parametrization(to_module, name, parametrization, unsafe=True)
        for original, value in zip(to_module.parametrizations[name].originals, held.originals, strict=True):
            original.data = value.detach().clone()
    return to_module
