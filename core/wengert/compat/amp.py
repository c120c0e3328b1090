"""`wengert.amp`: automatic mixed precision of the host, and the scaling of losses.

Owns: `autocast`, `GradScaler`, which functions are computed in which precision, and the questions about them. May import:
overrides, by whose entrances functions learn of it; dtypes, tensor. Must not know: what any function computes.
A program that enters no autocast pays nothing. Source of the lists: PyTorch's documentation of the ops of autocast on a CPU.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import wengert
from wengert import dtypes, overrides
from wengert._tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])

_FUNCTIONAL = (  # of nn.functional
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear multi_head_attention_forward prelu "
    "scaled_dot_product_attention"
)
LOWER = frozenset(  # computed in the lower precision, with what they call
    "addbmm addmm baddbmm bmm chain_matmul einsum inner matmul mm tensordot linalg.multi_dot linalg.vecdot __matmul__ "
    f"__rmatmul__ convolution corrcoef cov matrix_power linalg.matrix_power {_FUNCTIONAL}".split()
) | {f"nn.functional.{name}" for name in _FUNCTIONAL.split()}
_LOSSES = (
    "binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy ctc_loss hinge_embedding_loss "
    "huber_loss kl_div l1_loss margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss nll_loss poisson_nll_loss "
    "smooth_l1_loss soft_margin_loss triplet_margin_loss"
)
_SPATIAL = "adaptive_avg_pool3d avg_pool3d grid_sample max_pool3d max_unpool2d max_unpool3d"
SINGLE = frozenset(  # computed in float32 where their arguments are in less
    "cdist cholesky cholesky_inverse cholesky_solve geqrf inverse lu_solve matrix_exp nanquantile orgqr ormqr pinverse polar "
    f"prod quantile stft trace view_as_complex grid_sampler {_LOSSES}".split()
) | {f"nn.functional.{name}" for name in f"{_LOSSES} {_SPATIAL}".split()}  # and all of fft and linalg
ALONE = frozenset(  # computed in the types they have, with what they call
    "addmv addr bilinear dot ger kron mv outer vdot nn.functional.bilinear".split()
)
KEPT = frozenset(("linalg.norm", "linalg.vector_norm", "linalg.matrix_norm", "linalg.cross", "linalg.diagonal"))


class _Settings(threading.local):
    def __init__(self) -> None:
        self.dtypes: dict[str, Any] = {}
        self.enabled: dict[str, bool] = {}


_settings = _Settings()


def _way(name: str) -> str:
    """Return what becomes of a function's floating arguments: "lower", "single", "alone", or "" (nothing)."""
    if name in LOWER:
        return "lower"
    family = name.partition(".")[0]
    if name in SINGLE or (family in ("fft", "linalg") and name not in KEPT):
        return "single"
    return "alone" if name in ALONE else ""


