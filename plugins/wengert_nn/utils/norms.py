"""Weight and spectral normalisation by hooks: a weight that is made anew before each forward.

Owns: the hooks, their parameters `<name>_g`, `<name>_v`, `<name>_orig` and buffers, and the two formulas, which
parametrizations.py has in the newer form. May import: `wengert`'s public names, Parameter. Must not know: devices.
Sources: T. Salimans and D. Kingma, Weight normalization, 2016; T. Miyato et al., Spectral normalization for generative
adversarial networks, 2018.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import wengert
from wengert.nn import functional as F
from wengert_nn.modules.parameter import Parameter, is_lazy


def norm_except(weight: Any, dim: int | None) -> Any:
    """Return the norm of each slice along dim; None or -1: of the whole."""
    axes = [i for i in range(weight.dim()) if dim in (None, -1) or i != dim % weight.dim()]
    return weight.square().sum(axes, keepdim=dim not in (None, -1)).sqrt()


def as_matrix(weight: Any, dim: int) -> Any:
    """Return a weight as the matrix whose rows are its slices along dim."""
    return weight.transpose(0, dim).reshape(weight.shape[dim], -1) if dim else weight.reshape(weight.shape[0], -1)


def iterate(matrix: Any, u: Any, v: Any, times: int, eps: float) -> None:
    """Move v and then u, in place, towards the first singular vectors."""
    with wengert.no_grad():
        for _ in range(times):
            v.copy_(F.normalize(wengert.mv(matrix.detach().mH, u), dim=0, eps=eps))
            u.copy_(F.normalize(wengert.mv(matrix.detach(), v), dim=0, eps=eps))


def usual_dim(module: Any) -> int:
    """Return the dim of a weight that the outputs are in."""
    return 1 if getattr(module, "transposed", False) or type(module).__name__.startswith("ConvTranspose") else 0


def sized(weight: Any, hook: Any) -> Any:
    """Return a weight that has a shape. Raises ValueError for a lazy module's before its first call."""
    if is_lazy(weight):
        raise ValueError(
            f"The module passed to `{type(hook).__name__}` can't have uninitialized parameters. Make sure to run the dummy "
            "forward before applying it."
        )
    return weight


@dataclass(eq=False)  # so that a module with it is saved whole
class WeightNorm:
    """A hook that sets weight = g v / |v| before each forward."""

    name: str
    dim: int | None

    def __post_init__(self) -> None:
        self.dim = -1 if self.dim is None else self.dim

    def compute_weight(self, module: Any) -> Any:
        """Return the weight."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / norm_except(v, self.dim))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


@dataclass(eq=False)
class SpectralNorm:
    """A hook that sets weight = w / sigma before each forward, sigma being w's largest singular value, as far as known."""

    name: str
    n_power_iterations: int
    dim: int
    eps: float

    def __post_init__(self) -> None:
        times = self.n_power_iterations
        if times <= 0:
            raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={times}")

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Any:
        """Return the weight."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            iterate(matrix, u, v, self.n_power_iterations, self.eps)
        return weight / wengert.vdot(u.clone(), wengert.mv(matrix, v.clone()))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def _hook(module: Any, kind: Any, name: str) -> tuple[int, Any] | None:
    found = (pair for pair in module._forward_pre_hooks.items() if isinstance(pair[1], kind) and pair[1].name == name)
    return next(found, None)


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Let a weight be g v / |v| with parameters g and v; dim: what g has one number for, None: g is one number."""
    warnings.warn(
        "`nn.utils.weight_norm` is deprecated in favor of `nn.utils.parametrizations.weight_norm`.", FutureWarning, stacklevel=2
    )
    if _hook(module, WeightNorm, name) is not None:
        raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
    hook = WeightNorm(name, dim)
    weight = sized(getattr(module, name), hook)
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(norm_except(weight.detach(), hook.dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Let a weight be a parameter again. Raises ValueError where it was none."""
    found = _hook(module, WeightNorm, name)
    if found is None:
        raise ValueError(f"weight_norm of '{name}' not found in {module}")
    weight = found[1].compute_weight(module).detach()
    delattr(module, name)
    for suffix in ("_g", "_v"):
        delattr(module, name + suffix)
    setattr(module, name, Parameter(weight))
    del module._forward_pre_hooks[found[0]]
    return module


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Let a weight be divided by its largest singular value, which each forward in training knows better."""
    if _hook(module, SpectralNorm, name) is not None:
        raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    hook = SpectralNorm(name, n_power_iterations, usual_dim(module) if dim is None else dim, eps)
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    rows, columns = as_matrix(sized(weight, hook).detach(), hook.dim).shape
    del module._parameters[name]
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    for suffix, size in (("_u", rows), ("_v", columns)):
        drawn = wengert.randn(size, dtype=weight.dtype, device=weight.device)
        module.register_buffer(name + suffix, F.normalize(drawn, dim=0, eps=eps))
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Let a weight be a parameter again. Raises ValueError where it was none."""
    found = _hook(module, SpectralNorm, name)
    if found is None:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    with wengert.no_grad():
        weight = found[1].compute_weight(module, False)
    delattr(module, name)
    for suffix in ("_u", "_v", "_orig"):
        delattr(module, name + suffix)
    module.register_parameter(name, Parameter(weight.detach()))
    del module._forward_pre_hooks[found[0]]
    return module
