"""`nn.grad`: the gradient of a convolution with respect to one of its inputs, without the convolution.

Owns: the six functions. May import: convolution's records, sizes. Must not know: devices. They are records themselves, the
ones that the rules of `convolution` call, so they have gradients of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wengert_nn.convolution import convolution_input, convolution_weight
from wengert_nn.windows import per_dim


def of_input(dims: int) -> Callable[..., Any]:
    """Return the function for convolutions of so many dims."""
    name = f"conv{dims}d_input"

    def run(
        input_size: Sequence[int], weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Any:  # fmt: skip
        window = window_of(name, dims, stride, padding, dilation)
        return convolution_input(grad_output, weight, tuple(input_size[2:]), *window, groups)

    return named(run, name, f"Return the gradient of conv{dims}d for its input, of `input_size`, given that of its result.")


def of_weight(dims: int) -> Callable[..., Any]:
    """Return the function for convolutions of so many dims."""
    name = f"conv{dims}d_weight"

    def run(
        input: Any, weight_size: Sequence[int], grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Any:  # fmt: skip
        window = window_of(name, dims, stride, padding, dilation)
        return convolution_weight(grad_output, input, tuple(weight_size[2:]), *window, groups)

    return named(run, name, f"Return the gradient of conv{dims}d for its weight, of `weight_size`, given that of its result.")


def window_of(name: str, dims: int, stride: Any, padding: Any, dilation: Any) -> list[Any]:
    """Return stride, padding and dilation with a number for each dim."""
    given = {"stride": stride, "padding": padding, "dilation": dilation}
    return [per_dim(name, what, value, dims) for what, value in given.items()]


def named(run: Callable[..., Any], name: str, words: str) -> Callable[..., Any]:
    run.__name__ = run.__qualname__ = name
    run.__doc__ = words
    return run


conv1d_input, conv2d_input, conv3d_input = of_input(1), of_input(2), of_input(3)
conv1d_weight, conv2d_weight, conv3d_weight = of_weight(1), of_weight(2), of_weight(3)
