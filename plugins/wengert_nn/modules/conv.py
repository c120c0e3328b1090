"""Convolutions as layers, and transposed ones, of one to three dims.

Owns: their parameters, how those start, padding modes, the choice of output sizes. May import: Module, lazy modules,
`nn.functional`. Must not know: devices. `k` is 1 / sqrt(fan_in) throughout, the bound of what weights start from.
"""

from __future__ import annotations

from typing import Any, ClassVar

from wengert.nn import functional as F
from wengert_nn import init
from wengert_nn.modules.lazy import LazyModuleMixin
from wengert_nn.modules.linear import new_parameter, reciprocal_root, spread
from wengert_nn.modules.module import Module
from wengert_nn.modules.parameter import UninitializedParameter
from wengert_nn.modules.sizes import _reverse_repeat_tuple, per_dim

MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share. The weight is (out, in / groups, *kernel); of transposed ones in and out change places."""

    __constants__ = [
        "stride", "padding", "dilation", "groups", "padding_mode", "output_padding", "in_channels", "out_channels",
        "kernel_size",
    ]  # fmt: skip
    dims: ClassVar[int]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
        transposed: bool, output_padding: Any, groups: int, bias: bool, padding_mode: str, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name} must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}")
            if padding == "same" and any(n != 1 for n in stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in MODES:
            raise ValueError(f"padding_mode must be one of {MODES}, but got padding_mode='{padding_mode}'")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.transposed, self.output_padding, self.groups, self.padding_mode = transposed, output_padding, groups, padding_mode
        self._reversed_padding_repeated_twice = self._pads()
        factory = {"device": device, "dtype": dtype}
        self.weight = new_parameter(*self._weight_shape(), **factory)
        self.register_parameter("bias", new_parameter(out_channels, **factory) if bias else None)
        self.reset_parameters()

    def _pads(self) -> tuple[int, ...]:
        """Return the padding as `nn.functional.pad` takes it."""
        if not isinstance(self.padding, str):
            return _reverse_repeat_tuple(self.padding, 2)
        if self.padding == "valid":
            return (0,) * (2 * len(self.kernel_size))
        totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        return tuple(n for total in reversed(totals) for n in (total // 2, total - total // 2))

    def _weight_shape(self) -> tuple[int, ...]:
        if self.transposed:
            return self.in_channels, self.out_channels // self.groups, *self.kernel_size
        return self.out_channels, self.in_channels // self.groups, *self.kernel_size

    def reset_parameters(self) -> None:
        """Fill the parameters with what they start from: U(-k, k)."""
        if self.weight.numel():
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            spread(reciprocal_root(fan_in), self.weight, self.bias)

    def extra_repr(self) -> str:
        dims = len(self.kernel_size)
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        usual = {"padding": (0,) * dims, "dilation": (1,) * dims, "output_padding": (0,) * dims, "groups": 1}
        parts += [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Conv(_ConvNd):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        n = self.dims
        super().__init__(
            in_channels, out_channels, per_dim(kernel_size, n), per_dim(stride, n),
            padding if isinstance(padding, str) else per_dim(padding, n), per_dim(dilation, n), False, per_dim(0, n), groups,
            bias, padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, input: Any) -> Any:
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        conv, padding = getattr(F, f"conv{self.dims}d"), self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode), 0
        return conv(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Sums of products of weights with the windows of [batch, in, length]. Parameters start from U(-k, k)."""

    dims = 1


class Conv2d(_Conv):
    """Sums of products of weights with the windows of [batch, in, height, width]. Parameters start from U(-k, k)."""

    dims = 2


class Conv3d(_Conv):
    """Sums of products of weights with the windows of [batch, in, depth, height, width]. Parameters start from U(-k, k)."""

    dims = 3


class _ConvTransposeNd(_ConvNd):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1, padding_mode: str = "zeros",
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        n = self.dims
        super().__init__(
            in_channels, out_channels, per_dim(kernel_size, n), per_dim(stride, n), per_dim(padding, n), per_dim(dilation, n),
            True, per_dim(output_padding, n), groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, input: Any, output_size: Any = None) -> Any:
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        conv = getattr(F, f"conv_transpose{self.dims}d")
        return conv(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, input: Any, output_size: Any) -> tuple[int, ...]:
        """Return what is to be added to the smallest output for it to have a size. Raises ValueError where none is right."""
        dims, before = self.dims, input.dim() - self.dims
        wanted = tuple(output_size)[before:] if len(output_size) == dims + before else tuple(output_size)
        if len(wanted) != dims:
            raise ValueError(
                f"ConvTranspose{dims}D: for {input.dim()}D input, output_size must have {dims} or {dims + before} elements "
                f"(got {len(output_size)})"
            )
        sizes = zip(input.shape[before:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in sizes]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        if any(not low <= n <= high for low, n, high in zip(least, wanted, most, strict=True)):
            raise ValueError(
                f"requested an output size of {list(output_size)}, but valid sizes range from {least} to {most} (for an "
                f"input of {list(input.shape[before:])})"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTransposeNd):
    """The gradient of Conv1d with respect to its input, as a layer. Parameters start from U(-k, k)."""

    dims = 1


class ConvTranspose2d(_ConvTransposeNd):
    """The gradient of Conv2d with respect to its input, as a layer. Parameters start from U(-k, k)."""

    dims = 2


class ConvTranspose3d(_ConvTransposeNd):
    """The gradient of Conv3d with respect to its input, as a layer. Parameters start from U(-k, k)."""

    dims = 3


# ---- with in_channels from the first input
class _Lazy(LazyModuleMixin):
    def __init__(
        self: Any, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, *rest: Any, bias: bool = True,
        **keywords: Any,
    ) -> None:  # fmt: skip
        if len(rest) > 2:  # bias is the third of them
            bias, rest = rest[2], (*rest[:2], False, *rest[3:])
        else:
            keywords["bias"] = False
        super().__init__(0, 0, kernel_size, stride, padding, *rest, **keywords)
        self.out_channels = out_channels
        device, dtype = self.weight.device, self.weight.dtype
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self: Any) -> None:
        """Fill the parameters with what they start from, once there are any."""
        if not self.has_uninitialized_params() and self.in_channels:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self: Any, input: Any, *args: Any, **kwargs: Any) -> None:
        """Give the parameters the sizes that an input says. Raises RuntimeError for too many dims, ValueError for groups."""
        if input.dim() not in (self.dims + 1, self.dims + 2):
            raise RuntimeError(
                f"Expected {self.dims + 1}D (unbatched) or {self.dims + 2}D (batched) input to {type(self).__name__}, but got "
                f"input of size: {input.shape}"
            )
        self.in_channels = input.shape[-self.dims - 1]
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        self.weight.materialize(self._weight_shape())
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class LazyConv1d(_Lazy, Conv1d):
    """Conv1d, whose in_channels the first input says."""

    cls_to_become = Conv1d


class LazyConv2d(_Lazy, Conv2d):
    """Conv2d, whose in_channels the first input says."""

    cls_to_become = Conv2d


class LazyConv3d(_Lazy, Conv3d):
    """Conv3d, whose in_channels the first input says."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_Lazy, ConvTranspose1d):
    """ConvTranspose1d, whose in_channels the first input says."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_Lazy, ConvTranspose2d):
    """ConvTranspose2d, whose in_channels the first input says."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_Lazy, ConvTranspose3d):
    """ConvTranspose3d, whose in_channels the first input says."""

    cls_to_become = ConvTranspose3d
