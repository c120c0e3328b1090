"""`wengert.array_api`: the Python array API standard, version 2024.12, with its extensions linalg and fft.

Owns: the namespace that `Tensor.__array_namespace__()` returns: the standard's names and signatures over wengert's functions.
What differs from PyTorch's is adapted in the modules here, and nowhere else. `import wengert` does not import it.
Must not know: devices, plugins. Source: https://data-apis.org/array-api/2024.12/
"""

import numpy as _np

from wengert import dtypes as _dtypes
from wengert.array_api import arrays, creation, elementwise, fft, linalg, types
from wengert.array_api.types import Info as _Info

__array_api_version__ = "2024.12"
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")  # each holds the ones before it

NAMES = {  # what each module here gives the namespace
    creation: "arange asarray empty empty_like eye from_dlpack full full_like linspace meshgrid ones ones_like tril triu zeros "
    "zeros_like",
    types: "astype can_cast finfo iinfo isdtype result_type",
    elementwise: "abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or "
    "bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide greater "
    "greater_equal hypot imag isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logical_and logical_not "
    "logical_or logical_xor maximum minimum multiply negative nextafter not_equal positive pow real reciprocal remainder round "
    "sign signbit sin sinh sqrt square subtract tan tanh trunc",
    arrays: "all any argmax argmin argsort broadcast_arrays broadcast_to concat count_nonzero cumulative_prod cumulative_sum "
    "diff expand_dims flip matmul matrix_transpose max mean min moveaxis nonzero permute_dims prod repeat reshape roll "
    "searchsorted sort squeeze stack std sum take take_along_axis tensordot tile unique_all unique_counts unique_inverse "
    "unique_values unstack var vecdot where",
}
for _module, _listed in NAMES.items():
    globals().update({_name: getattr(_module, _name) for _name in _listed.split()})
globals().update({_name: _dtypes.ALL[_name] for _name in types.NAMES})

e, inf, nan, newaxis, pi = _np.e, _np.inf, _np.nan, None, _np.pi


def __array_namespace_info__() -> _Info:
    """Return what this namespace can do: devices, types, capabilities."""
    return _Info()


__all__ = [
    "__array_api_version__", "__array_namespace_info__", "e", "fft", "inf", "linalg", "nan", "newaxis", "pi",
    *types.NAMES, *" ".join(NAMES.values()).split(),
]  # fmt: skip
