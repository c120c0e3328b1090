"""What op families are written with, in this repository and in a stranger's package: one import for all of it.

Owns: no code; the names are public and stay. A family is a module whose tables read like formula sheets (records by
`elementwise` and `structural`, functions made of them below), and a plugin that registers its names: docs/adding-an-op.md.
The records that ship with wengert are in `wengert.ops`, which families may call too. Must not know: any family.
"""

from wengert import dtypes as dtypes
from wengert import errors as errors
from wengert._tensor import PLAIN as PLAIN
from wengert._tensor import Tensor as Tensor
from wengert._tensor import _disabled_torch_function_impl as _disabled_torch_function_impl
from wengert._tensor import wrap as wrap
from wengert.backend import device_of as device_of
from wengert.backend import give_operators as give_operators
from wengert.backend import has_values as has_values
from wengert.backend import of_array as of_array
from wengert.dtypes import category as category
from wengert.dtypes import default_float as default_float
from wengert.faces import labelled as labelled
from wengert.inplace import commit as commit
from wengert.inplace import inplace as inplace
from wengert.inplace import look as look
from wengert.inplace import write_out as write_out
from wengert.memory import NEAR as NEAR
from wengert.memory import aligned as aligned
from wengert.modes import is_grad_enabled as is_grad_enabled
from wengert.op import ANY as ANY
from wengert.op import FLOAT as FLOAT
from wengert.op import OPS as OPS
from wengert.op import SAME as SAME
from wengert.op import grad_name as grad_name
from wengert.ops import creation as creation
from wengert.ops import elementwise as e
from wengert.ops import indexing as indexing
from wengert.ops import products as products
from wengert.ops import random as random
from wengert.ops import reductions as r
from wengert.ops import shapes as s
from wengert.ops.dims import axes_of as axes_of
from wengert.ops.dims import count as count
from wengert.ops.dims import ints as ints
from wengert.ops.dims import kind_of as kind_of
from wengert.ops.dims import one_dim as one_dim
from wengert.ops.dims import only_tensors as only_tensors
from wengert.ops.dims import reduced as reduced
from wengert.ops.dims import shape_of as shape_of
from wengert.ops.dims import shared_like as shared_like
from wengert.ops.dims import size_of as size_of
from wengert.ops.dims import tensor_like as tensor_like
from wengert.record import call as call
from wengert.record import cast as cast
from wengert.record import elementwise as elementwise
from wengert.record import recast as recast
from wengert.record import relabel as relabel
from wengert.record import structural as structural
from wengert.record import sum_to as sum_to
from wengert.tape import Handle as Handle

__all__ = [
    "ANY", "FLOAT", "Handle", "NEAR", "OPS", "SAME", "Tensor", "aligned", "axes_of", "call", "cast", "category", "commit",
    "count", "creation", "default_float", "device_of", "dtypes", "e", "elementwise", "errors", "give_operators",
    "grad_name", "indexing", "inplace", "ints", "is_grad_enabled", "kind_of", "labelled", "look", "of_array", "one_dim",
    "only_tensors", "products", "r", "random", "recast", "reduced", "relabel", "s", "shape_of", "shared_like", "size_of",
    "structural", "sum_to", "tensor_like", "wrap", "write_out",
]  # fmt: skip
