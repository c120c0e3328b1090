"""The frame every optimizer shares: parameter groups, state, hooks, and a `step` that calls one small `update`.

Owns: `Optimizer`, its state dict (PyTorch's layout), the checks of hyperparameters by name, and the three formulas
that most updates need (`descend`, `count`, `debias`).
May import: the grad switch, the hook handle, what tensors are; `wengert`'s public names, when they are used.
Must not know: any optimizer, any device but the host.
Nothing here needs a tensor's value while stepping, so a recording backend can capture `step` as it stands.
"""

from __future__ import annotations

import copy
import functools
import math
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

import wengert
from wengert import modes
from wengert._tensor import INFERENCE, PLAIN
from wengert.dtypes import F32, F64
from wengert.inplace import bump
from wengert.tape import Handle

if TYPE_CHECKING:
    from wengert import Tensor

Group = dict[str, Any]
State = dict[str, Any]
Closure = Callable[[], Any]
Check = Callable[[Any], str | None]  # a value's complaint, or None
S = TypeVar("S", bound=Callable[..., Any])


class _Required:
    """The type of `required`, which stands in `defaults` where a group must say for itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


# The formulas that most updates need.


def descend(p: Tensor, direction: Tensor, lr: float | Tensor) -> None:
    """Take one step: p <- p - lr * direction. A Tensor `lr` stays one, so it can be captured or differentiated."""
    if isinstance(lr, wengert.Tensor):
        p.sub_(direction * lr.reshape(()))
    else:
        p.add_(direction, alpha=-lr)


def count(state: State, p: Tensor) -> Tensor:
    """Add one to state["step"] and return it in the precision of the update: float64 for float64, else float32."""
    t: Tensor = state["step"].add_(1)
    if p.dtype == wengert.float64:
        t = t.double()
    return t


def counted(state: State, p: Tensor) -> Any:
    """Add one to state["step"] and return it: a number where the host has it and nothing is recorded, else as `count` does."""
    t = state["step"]
    array = t._array
    if modes.state.grad or modes.state.recorder is not None or type(array) is not np.ndarray or type(t) is not wengert.Tensor:
        return count(state, p)
    if t._edge is not None or t._base is not None or t._box is INFERENCE:
        return count(state, p)
    bump(t)
    array[...] = number = float(array.item() + 1)
    return number


def host_arrays(g: Tensor, *written: Tensor) -> list[Any] | None:
    """Return the arrays of what a step writes to, and the gradient's, where NumPy may do it at once: contiguous ones of the
    host, of one float type and shape, no views to write to, and nothing is recorded. The writes are counted. None for others.
    """
    dtype, shape = g._array.dtype, g._array.shape
    if modes.state.grad or modes.state.recorder is not None or (dtype is not F32 and dtype is not F64):
        return None
    arrays = []
    for x in (*written, g):
        array, kind = x._array, type(x)
        if type(array) is not np.ndarray or array.dtype is not dtype or array.shape != shape or not array.flags.carray:
            return None
        if x is not g and (array.base is not None or x._base is not None or x._box is INFERENCE):
            return None
        if kind is not wengert.Tensor and kind not in PLAIN:
            return None
        arrays.append(array)
    for x in written:
        bump(x)
    return arrays


def debias(beta: float | Tensor, t: Any) -> Any:
    """Return 1 - beta**t, the weight an average of rate `beta` has collected after t steps.

    Computed as -expm1(t log beta): in float32, 1 - 0.999**1 would keep three digits.
    """
    if not isinstance(t, wengert.Tensor) and not isinstance(beta, wengert.Tensor):
        return -math.expm1(t * math.log(beta)) if beta else 1.0
    rate = beta.log() if isinstance(beta, wengert.Tensor) else math.log(beta) if beta else -math.inf
    return -wengert.expm1(t * rate)


def new_step(p: Tensor) -> Tensor:
    """Return a step count of zero on p's device; float32 as in PyTorch's state dicts, exact to 2**24, or float64 by default."""
    wide = wengert.get_default_dtype() == wengert.float64
    step: Tensor = wengert.zeros((), dtype=wengert.float64 if wide else wengert.float32, device=p.device)
    return step


# Hyperparameters are checked by name, for the defaults and for every group.


def at_least_zero(what: str) -> Check:
    return lambda value: None if 0 <= value else f"Invalid {what}: {value}"


def _learning_rate(lr: Any) -> str | None:
    if isinstance(lr, wengert.Tensor) and lr.numel() != 1:
        return "Tensor lr must be 1-element"
    return None if 0 <= lr < math.inf else f"Invalid learning rate: {lr}"


def _betas(betas: Any) -> str | None:
    if len(betas) != 2:
        return f"Invalid betas: {betas}, two numbers are needed"
    for i, beta in enumerate(betas):
        if not 0 <= beta < 1:
            return f"Invalid beta parameter at index {i}: {beta}"
    if isinstance(betas[0], wengert.Tensor) != isinstance(betas[1], wengert.Tensor):
        return "betas must be either both floats or both Tensors"
    return None


CHECKS: Mapping[str, Check] = {
    "lr": _learning_rate,
    "betas": _betas,
    "eps": at_least_zero("epsilon value"),
    "weight_decay": at_least_zero("weight_decay value"),
    "momentum": at_least_zero("momentum value"),
}


# Hooks.


def _keep(hooks: OrderedDict[int, Any], hook: Any, prepend: bool = False) -> Handle:
    handle = Handle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


# The step hooks of all optimizers: id -> ("before" or "after", hook).
_everyones: OrderedDict[int, tuple[str, Any]] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> Handle:
    """Call hook(optimizer, args, kwargs) before every step of every optimizer."""
    return _keep(_everyones, ("before", hook))


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> Handle:
    """Call hook(optimizer, args, kwargs) after every step of every optimizer."""
    return _keep(_everyones, ("after", hook))


def _hooked(step: S) -> S:
    """Run the step hooks around `step`; without hooks it costs one truth test."""

    @functools.wraps(step)
    def call(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True  # a scheduler asks
        hooks = getattr(self, "_step_hooks", None)  # none: of one that wraps another, and calls no __init__ here
        if hooks is not None and (hooks or _everyones):
            return self._step_with_hooks(step, args, kwargs)
        return step(self, *args, **kwargs) if args or kwargs else step(self)

    return call  # type: ignore[return-value]


class Optimizer:
    """Hold parameters in groups and move them along their gradients, one `update` a parameter.

    A subclass gives its hyperparameters, as a class attribute `defaults` (then it needs no `__init__`) or by
    calling `super().__init__(params, defaults)`, and two methods:

        init_state(p, group) -> dict       the state of one parameter, before its first step
        update(p, g, state, group)         change p and state in place; g is the gradient

    A group that has `maximize`, `weight_decay`, `decoupled_weight_decay` or `differentiable` gets it: the sign of
    g, g + weight_decay * p or p * (1 - lr * weight_decay), and recording the step are done here, around `update`.
    With `differentiable=True` a step works on copies of the state, so what backward saved is never overwritten.

    Raises: TypeError (params is a Tensor, or not made of Tensors), ValueError (no parameters, a non-leaf, a
    parameter in two groups, a hyperparameter out of range).
    """

    defaults: dict[str, Any] = {}
    checks: ClassVar[Mapping[str, Check]] = {}  # a class's own, besides CHECKS or in the place of one
    decays_parameters: ClassVar[bool] = False  # weight decay shrinks parameters, where no group says so itself
    sparse_gradients: ClassVar[bool] = False  # whether update takes them, and whether it takes the usual ones
    dense_gradients: ClassVar[bool] = True
    matrices_only: ClassVar[bool] = False  # a parameter of other than two dimensions is refused
    _bookkeeping: ClassVar[frozenset[str]] = frozenset(("_opt_called", "_in_step", "_dict_hooks", "defaults"))  # no step reads
    _SHARED: ClassVar[tuple[Any, ...]] = (_everyones,)  # what all of them read
    complex_as_pairs: ClassVar[bool] = True  # update sees complex parameters as real pairs; False if it is linear

    state: defaultdict[Any, State]
    param_groups: list[Group]
    _opt_called: bool = False
    _stateful: ClassVar[bool] = True  # an empty state is one before the first step

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._stateful = cls.init_state is not Optimizer.init_state or cls.step is not Optimizer.step
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: Any, defaults: dict[str, Any] | None = None, **options: Any) -> None:
        if isinstance(params, wengert.Tensor):
            raise TypeError(
                "params should be an iterable of Tensors or of dicts, "
                f"but got one {type(params).__name__}; write [p] for a single parameter"
            )
        for name in options.keys() - type(self).defaults.keys():
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument {name!r}")
        self.defaults = {**type(self).defaults, **(defaults or {}), **options}
        self.check(self.defaults)
        self.state, self.param_groups = defaultdict(dict), []
        self._no_hooks()
        given = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        groups: list[Group] = given if isinstance(given[0], dict) else [{"params": given}]
        complete: list[Group] = []
        for group in groups:
            complete.append(self._complete(group, complete))
        for group, full in zip(groups, complete, strict=True):  # only now, when nothing can be wrong any more
            group.update(full)
            if type(self).add_param_group is Optimizer.add_param_group:
                self.param_groups.append(group)
            else:  # a subclass wants to see each
                self.add_param_group(group)

    # What a subclass says.

    def init_state(self, p: Tensor, group: Group) -> State:
        """Return the state of `p` before its first step; tensors like `p`, and `new_step(p)` for a step count."""
        return {}

    def update(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        """Change `p` and `state` in place, given the gradient `g`, which must stay as it is."""
        raise NotImplementedError(f"{type(self).__name__} has no update(p, g, state, group)")

    def decay(self, p: Tensor, g: Tensor, group: Group) -> Tensor:
        """Apply weight decay and return the gradient to use: g + wd * p; decoupled: p <- p - lr * wd * p, and g.

        Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019).
        """
        decay = group["weight_decay"]
        if not group.get("decoupled_weight_decay", self.decays_parameters):
            g = g + p * decay
            return g
        shrink = group["lr"] * decay
        if isinstance(shrink, wengert.Tensor):
            p.addcmul_(p.clone(), -shrink.reshape(()))  # the copy: a gradient of lr needs p as it was
        else:
            p.mul_(1 - shrink)
        return g

    def check(self, group: Group) -> None:
        """Raise ValueError where a hyperparameter is out of range; a class with a step of its own may mean others by them."""
        own = type(self).update is Optimizer.update
        for name, check in {**({} if own else CHECKS), **type(self).checks}.items():
            if name in group and group[name] is not required:
                complaint = check(group[name])
                if complaint is not None:
                    raise ValueError(complaint)
        if group.get("fused") and group.get("foreach"):
            raise RuntimeError("`fused` and `foreach` exclude each other: set at most one of them")
        if group.get("fused") and group.get("differentiable"):
            raise RuntimeError("`fused` and `differentiable` exclude each other: a fused step is not recorded")

    # The step.

    @_hooked
    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient; return what `closure`, called first, returned."""
        mode = modes.state  # this thread's switches
        before, captured = mode.grad, mode.recorder is not None
        loss = None
        try:
            if closure is not None:
                modes.turn(True)
                loss = closure()
            for group in self.param_groups:
                recorded = group.get("differentiable", False)
                modes.turn(recorded)
                maximize, decay = group.get("maximize", False), group.get("weight_decay", 0)
                decays = decay != 0 if isinstance(decay, (int, float)) else True
                for p in group["params"]:
                    g = p.grad if captured else p._grad
                    if g is None:
                        continue
                    state = self.state.get(p)
                    if not state and (state is None or self._stateful):  # also where a program made or emptied it
                        state = self._begin(p, g, group)
                    if recorded:
                        state = self.state[p] = {k: _mapped(v, _clone) for k, v in state.items()}
                    if maximize:
                        g = -g
                    if decays:
                        g = self.decay(p, g, group)
                    if captured or (self.complex_as_pairs and p.is_complex()):
                        self._update_with_care(p, g, state, group)
                    else:
                        self.update(p, g, state, group)
        finally:
            modes.put_back(before)
            modes.turn(before)
        return loss

    def _update_with_care(self, p: Tensor, g: Tensor, state: State, group: Group) -> None:
        """Call `update` for a complex parameter, or in a capture, which must find all state made."""
        before = dict(state)
        if self.complex_as_pairs and p.is_complex():
            pairs = {k: _mapped(v, _as_pairs) for k, v in state.items()}
            self.update(_as_pairs(p), _as_pairs(g), pairs, group)
        else:
            self.update(p, g, state, group)
        if modes.state.recorder is None:
            return
        if group.get("differentiable") or list(map(id, before.values())) != list(map(id, state.values())):
            self.state[p] = before
            raise RuntimeError(
                f"{type(self).__name__} makes new state in this step, and would again each time the graph runs: "
                f"take one step before the capture, and none with differentiable=True"
            )

    def _begin(self, p: Tensor, g: Tensor, group: Group) -> State:
        """Make and keep the state of a parameter at its first step; really make it, also during a capture."""
        if self.state:
            self._accept(g)
        else:  # the first step has changed nothing yet: all gradients, before any parameter is written to
            for each in (q._grad for own in self.param_groups for q in own["params"] if q._grad is not None):
                self._accept(each)
        mode = modes.state
        recorder, mode.recorder = mode.recorder, None
        try:
            if self.complex_as_pairs and p.is_complex():
                pairs = self.init_state(_as_pairs(p), group)
                state = {k: wengert.view_as_complex(v) if v.dim() else v for k, v in pairs.items()}
            else:
                state = self.init_state(p, group)
        finally:
            mode.recorder = recorder
        if not isinstance(state, dict):
            raise TypeError(f"{type(self).__name__}.init_state returns the state of a parameter, a dict, but got {state!r:.60}")
        kept: State = self.state.setdefault(p, state)
        if kept is not state:
            kept.update(state)
        return kept

    def _accept(self, g: Tensor) -> None:
        sparse = g.layout != "torch.strided"
        if not (self.sparse_gradients if sparse else self.dense_gradients):
            name, which, other = type(self).__name__, *(("sparse", "SparseAdam") if sparse else ("dense", "Adam"))
            raise RuntimeError(f"{name} does not support {which} gradients, please consider {other} instead")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        captured = modes.state.recorder is not None  # where there may be gradients at another call
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    if p._grad is not None or captured:
                        p.grad = None
                elif p.grad is not None:
                    if p.grad.requires_grad:
                        p.grad = p.grad.detach()
                    with wengert.no_grad():
                        p.grad.zero_()

    # Parameter groups.

    def add_param_group(self, param_group: Group) -> None:
        """Add a group: a dict with "params" and any hyperparameters of its own; the others are the defaults.

        Raises: TypeError, ValueError as the constructor; nothing is added then.
        """
        full = self._complete(param_group, self.param_groups)
        param_group.update(full)
        self.param_groups.append(param_group)

    def _complete(self, group: Group, others: list[Group]) -> Group:
        """Return what `group` becomes: its parameters checked and listed, missing hyperparameters filled in."""
        if not isinstance(group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(group)}")
        params = group["params"]
        if isinstance(params, set):
            raise TypeError(
                "parameters must come in an ordered collection, as their place is their name in a state dict; "
                "a set has no order, please use a list"
            )
        params = [params] if isinstance(params, wengert.Tensor) else list(params)
        names: dict[str, Any] = {}
        if any(isinstance(p, tuple) for p in params):
            if not all(isinstance(p, tuple) for p in params):
                raise ValueError("give all parameters with names or none: some param names are missing")
            names["param_names"] = [name for name, _ in params]
            params = [p for _, p in params]
        for p in params:
            if not isinstance(p, wengert.Tensor):
                kind = type(p).__name__
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {kind}")
            if not (self.defaults.get("differentiable") or p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor: take what it is computed from, or detach it")
            if self.matrices_only and p.ndim != 2:
                name = type(self).__name__
                raise ValueError(f"{name} only supports 2D parameters, not one of size {tuple(p.shape)}: take another for it")
        full = {"params": params, **names, **{k: v for k, v in group.items() if k != "params"}}
        full.update({k: v for k, v in self.defaults.items() if k not in full})
        for name, value in full.items():
            if value is required:
                raise ValueError(f"parameter group didn't specify a value of required parameter {name}")
        self.check(full)
        if others and ("param_names" in full) != ("param_names" in others[0]):
            which = "without" if "param_names" in others[0] else "with"
            raise ValueError(f"cannot add a param group {which} names: all groups have names or none has")
        taken = {p for other in others for p in other["params"]}
        if not taken.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        if len(set(params)) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each copy is updated once a step",
                stacklevel=3,
            )
        return full

    # Saving and loading.

    def state_dict(self) -> dict[str, Any]:
        """Return {"state": {index: state}, "param_groups": [...]} with parameters as integers, as PyTorch does."""
        for hook in list(self._dict_hooks["save_before"].values()):
            hook(self)
        index: dict[Any, int] = {}
        groups: list[Group] = []
        for group in self.param_groups:
            for p in group["params"]:
                index.setdefault(p, len(index))
            packed = {k: v for k, v in group.items() if k != "params"}
            groups.append({**packed, "params": [index[p] for p in group["params"]]})
        result = {"state": {index.get(p, p): s for p, s in self.state.items() if s or self._stateful}, "param_groups": groups}
        for hook in list(self._dict_hooks["save_after"].values()):
            replaced = hook(self, result)
            result = result if replaced is None else replaced
        return result

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict()`: tensors are copied to each parameter's dtype and device.

        Raises: ValueError where the groups do not match in number or size; the optimizer is then as it was.
        """
        state_dict = dict(state_dict)
        for hook in list(self._dict_hooks["load_before"].values()):
            replaced = hook(self, state_dict)
            state_dict = state_dict if replaced is None else replaced
        saved_groups, saved_state = state_dict["param_groups"], state_dict["state"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(saved_groups)}, "
                f"the optimizer has {len(self.param_groups)}"
            )
        groups: list[Group] = []
        owner: dict[Any, Tensor] = {}
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            if len(saved["params"]) != len(group["params"]):
                raise ValueError(
                    f"loaded state dict has a parameter group of another size: {len(saved['params'])} parameters "
                    f"instead of {len(group['params'])}"
                )
            owner.update(zip(saved["params"], group["params"], strict=True))
            kept = {"param_names": group["param_names"]} if "param_names" in group else {}
            loaded = {k: copy.deepcopy(v) for k, v in saved.items() if k != "params"}
            groups.append({**self.defaults, **kept, **loaded, "params": group["params"]})
        state: defaultdict[Any, State] = defaultdict(dict)
        for key, value in saved_state.items():
            p = owner.get(key)
            if p is None:
                state[key] = value
            else:
                state[p] = {k: _adopted(v, p, k) for k, v in value.items()}
        self.state, self.param_groups = state, groups
        for hook in list(self._dict_hooks["load_after"].values()):
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._no_hooks()

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
        return text + ")"

    # Hooks.

    def _no_hooks(self) -> None:
        self._step_hooks: OrderedDict[int, tuple[str, Any]] = OrderedDict()
        self._in_step = False
        self._dict_hooks: dict[str, OrderedDict[int, Any]] = {
            when: OrderedDict() for when in ("save_before", "save_after", "load_before", "load_after")
        }

    def _patch_step_function(self) -> None:
        """Let this have step hooks, where it wraps another optimizer and calls no `__init__` here (PyTorch's name)."""
        self.__dict__.setdefault("_step_hooks", OrderedDict())

    def _step_with_hooks(self, step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._in_step:  # a subclass's step that calls super().step()
            return step(self, *args, **kwargs)
        self._in_step, args = True, (self, *args)
        try:
            for when, hook in [*_everyones.values(), *self._step_hooks.values()]:
                changed = hook(self, args, kwargs) if when == "before" else None
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(f"a step pre-hook returns None or (args, kwargs), but got {changed!r}")
                    args, kwargs = changed
            result = step(*args, **kwargs)
            for when, hook in [*self._step_hooks.values(), *_everyones.values()]:
                if when == "after":
                    hook(self, args, kwargs)
            return result
        finally:
            self._in_step = False

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call hook(optimizer, args, kwargs) before each step; it may return changed (args, kwargs)."""
        return _keep(self._step_hooks, ("before", hook))

    def register_step_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call hook(optimizer, args, kwargs) after each step."""
        return _keep(self._step_hooks, ("after", hook))

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call hook(optimizer) before `state_dict` collects."""
        return _keep(self._dict_hooks["save_before"], hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call hook(optimizer, state_dict) on the result of `state_dict`; it may return another."""
        return _keep(self._dict_hooks["save_after"], hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call hook(optimizer, state_dict) before `load_state_dict` reads it; it may return another."""
        return _keep(self._dict_hooks["load_before"], hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call hook(optimizer) after a state dict was loaded."""
        return _keep(self._dict_hooks["load_after"], hook, prepend)


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    return function(value) if isinstance(value, wengert.Tensor) else value


def _clone(value: Any) -> Any:
    return value.clone()


def _as_pairs(value: Any) -> Any:
    return wengert.view_as_real(value) if value.is_complex() else value


def _adopted(value: Any, p: Tensor, key: str | None = None) -> Any:
    """Return a copy of a loaded value, its tensors on p's device and in p's dtype; step counts stay as they are."""
    if key == "step":
        floating = isinstance(value, wengert.Tensor) and value.is_floating_point()
        return value.detach().to(device=p.device).clone() if floating else new_step(p) + float(value)
    if isinstance(value, wengert.Tensor):
        floating = p.is_floating_point() and value.is_floating_point()
        return value.detach().to(device=p.device, dtype=p.dtype if floating else value.dtype).clone()
    if isinstance(value, dict):
        return {k: _adopted(v, p) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_adopted(v, p) for v in value)
    return value
