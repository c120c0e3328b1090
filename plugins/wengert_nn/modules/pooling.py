"""Pooling as layers: a window's maximum, mean or norm; windows of a size, or as many as are wanted.

Owns: their arguments. May import: Module, `nn.functional`. Must not know: devices.
"""

from __future__ import annotations

from typing import Any

from wengert.nn import functional as F
from wengert_nn.modules.module import Settings
from wengert_nn.modules.sizes import per_dim


# ---- maxima
class _MaxPoolNd(Settings):
    __constants__ = ["kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"]
    shown = "kernel_size stride padding dilation ceil_mode"

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            kernel_size=kernel_size, stride=kernel_size if stride is None else stride, padding=padding, dilation=dilation,
            return_indices=return_indices, ceil_mode=ceil_mode,
        )  # fmt: skip

    def _arguments(self) -> tuple[Any, ...]:
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices


class MaxPool1d(_MaxPoolNd):
    """The maximum of each window of [batch, channels, length]; return_indices: and where it is."""

    def forward(self, input: Any) -> Any:
        return F.max_pool1d(input, *self._arguments())


class MaxPool2d(_MaxPoolNd):
    """The maximum of each window of [batch, channels, height, width]; return_indices: and where it is."""

    def forward(self, input: Any) -> Any:
        return F.max_pool2d(input, *self._arguments())


class MaxPool3d(_MaxPoolNd):
    """The maximum of each window of [batch, channels, depth, height, width]; return_indices: and where it is."""

    def forward(self, input: Any) -> Any:
        return F.max_pool3d(input, *self._arguments())


class _MaxUnpoolNd(Settings):
    shown = "kernel_size stride padding"
    dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        stride = kernel_size if stride is None else stride
        sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        super().__init__(**{name: per_dim(value, self.dims) for name, value in sizes.items()})


class MaxUnpool1d(_MaxUnpoolNd):
    """Put the maxima that MaxPool1d returned back in their places, zeros elsewhere."""

    dims = 1

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpoolNd):
    """Put the maxima that MaxPool2d returned back in their places, zeros elsewhere."""

    dims = 2

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpoolNd):
    """Put the maxima that MaxPool3d returned back in their places, zeros elsewhere."""

    dims = 3

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


# ---- means
class AvgPool1d(Settings):
    """The mean of each window of [batch, channels, length]."""

    __constants__ = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"]
    shown = "kernel_size stride padding"

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True
    ) -> None:
        stride = kernel_size if stride is None else stride
        sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        super().__init__(
            **{name: per_dim(value, 1) for name, value in sizes.items()}, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )  # fmt: skip

    def forward(self, input: Any) -> Any:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class _AvgPoolNd(Settings):
    __constants__ = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"]
    shown = "kernel_size stride padding"

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            kernel_size=kernel_size, stride=kernel_size if stride is None else stride, padding=padding, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad, divisor_override=divisor_override,
        )  # fmt: skip

    def _arguments(self) -> tuple[Any, ...]:
        return (
            self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override,
        )  # fmt: skip


class AvgPool2d(_AvgPoolNd):
    """The mean of each window of [batch, channels, height, width]."""

    def forward(self, input: Any) -> Any:
        return F.avg_pool2d(input, *self._arguments())


class AvgPool3d(_AvgPoolNd):
    """The mean of each window of [batch, channels, depth, height, width]."""

    def forward(self, input: Any) -> Any:
        return F.avg_pool3d(input, *self._arguments())


# ---- norms
class _LPPoolNd(Settings):
    __constants__ = ["norm_type", "kernel_size", "stride", "ceil_mode"]
    shown = "norm_type kernel_size stride ceil_mode"

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__(norm_type=norm_type, kernel_size=kernel_size, stride=stride, ceil_mode=ceil_mode)


class LPPool1d(_LPPoolNd):
    """(sum x^p)^(1/p) of each window of [batch, channels, length]."""

    def forward(self, input: Any) -> Any:
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPoolNd):
    """(sum x^p)^(1/p) of each window of [batch, channels, height, width]."""

    def forward(self, input: Any) -> Any:
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPoolNd):
    """(sum x^p)^(1/p) of each window of [batch, channels, depth, height, width]."""

    def forward(self, input: Any) -> Any:
        return F.lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


# ---- as many windows as are wanted
class _AdaptiveAvgPoolNd(Settings):
    __constants__ = ["output_size"]
    shown = "output_size"

    def __init__(self, output_size: Any) -> None:
        super().__init__(output_size=output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """The means of output_size windows of [batch, channels, length]."""

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """The means of output_size windows of [batch, channels, height, width]; None: as many as there are rows or columns."""

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """The means of output_size windows of [batch, channels, depth, height, width]."""

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPoolNd(Settings):
    __constants__ = ["output_size", "return_indices"]
    shown = "output_size"

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size=output_size, return_indices=return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The maxima of output_size windows of [batch, channels, length]."""

    def forward(self, input: Any) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """The maxima of output_size windows of [batch, channels, height, width]."""

    def forward(self, input: Any) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """The maxima of output_size windows of [batch, channels, depth, height, width]."""

    def forward(self, input: Any) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


# ---- windows of drawn sizes
class _FractionalMaxPoolNd(Settings):
    __constants__ = ["kernel_size", "return_indices", "output_size", "output_ratio"]
    dims: int

    def __init__(
        self, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:  # fmt: skip
        name, dims = type(self).__name__, self.dims
        if (output_size is None) == (output_ratio is None):
            what = "only one of" if output_size is not None else "either"
            raise ValueError(f"{name} requires specifying {what} an output size, or a pooling ratio")
        super().__init__(
            kernel_size=per_dim(kernel_size, dims), return_indices=return_indices,
            output_size=None if output_size is None else per_dim(output_size, dims),
            output_ratio=None if output_ratio is None else per_dim(output_ratio, dims),
        )  # fmt: skip
        self.register_buffer("_random_samples", _random_samples)
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def _arguments(self) -> tuple[Any, ...]:
        return self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """The maxima of windows that are spread at random, as many as output_size or output_ratio says."""

    dims = 2

    def forward(self, input: Any) -> Any:
        return F.fractional_max_pool2d(input, *self._arguments())


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """The maxima of windows that are spread at random, as many as output_size or output_ratio says."""

    dims = 3

    def forward(self, input: Any) -> Any:
        return F.fractional_max_pool3d(input, *self._arguments())