class _Casting:
    """What entrances ask inside an autocast of the host: how a function is to be run."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __call__(self, name: str, plain: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        way = _way(name)
        if not way or kwargs.get("out") is not None:
            return plain(*args, **kwargs)
        if way != "alone":
            dtype = self.dtype if way == "lower" else wengert.float32
            args = tuple([_cast(x, dtype) for x in args])
            kwargs = {k: _cast(v, dtype) for k, v in kwargs.items()}
        with overrides.casting(None):
            return plain(*args, **kwargs)


def _cast(x: Any, dtype: Any) -> Any:
    """Return a floating tensor of the host, float64 apart, in a dtype; in sequences too; anything else as it is."""
    if isinstance(x, Tensor):
        kind = x.dtype
        if kind is dtype or not kind.is_floating_point or kind is wengert.float64 or x.device.type != "cpu":
            return x
        return x.to(dtype)
    if type(x) in (tuple, list) and any([isinstance(y, Tensor) for y in x]):
        return type(x)([_cast(y, dtype) for y in x])
    return x


class autocast:
    """Compute what is inside in mixed precision: a context, or a decorator.

    On "cpu" matrix products and convolutions are computed and returned in `dtype` (bfloat16, float16), losses, Fourier
    transforms and factorisations in float32, anything else in the types it has. Other devices keep their types: accepted,
    without effect.
    """

    def __init__(
        self, device_type: Any = "cuda", dtype: Any = None, enabled: bool = True, cache_enabled: Any = None
    ) -> None:
        if isinstance(device_type, bool):  # cuda.amp.autocast(enabled)
            device_type, enabled = "cuda", device_type
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device, self._enabled = device_type, enabled
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        problem = _problem(self.fast_dtype) if device_type == "cpu" and enabled else ""
        if problem:
            warnings.warn(f"autocast is disabled: {problem}", stacklevel=2)
            self._enabled = False
        self._before: list[Any] = []

    def __enter__(self) -> autocast:
        before = _settings.enabled.get(self.device, False), _settings.dtypes.get(self.device)
        _settings.enabled[self.device], _settings.dtypes[self.device] = self._enabled, self.fast_dtype
        context = overrides.casting(_Casting(self.fast_dtype) if self._enabled else None) if self.device == "cpu" else None
        if context is not None:
            context.__enter__()
        self._before.append((before, context))
        return self

    def __exit__(self, *error: object) -> None:
        (enabled, dtype), context = self._before.pop()
        if context is not None:
            context.__exit__(None, None, None)
        _settings.enabled[self.device] = enabled
        if dtype is None:
            del _settings.dtypes[self.device]
        else:
            _settings.dtypes[self.device] = dtype

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with autocast(self.device, self.fast_dtype, self._enabled):  # several threads may be inside at once
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]


def _problem(dtype: Any) -> str:
    """Return why there is no autocast in a dtype, or nothing."""
    if dtype not in (wengert.float16, dtypes.by_name("bfloat16")):
        return f"on a CPU it supports bfloat16 and float16, not {dtype}"
    try:
        dtype.numpy  # noqa: B018  (loads the type)
    except ImportError as error:
        return str(error)
    return ""


# ---- the scaling of losses
class _Scaled:
    """What a scaler knows of one optimizer since its last update: whether gradients were unscaled, and what was found."""

    def __init__(self) -> None:
        self.unscaled = self.stepped = False
        self.overflow = False


class GradScaler:
    """Scale losses, so that small gradients of low precision are not lost, and skip steps where they overflow.

    Disabled for "cuda" where there is no card, as in PyTorch: then everything stays as it is.
    """

    def __init__(
        self, device: Any = "cuda", init_scale: float = 65536.0, growth_factor: float = 2.0, backoff_factor: float = 0.5,
        growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        if not isinstance(device, str):  # cuda.amp.GradScaler(init_scale)
            device, init_scale = "cuda", device
        self._enabled = enabled and (device != "cuda" or wengert.cuda.is_available())
        if self._enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if self._enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._scale, self._growth, self._backoff, self._interval = init_scale, growth_factor, backoff_factor, growth_interval
        self._tracker, self._used = 0, False
        self._states: dict[int, _Scaled] = {}

    def scale(self, outputs: Any) -> Any:
        """Return a tensor, or each of several, times the scale."""
        if not self._enabled:
            return outputs
        self._used = True
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if not hasattr(outputs, "__iter__"):
            raise ValueError("outputs must be a Tensor or an iterable of Tensors")
        scaled = map(self.scale, outputs)
        return type(outputs)(scaled) if isinstance(outputs, list | tuple) else scaled

    def unscale_(self, optimizer: Any) -> None:
        """Divide an optimizer's gradients by the scale. Raises RuntimeError twice before `update`, or after `step`."""
        if not self._enabled:
            return
        self._check("unscale_")
        state = self._states.setdefault(id(optimizer), _Scaled())
        if state.stepped:
            raise RuntimeError("unscale_() is being called after step().")
        if state.unscaled:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        state.unscaled = True
        with wengert.no_grad():
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    if p.grad.dtype is wengert.float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    if p.grad.is_sparse:
                        p.grad = p.grad.coalesce()  # whose values are memory of their own
                    g = p.grad._values() if p.grad.is_sparse else p.grad
                    g.mul_(1 / self._scale)
                    if not bool(wengert.isfinite(g).all()):
                        state.overflow = True

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Take a step of the optimizer, unless its gradients are infinite or nan. Raises RuntimeError twice before `update`."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check("step")
        state = self._states.setdefault(id(optimizer), _Scaled())
        if state.stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if not state.unscaled:
            self.unscale_(optimizer)
        state.stepped = True
        return None if state.overflow else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Lower the scale after an overflow, raise it after `growth_interval` steps without; or set it."""
        if not self._enabled:
            return
        self._check("update")
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            if not any([state.unscaled for state in self._states.values()]):
                raise AssertionError("No inf checks were recorded prior to update.")
            if any([state.overflow for state in self._states.values()]):
                self._scale, self._tracker = self._scale * self._backoff, 0
            elif self._tracker + 1 == self._interval:
                self._scale, self._tracker = self._scale * self._growth, 0
            else:
                self._tracker += 1
        self._states.clear()

    def _check(self, name: str) -> None:
        if not self._used:
            raise AssertionError(f"Attempted {name} before scaler.scale: this may indicate that it was forgotten")

    def get_scale(self) -> float:
        """Return the scale; 1 where scaling is disabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """Return what the scale is multiplied by when it is raised."""
        return self._growth

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by when it is raised."""
        self._growth = new_factor

    def get_backoff_factor(self) -> float:
        """Return what the scale is multiplied by after an overflow."""
        return self._backoff

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by after an overflow."""
        self._backoff = new_factor

    def get_growth_interval(self) -> int:
        """Return how many steps without an overflow raise the scale."""
        return self._interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set how many steps without an overflow raise the scale."""
        self._interval = new_interval

    def is_enabled(self) -> bool:
        """Say whether anything is scaled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Return the scale and its settings; nothing where scaling is disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth, "backoff_factor": self._backoff,
            "growth_interval": self._interval, "_growth_tracker": self._tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what `state_dict` returned. Raises RuntimeError for the state of a disabled scaler."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("The source state dict is empty, possibly because it was saved from a disabled GradScaler.")
        self._scale, self._growth = state_dict["scale"], state_dict["growth_factor"]
        self._backoff, self._interval = state_dict["backoff_factor"], state_dict["growth_interval"]
        self._tracker = state_dict["_growth_tracker"]


