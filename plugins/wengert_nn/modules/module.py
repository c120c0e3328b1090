"""`Module`: what layers and models are made of, a tree of parameters, buffers and modules.

Owns: registration by assignment, the walks over the tree, state dicts, conversion, hooks, the nested repr.
May import: `wengert`'s public names, parameters. Must not know: any layer, devices, the tape. Names, the order of state
dicts, and what errors say are PyTorch's, so that checkpoints and programs go from one to the other.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, ClassVar, Self

import wengert
from wengert import Tensor
from wengert.extend import Handle
from wengert_nn.modules.backward_hooks import Watch, watch_last
from wengert_nn.modules.parameter import Buffer, Parameter, is_lazy

Hook = Callable[..., Any]
Table = dict[str, Any]

_global_pre_hooks: dict[int, Hook] = OrderedDict()
_global_hooks: dict[int, Hook] = OrderedDict()
_global_hooks_with_kwargs: dict[int, bool] = {}
_global_hooks_always_called: dict[int, bool] = {}
_global_backward_pre_hooks: dict[int, Hook] = OrderedDict()
_global_backward_hooks: dict[int, Hook] = OrderedDict()
_global_is_full_backward_hook: bool | None = None  # False: the global backward hooks are of the older kind
_global_registration_hooks: dict[str, dict[int, Hook]] = {
    what: OrderedDict() for what in ("parameter", "buffer", "module")
}
_extra = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What load_state_dict found missing in a state dict, and what it had no place for."""

    def __repr__(self) -> str:
        return "<All keys matched successfully>" if not (self.missing_keys or self.unexpected_keys) else super().__repr__()

    __str__ = __repr__


