"""Layers that move elements: flattening, windows as columns, pixels, resampling, padding.

Owns: their arguments. May import: Module, `nn.functional`. Must not know: devices.
"""

from __future__ import annotations

from typing import Any, ClassVar

from wengert.nn import functional as F
from wengert_nn.modules.module import Settings
from wengert_nn.modules.sizes import per_dim


# ---- shapes
class Flatten(Settings):
    """Make one dim of those from start_dim to end_dim."""

    __constants__ = ["start_dim", "end_dim"]
    shown = "start_dim end_dim"

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__(start_dim=start_dim, end_dim=end_dim)

    def forward(self, input: Any) -> Any:
        return input.flatten(self.start_dim, self.end_dim)


class Unflatten(Settings):
    """Make dims of these sizes of one. Raises TypeError for sizes that are no integers."""

    __constants__ = ["dim", "unflattened_size"]
    shown = "dim unflattened_size"

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        if not isinstance(dim, int):
            raise TypeError(f"dim must be an integer, got {type(dim).__name__}: dims have no names here")
        if not isinstance(unflattened_size, tuple | list):
            raise TypeError(f"unflattened_size must be a tuple of ints, but found type {type(unflattened_size).__name__}")
        for i, n in enumerate(unflattened_size):
            if not isinstance(n, int):
                kind = type(n).__name__
                raise TypeError(f"unflattened_size must be tuple of ints, but found element of type {kind} at pos {i}")
        super().__init__(dim=dim, unflattened_size=unflattened_size)

    def forward(self, input: Any) -> Any:
        return input.unflatten(self.dim, self.unflattened_size)


class Unfold(Settings):
    """The windows of images as columns."""

    __constants__ = ["kernel_size", "dilation", "padding", "stride"]
    shown = "kernel_size dilation padding stride"

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__(kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)

    def forward(self, input: Any) -> Any:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Settings):
    """Images of output_size whose elements are the sums over the columns they stand in."""

    __constants__ = ["output_size", "kernel_size", "dilation", "padding", "stride"]
    shown = "output_size kernel_size dilation padding stride"

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__(
            output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
        )

    def forward(self, input: Any) -> Any:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)


# ---- pixels
class PixelShuffle(Settings):
    """[.., c r^2, h, w] as [.., c, h r, w r]"""

    __constants__ = ["upscale_factor"]
    shown = "upscale_factor"

    def __init__(self, upscale_factor: int) -> None:
        super().__init__(upscale_factor=upscale_factor)

    def forward(self, input: Any) -> Any:
        return F.pixel_shuffle(input, self.upscale_factor)


class PixelUnshuffle(Settings):
    """[.., c, h r, w r] as [.., c r^2, h, w]"""

    __constants__ = ["downscale_factor"]
    shown = "downscale_factor"

    def __init__(self, downscale_factor: int) -> None:
        super().__init__(downscale_factor=downscale_factor)

    def forward(self, input: Any) -> Any:
        return F.pixel_unshuffle(input, self.downscale_factor)


class ChannelShuffle(Settings):
    """Channels in another order: the first of each group, then the second of each, ..."""

    __constants__ = ["groups"]
    shown = "groups"

    def __init__(self, groups: int) -> None:
        super().__init__(groups=groups)

    def forward(self, input: Any) -> Any:
        return F.channel_shuffle(input, self.groups)


class Upsample(Settings):
    """Images of another size, or of sizes times scale_factor. mode: "nearest", "linear", "bilinear", "bicubic", ..."""

    __constants__ = ["size", "scale_factor", "mode", "align_corners", "name", "recompute_scale_factor"]

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:  # fmt: skip
        if isinstance(scale_factor, tuple):
            scale_factor = tuple(float(factor) for factor in scale_factor)
        elif scale_factor:
            scale_factor = float(scale_factor)
        super().__init__(
            name=type(self).__name__, size=size, scale_factor=scale_factor or None, mode=mode, align_corners=align_corners,
            recompute_scale_factor=recompute_scale_factor,
        )  # fmt: skip

    def forward(self, input: Any) -> Any:
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )  # fmt: skip

    def extra_repr(self) -> str:
        name = "size" if self.scale_factor is None else "scale_factor"
        return f"{name}={getattr(self, name)!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample by the nearest pixel."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Upsample linearly between pixels, corners on corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


# ---- padding
class _Pad(Settings):
    """Put elements around the last dims; padding: one number, or (before, after) of the last dim, the one before it, ..."""

    __constants__ = ["padding"]
    dims: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        super().__init__(padding=per_dim(padding, 2 * self.dims))

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    __constants__ = ["padding", "value"]

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"

    def forward(self, input: Any) -> Any:
        if input.dim() not in (self.dims + 1, self.dims + 2):
            raise ValueError(f"expected {self.dims + 1}D or {self.dims + 2}D input (got {input.dim()}D input)")
        return super().forward(input)


class ConstantPad1d(_ConstantPad):
    """Put a value around [.., length]."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """Put a value around [.., height, width]."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """Put a value around [.., depth, height, width]."""

    dims = 3


class _Zeros:
    def __init__(self: Any, padding: Any) -> None:
        super().__init__(padding, 0.0)  # type: ignore[call-arg]

    def extra_repr(self: Any) -> str:
        return f"{self.padding}"


class ZeroPad1d(_Zeros, ConstantPad1d):
    """Put zeros around [.., length]."""


class ZeroPad2d(_Zeros, ConstantPad2d):
    """Put zeros around [.., height, width]."""


class ZeroPad3d(_Zeros, ConstantPad3d):
    """Put zeros around [.., depth, height, width]."""


class ReflectionPad1d(_ReflectionPad):
    """Put mirrored elements around [.., length]."""

    dims = 1


class ReflectionPad2d(_ReflectionPad):
    """Put mirrored elements around [.., height, width]."""

    dims = 2


class ReflectionPad3d(_ReflectionPad):
    """Put mirrored elements around [.., depth, height, width]."""

    dims = 3


class ReplicationPad1d(_ReplicationPad):
    """Put the outermost elements around [.., length]."""

    dims = 1


class ReplicationPad2d(_ReplicationPad):
    """Put the outermost elements around [.., height, width]."""

    dims = 2


class ReplicationPad3d(_ReplicationPad):
    """Put the outermost elements around [.., depth, height, width]."""

    dims = 3


class CircularPad1d(_CircularPad):
    """Put the elements of the other end around [.., length]."""

    dims = 1


class CircularPad2d(_CircularPad):
    """Put the elements of the other end around [.., height, width]."""

    dims = 2


class CircularPad3d(_CircularPad):
    """Put the elements of the other end around [.., depth, height, width]."""

    dims = 3