# ---- functions of one's own
def custom_fwd(fwd: Any = None, *, device_type: str = "cuda", cast_inputs: Any = None) -> Any:
    """Decorate a Function's forward: it runs as its surroundings do, or, with cast_inputs, in that type without autocast."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def run(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        enabled = is_autocast_enabled(device_type)
        ctx._dtype, ctx._fwd_used_autocast = get_autocast_dtype(device_type), enabled and cast_inputs is None
        if not enabled or cast_inputs is None:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(
                ctx, *[_cast(x, cast_inputs) for x in args], **{k: _cast(v, cast_inputs) for k, v in kwargs.items()}
            )

    return run


def custom_bwd(bwd: Any = None, *, device_type: str = "cuda") -> Any:
    """Decorate a Function's backward: it runs with the autocast of its forward."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def run(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, ctx._dtype, ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)

    return run


# ---- questions
def is_autocast_available(device_type: str) -> bool:
    """Say whether autocast has an effect on a device: on the host."""
    return device_type == "cpu"


def is_autocast_enabled(device_type: Any = None) -> bool:
    """Say whether a program is inside an autocast of a device ("cuda" by default)."""
    return _settings.enabled.get(device_type or "cuda", False) and device_type == "cpu"


def is_autocast_cpu_enabled() -> bool:
    """Say whether a program is inside an autocast of the host."""
    return is_autocast_enabled("cpu")


def is_autocast_cache_enabled() -> bool:
    """Say that casts of weights are not kept."""
    return False


def clear_autocast_cache() -> None:
    """Return at once: casts of weights are not kept."""


def get_autocast_dtype(device_type: str) -> Any:
    """Return the dtype of an autocast of a device."""
    default = wengert.float16 if device_type == "cuda" else dtypes.by_name("bfloat16")
    return _settings.dtypes.get(device_type, default)


def get_autocast_cpu_dtype() -> Any:
    """Return the dtype of an autocast of the host."""
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype() -> Any:
    """Return the dtype of an autocast of a card."""
    return get_autocast_dtype("cuda")