def _typename(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(value.type())
    module = type(value).__module__
    return type(value).__qualname__ if module in ("builtins", "__main__") else f"{module}.{type(value).__qualname__}"


def indented(text: str) -> str:
    """Return a text with all lines but the first two columns further in."""
    return text.replace("\n", "\n  ")


def _add(table: dict[int, Hook], hook: Hook, prepend: bool = False, *beside: dict[int, bool]) -> Handle:
    """Put a hook into its table, and a mark for it into others."""
    handle = Handle(table, *beside)
    table[handle.id] = hook
    for marks in beside:
        marks[handle.id] = True
    if prepend:
        table.move_to_end(handle.id, last=False)  # type: ignore[attr-defined]
    return handle


class Module:
    """The base class of layers and models.

    Parameters, buffers and modules that are assigned to attributes are registered: `parameters()`, `state_dict()`, `to()`
    and their kin find them, in the order of assignment. A class says in `forward` what a call does.
    """

    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _version: int = 1
    dump_patches: bool = False
    call_super_init: bool = False
    __constants__: ClassVar[list[str]] = []
    _compiled_call_impl: Any = None
    _is_full_backward_hook: bool | None = None  # False: the backward hooks are of the older kind

    _TABLES: ClassVar[tuple[str, ...]] = (
        "_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
        "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
    )  # fmt: skip

    _SHARED: ClassVar[tuple[Any, ...]] = (  # what all of them read
        _global_pre_hooks, _global_hooks, _global_backward_pre_hooks, _global_backward_hooks
    )  # fmt: skip

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let functions of wengert that a program's class has as attributes take no self: PyTorch's are built in."""
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("wengert"):
            return
        for name, value in list(vars(cls).items()):
            if type(value) is FunctionType and (value.__module__ or "").startswith("wengert") and "." not in value.__qualname__:
                setattr(cls, name, staticmethod(value))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs and not self.call_super_init:
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'")
        if args and not self.call_super_init:
            raise TypeError(
                f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
            )
        own = self.__dict__
        own["training"] = True
        own["_parameters"], own["_buffers"], own["_modules"] = {}, {}, {}
        own["_non_persistent_buffers_set"] = set()
        for table in self._TABLES:
            own[table] = OrderedDict()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *input: Any, **kwargs: Any) -> Any:
        """Return what a call of this module does; every class says so itself."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    # ---- calling
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._compiled_call_impl is not None:
            return self._compiled_call_impl(*args, **kwargs)
        if (
            self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks
            or _global_hooks or _global_pre_hooks or _global_backward_hooks or _global_backward_pre_hooks
        ):  # fmt: skip
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        done: set[int] = set()
        result = None
        after = [*_global_hooks.items(), *self._forward_hooks.items()]
        try:
            for key, hook in [*_global_pre_hooks.items(), *self._forward_pre_hooks.items()]:
                args, kwargs = _before(self, hook, key in self._forward_pre_hooks_with_kwargs, args, kwargs)
            after = [*_global_hooks.items(), *self._forward_hooks.items()]  # a lazy module's first hook removes itself
            watch = None
            watched, last = _watching(self)
            watched_before = [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
            if watched or watched_before:
                watch = Watch(self, watched_before, watched)
                args = watch.inputs(args)
            result = self.forward(*args, **kwargs)
            for key, hook in after:
                done.add(key)
                result = _after(self, hook, key, args, kwargs, result)
            if last:
                watch_last(self, args, result, last)
            return result if watch is None else watch.outputs(result)
        except Exception:
            for key, hook in after:
                if (key in self._forward_hooks_always_called or key in _global_hooks_always_called) and key not in done:
                    try:
                        result = _after(self, hook, key, args, kwargs, result)
                    except Exception as error:
                        warnings.warn(
                            f"module forward hook with ``always_call=True`` raised an exception that was silenced as another "
                            f"error was raised in forward: {error}",
                            stacklevel=2,
                        )
            raise

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Let calls of this module run as a program that `wengert.compile` captures."""
        self.__dict__["_compiled_call_impl"] = wengert.compile(self._run_eagerly, *args, **kwargs)

    def _run_eagerly(self, *args: Any, **kwargs: Any) -> Any:
        before = self.__dict__.pop("_compiled_call_impl", None)
        try:
            return self(*args, **kwargs)
        finally:
            self.__dict__["_compiled_call_impl"] = before

    # ---- registration
    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter (None: a place for one). Raises KeyError for a name that is taken or no good, TypeError."""
        _check_name(self, "parameter", name, "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{_typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. To "
                    f"express '{name}' as a function of another Tensor, compute the value in the forward() method."
                )
        self._parameters[name] = None if param is None else _registered(self, "parameter", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is no parameter; persistent: whether state_dict() has it. Raises KeyError, TypeError."""
        _check_name(self, "buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = _registered(self, "buffer", name, tensor)
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child. Raises KeyError for a name that is taken or no good, TypeError for what is no module."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        _check_name(self, "module", name, "_modules")
        self._modules[name] = _registered(self, "module", name, module)

    register_module = add_module

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, Parameter):
            _forget(self, name, "parameters", "_buffers", "_modules")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            _forget(self, name, "module", "_parameters", "_buffers")
            own["_modules"][name] = _registered(self, "module", name, value)
        elif isinstance(value, Buffer):
            _forget(self, name, "buffers", "_parameters", "_modules")
            if value.persistent:
                self.register_buffer(name, value)  # a class may have its own, of two arguments
            else:
                self.register_buffer(name, value, False)
        elif name in own.get("_parameters", ()):
            if value is not None:
                kind = _typename(value)
                raise TypeError(f"cannot assign '{kind}' as parameter '{name}' (torch.nn.Parameter or None expected)")
            own["_parameters"][name] = None
        elif name in own.get("_modules", ()):
            if value is not None:
                kind = _typename(value)
                raise TypeError(f"cannot assign '{kind}' as child module '{name}' (torch.nn.Module or None expected)")
            own["_modules"][name] = _registered(self, "module", name, None)
        elif name in own.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)"
                )
            own["_buffers"][name] = _registered(self, "buffer", name, value)
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for table in ("_parameters", "_buffers", "_modules"):
            found = own.get(table)
            if found is not None and name in found:
                return found[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                self._non_persistent_buffers_set.discard(name)
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._buffers, *self._modules}
        return sorted(n for n in names if not n[:1].isdigit())

    # ---- walks
    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it by their dotted names, each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules right below this one by name, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the modules right below this one."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, get: Callable[[Module], Any], prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        below = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in below:
            for name, value in get(module):
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield parameters by their dotted names, each once; recurse: those of the modules below too."""
        yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield parameters."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield buffers by their dotted names, each once."""
        yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """Return the module of a dotted name. Raises AttributeError where there is none."""
        module: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module  # type: ignore[no-any-return]

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module in the place of a dotted name; strict: one that exists. Raises ValueError, AttributeError."""
        if not target:
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter of a dotted name. Raises AttributeError where there is none."""
        found = _member(self, target)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{target.rpartition('.')[2]}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer of a dotted name. Raises AttributeError where there is none."""
        found = _member(self, target)
        path, _, name = target.rpartition(".")
        if name not in self.get_submodule(path)._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return found  # type: ignore[no-any-return]

    # ---- state dicts
    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """Return parameters and persistent buffers by their dotted names; keep_vars: with their history, not detached."""
        if args:  # PyTorch's older order of arguments
            given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination, prefix = given.get("destination", destination), given.get("prefix", prefix)
            keep_vars = given.get("keep_vars", keep_vars)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            given = hook(self, destination, prefix, metadata)
            destination = destination if given is None else given
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, value in _own_state(self):
            destination[prefix + name] = value if keep_vars or is_lazy(value) else value.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + _extra] = self.get_extra_state()

    def get_extra_state(self) -> Any:
        """Return what else the state dict has of this module; a class that has this has `set_extra_state` too."""
        raise RuntimeError("Reached a code path in Module.get_extra_state() that should never be called.")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise RuntimeError("Reached a code path in Module.set_extra_state() that should never be called.")

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Copy parameters and buffers from a state dict; assign: take its tensors instead.

        NumPy arrays, and other libraries' tensors that become such, count as tensors. Returns the missing and the unexpected
        keys. Raises RuntimeError for those if strict, and for shapes that differ; what fits is copied then too, as in PyTorch.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        report, wrong = _IncompatibleKeys([], []), list[str]()
        missing, unexpected = report
        _load_all(self, OrderedDict(state_dict), "", getattr(state_dict, "_metadata", {}), assign, report, wrong)
        if strict:
            for what, keys in (("Unexpected", unexpected), ("Missing", missing)):
                if keys:
                    listed = ", ".join(f'"{key}"' for key in keys)
                    wrong.insert(0, f"{what} key(s) in state_dict: {listed}. ")
        if wrong:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(wrong))
        return report

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str],
        unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Load this module's own parameters and buffers, not those of its children; a class may load older formats here."""
        for hook, with_module in self._load_state_dict_pre_hooks.values():
            arguments = (state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
            hook(*((self, *arguments) if with_module else arguments))
        assign = local_metadata.get("assign_to_params_buffers", False)
        own = dict(_own_state(self))
        for name, value in own.items():
            key = prefix + name
            if key in state_dict:
                problem = _load(self, name, value, key, state_dict[key], assign)
                if problem is not None:
                    error_msgs.append(problem)
            elif strict:
                missing_keys.append(key)
        key = prefix + _extra
        if type(self).set_extra_state is not Module.set_extra_state:
            if key in state_dict:
                self.set_extra_state(state_dict[key])
            elif strict:
                missing_keys.append(key)
        elif strict and key in state_dict:
            unexpected_keys.append(key)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != prefix + _extra:
                    first, dot, _ = key[len(prefix) :].partition(".")
                    if first not in self._modules if dot else first not in own:
                        unexpected_keys.append(key)

    # ---- conversion
    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Let every parameter, gradient and buffer be what `fn` makes of it; parameters stay the same objects."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            with wengert.no_grad():
                _become(parameter, fn(parameter))
                if parameter.grad is not None:
                    _become(parameter.grad, fn(parameter.grad))
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` with every module below this one, and with this one last."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device, or to a dtype (floating and complex tensors only), or to those of a tensor: in place."""
        if args and isinstance(args[0], wengert.dtype | type):
            args = (None, *args)
        elif args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        device, dtype = _target(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}")
        return self._apply(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() or t.is_complex() else None))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without the values."""
        return self._apply(lambda t: wengert.empty_like(t, device=device), recurse)

    def cpu(self) -> Self:
        """Move to the host."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Self:
        """Move to the CUDA device; without one, to this machine's best device."""
        return self._apply(lambda t: t.cuda(device))

    def type(self, dst_type: Any) -> Self:
        """Convert every parameter and buffer to a dtype."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Convert floating parameters and buffers to float32."""
        return self._apply(_floating(wengert.float32))

    def double(self) -> Self:
        """Convert floating parameters and buffers to float64."""
        return self._apply(_floating(wengert.float64))

    def half(self) -> Self:
        """Convert floating parameters and buffers to float16."""
        return self._apply(_floating(wengert.float16))

    def bfloat16(self) -> Self:
        """Convert floating parameters and buffers to bfloat16."""
        return self._apply(_floating(wengert.bfloat16))

    def share_memory(self) -> Self:
        """Move parameters and buffers to where processes made by fork see each other's writes, and return self."""
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.share_memory_()
        return self

    # ---- modes
    def train(self, mode: bool = True) -> Self:
        """Turn training (or, by False, evaluation) on for this module and all below."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Turn evaluation on: dropout passes everything, batch norm uses its running statistics."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask for (or give up) the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; set_to_none=False: fill them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                if set_to_none:
                    parameter.grad = None
                else:
                    parameter.grad = parameter.grad.detach()
                    parameter.grad.zero_()

    # ---- hooks
    def register_forward_pre_hook(self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """Call `hook(module, args)` (with_kwargs: and kwargs) before forward; what it returns replaces the arguments."""
        return _add(self._forward_pre_hooks, hook, prepend, *[self._forward_pre_hooks_with_kwargs] * with_kwargs)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> Handle:
        """Call `hook(module, args, output)` (with_kwargs: args, kwargs, output) after forward; what it returns is the output.

        always_call: also where forward raises.
        """
        marks = [*[self._forward_hooks_with_kwargs] * with_kwargs, *[self._forward_hooks_always_called] * always_call]
        return _add(self._forward_hooks, hook, prepend, *marks)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> Handle:
        """Call `hook(module, grad_input, grad_output)` when both are known; what it returns replaces grad_input."""
        self._is_full_backward_hook = _one_kind(True, self._is_full_backward_hook, "a single Module")
        return _add(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, grad_input, grad_output)` with the gradients of the last operation: PyTorch's older kind."""
        self._is_full_backward_hook = _one_kind(False, self._is_full_backward_hook, "a single Module")
        return _add(self._backward_hooks, hook)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> Handle:
        """Call `hook(module, grad_output)` before the module's backward; what it returns replaces grad_output."""
        return _add(self._backward_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after state_dict()."""
        return _add(self._state_dict_hooks, hook)

    _register_state_dict_hook = register_state_dict_post_hook

    def register_state_dict_pre_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, prefix, keep_vars)` before state_dict()."""
        return _add(self._state_dict_pre_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)` before
        this module loads its part of a state dict."""
        return self._register_load_state_dict_pre_hook(hook, True)

    def _register_load_state_dict_pre_hook(self, hook: Hook, with_module: bool = False) -> Handle:
        return _add(self._load_state_dict_pre_hooks, (hook, with_module))  # type: ignore[arg-type]

    def register_load_state_dict_post_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, incompatible_keys)` after load_state_dict(); it may change the keys in place."""
        return _add(self._load_state_dict_post_hooks, hook)

    # ---- how it looks, and pickles
    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return what stands in the parentheses of the repr, beside the children."""
        return ""

    def __repr__(self) -> str:
        own = self.extra_repr()
        children = [f"({name}): {indented(repr(module))}" for name, module in self._modules.items()]
        if not children and "\n" not in own:
            return f"{self._get_name()}({own})"
        lines = [*(own.split("\n") if own else ()), *children]
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_compiled_call_impl"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for table in self._TABLES:
            self.__dict__.setdefault(table, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())


def _check_name(module: Module, what: str, name: Any, table: str) -> None:
    if table not in module.__dict__:
        raise AttributeError(f"cannot assign {what} before Module.__init__() call")
    if not isinstance(name, str):
        raise TypeError(f"{what} name should be a string. Got {_typename(name)}")
    if hasattr(module, name) and name not in module.__dict__[table]:
        raise KeyError(f"attribute '{name}' already exists")
    if "." in name:
        raise KeyError(f'{what} name can\'t contain ".", got: {name}')
    if not name:
        raise KeyError(f'{what} name can\'t be empty string ""')


def _forget(module: Module, name: str, what: str, *tables: str) -> None:
    """Take a name out of the instance and of other tables, before it is registered. Raises AttributeError too early."""
    own = module.__dict__
    if "_parameters" not in own:
        raise AttributeError(f"cannot assign {what} before Module.__init__() call")
    own.pop(name, None)
    for table in tables:
        own[table].pop(name, None)
    own["_non_persistent_buffers_set"].discard(name)


def _registered(module: Module, what: str, name: str, value: Any) -> Any:
    for hook in _global_registration_hooks[what].values():
        given = hook(module, name, value)
        value = value if given is None else given
    return value


def _member(module: Module, target: str) -> Any:
    path, _, name = target.rpartition(".")
    owner = module.get_submodule(path)
    if not hasattr(owner, name):
        raise AttributeError(f"{owner._get_name()} has no attribute `{name}`")
    return getattr(owner, name)


def _own_state(module: Module) -> list[tuple[str, Any]]:
    members = [*module._parameters.items(), *module._buffers.items()]
    return [(n, v) for n, v in members if v is not None and n not in module._non_persistent_buffers_set]


def _load_all(module: Module, given: Any, prefix: str, metadata: Any, assign: bool, report: Any, wrong: list[str]) -> None:
    local = dict(metadata.get(prefix[:-1], {}), assign_to_params_buffers=assign)
    module._load_from_state_dict(given, prefix, local, True, report.missing_keys, report.unexpected_keys, wrong)
    for name, child in module._modules.items():
        if child is not None:
            inside = f"{prefix}{name}."
            part = {k: v for k, v in given.items() if k.startswith(inside)}
            _load_all(child, part, inside, metadata, assign, report, wrong)
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, report) is not None:
            raise AssertionError(
                "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new values, "
                "if incompatible_keys need to be modified, it should be done inplace."
            )


def _load(module: Module, name: str, value: Any, key: str, given: Any, assign: bool) -> str | None:
    """Take one tensor of a state dict; what is wrong with it, or None."""
    if not isinstance(given, Tensor):
        if not hasattr(given, "__array__"):
            return (
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint '
                f"but received {type(given)}"
            )
        given = wengert.tensor(given.detach().numpy() if hasattr(given, "detach") else given)
    if not is_lazy(value) and not is_lazy(given) and not value.ndim and given.ndim == 1:
        given = given[0]  # checkpoints from before there were tensors of no dim
    if is_lazy(value):
        if not is_lazy(given):
            with wengert.no_grad():
                value.materialize(given.shape)
    elif is_lazy(given) or value.shape != given.shape:
        found = "an uninitialized one" if is_lazy(given) else given.shape
        return (
            f"size mismatch for {key}: copying a param with shape {found} from checkpoint, the shape in current model is "
            f"{value.shape}."
        )
    if is_lazy(given):
        return None
    if value.is_meta and not given.is_meta and not assign:
        warnings.warn(
            f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in the current model, "
            "which is a no-op. Did you mean to pass `assign=True` to take the tensors of the checkpoint?",
            stacklevel=2,
        )
    try:
        with wengert.no_grad():
            if not assign:
                value.copy_(given)
            elif not isinstance(value, Parameter):
                setattr(module, name, given)
            elif isinstance(given, Parameter):
                setattr(module, name, given.requires_grad_(value.requires_grad))
            else:
                setattr(module, name, Parameter(given, value.requires_grad))
    except Exception as error:
        return (
            f'While copying the parameter named "{key}", whose dimensions in the model are {value.shape} and whose '
            f"dimensions in the checkpoint are {given.shape}, an exception occurred : {error.args}."
        )
    return None


def _watching(module: Module) -> tuple[list[Hook], list[Hook]]:
    """Return the backward hooks, and those of the older kind."""
    kinds: tuple[list[Hook], list[Hook]] = [], []
    kinds[_global_is_full_backward_hook is False].extend(_global_backward_hooks.values())
    kinds[module._is_full_backward_hook is False].extend(module._backward_hooks.values())
    return kinds


def _before(
    module: Module, hook: Hook, with_kwargs: bool, args: tuple[Any, ...], kwargs: Table
) -> tuple[tuple[Any, ...], Table]:
    if not with_kwargs:
        given = hook(module, args)
        return (args if given is None else given if isinstance(given, tuple) else (given,)), kwargs
    given = hook(module, args, kwargs)
    if given is None:
        return args, kwargs
    if not isinstance(given, tuple) or len(given) != 2:
        raise RuntimeError(f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {given}.")
    return given


def _after(module: Module, hook: Hook, key: int, args: tuple[Any, ...], kwargs: Table, result: Any) -> Any:
    with_kwargs = key in module._forward_hooks_with_kwargs or key in _global_hooks_with_kwargs
    given = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
    return result if given is None else given


def _floating(dtype: Any) -> Callable[[Any], Any]:
    return lambda t: t.to(dtype) if t.is_floating_point() else t


def _target(
    device: Any = None, dtype: Any = None, non_blocking: bool = False, *, tensor: Any = None, memory_format: Any = None
) -> tuple[Any, Any]:
    """Return the device and the dtype that the arguments of `to` mean. Raises TypeError for what is neither."""
    if tensor is not None:
        device, dtype = tensor.device, tensor.dtype
    if isinstance(device, bool) or not isinstance(device, str | int | wengert.device | None):
        raise TypeError(f"to(): expected a device, a dtype or a tensor, but got {type(device).__name__}")
    dtype = {float: wengert.float64, complex: wengert.complex128}.get(dtype, dtype)
    if not isinstance(dtype, wengert.dtype | None):
        raise TypeError(f"to(): expected a dtype after the device, but got {type(dtype).__name__}")
    return device, dtype


def _become(tensor: Any, value: Any) -> None:
    if value is not tensor:
        tensor.data = value


# ---- hooks of all modules
def register_module_forward_pre_hook(hook: Hook) -> Handle:
    """Call `hook(module, args)` before the forward of every module."""
    return _add(_global_pre_hooks, hook)


def register_module_forward_hook(hook: Hook, *, with_kwargs: bool = False, always_call: bool = False) -> Handle:
    """Call `hook(module, args, output)` (with_kwargs: args, kwargs, output) after the forward of every module."""
    marks = [*[_global_hooks_with_kwargs] * with_kwargs, *[_global_hooks_always_called] * always_call]
    return _add(_global_hooks, hook, False, *marks)


def register_module_full_backward_hook(hook: Hook) -> Handle:
    """Call `hook(module, grad_input, grad_output)` after the backward of every module."""
    global _global_is_full_backward_hook
    _global_is_full_backward_hook = _one_kind(True, _global_is_full_backward_hook, "all Modules")
    return _add(_global_backward_hooks, hook)


def register_module_backward_hook(hook: Hook) -> Handle:
    """Call `hook(module, grad_input, grad_output)` with the gradients of the last operation of every module."""
    global _global_is_full_backward_hook
    _global_is_full_backward_hook = _one_kind(False, _global_is_full_backward_hook, "all Modules")
    return _add(_global_backward_hooks, hook)


def _one_kind(full: bool, before: bool | None, where: str) -> bool:
    if before is not None and before is not full:
        raise RuntimeError(f"Cannot use both regular backward hooks and full backward hooks on {where}. Please use only one.")
    return full


def register_module_full_backward_pre_hook(hook: Hook) -> Handle:
    """Call `hook(module, grad_output)` before the backward of every module."""
    return _add(_global_backward_pre_hooks, hook)


def register_module_parameter_registration_hook(hook: Hook) -> Handle:
    """Call `hook(module, name, parameter)` where a module registers one; what it returns is registered instead."""
    return _add(_global_registration_hooks["parameter"], hook)


def register_module_buffer_registration_hook(hook: Hook) -> Handle:
    """Call `hook(module, name, buffer)` where a module registers one; what it returns is registered instead."""
    return _add(_global_registration_hooks["buffer"], hook)


def register_module_module_registration_hook(hook: Hook) -> Handle:
    """Call `hook(module, name, submodule)` where a module registers one; what it returns is registered instead."""
    return _add(_global_registration_hooks["module"], hook)


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take a prefix off the keys of a state dict, in place, as "module." of a parallel model."""
    for key in [key for key in state_dict if key.startswith(prefix)]:
        state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata: dict[str, Any] = getattr(state_dict, "_metadata", {})
    for key in [*metadata]:
        if key == prefix.rstrip(".") or key.startswith(prefix):
            metadata[key[len(prefix) :]] = metadata.pop(key)


class Settings(Module):
    """A module that keeps its arguments as attributes; those in `shown` stand in its repr."""

    shown: ClassVar[str] = ""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        for name, value in settings.items():
            setattr(self, name, value)

    def extra_repr(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in self.shown.split()]
        if "inplace" in self.__dict__ and "inplace" not in self.shown and self.inplace:
            parts.append("inplace=True")
        return ", ".join(parts)
