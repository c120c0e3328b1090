"""PyTorch's names on JAX, HIPS autograd, MyGrad and tinygrad, as far as the workloads use them; so that each is written once.

Owns: that translation, by the libraries' own functions where they have them. May import: NumPy; the libraries late.
Must not know: any workload. What a library lacks raises NotImplementedError by its name.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy


class Face(SimpleNamespace):
    """Names, and for those that are not there an error that asv takes for "n/a"."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(f"{self.of} has no {name}")


def common(np: Any, library: str, log_softmax: Any, softmax: Any, erf: Any, sigmoid_loss: Any) -> Face:
    """Return what libraries with NumPy's functions do by these."""

    def linear(x: Any, w: Any, b: Any = None) -> Any:
        return x @ w.T if b is None else x @ w.T + b

    def cross_entropy(logits: Any, y: Any) -> Any:
        return -np.mean(log_softmax(logits)[np.arange(len(y)), y])

    def layer_norm(x: Any, shape: tuple[int, ...], w: Any, b: Any, eps: float = 1e-5) -> Any:
        centred = x - np.mean(x, axis=-1, keepdims=True)
        return centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps) * w + b

    def attention(q: Any, k: Any, v: Any) -> Any:
        return softmax(q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1]), -1) @ v

    functional = Face(
        of=library,
        relu=lambda x: np.maximum(x, 0),
        linear=linear,
        cross_entropy=cross_entropy,
        binary_cross_entropy_with_logits=lambda x, y: np.mean(sigmoid_loss(x, y)),
        gelu=lambda x: x * 0.5 * (1 + erf(x * math.sqrt(0.5))),
        layer_norm=layer_norm,
        scaled_dot_product_attention=attention,
        embedding=lambda words, table: table[words],
        mse_loss=lambda x, y: np.mean((x - y) ** 2),
    )
    return Face(
        of=library, array=np, nn=SimpleNamespace(functional=functional), clone=lambda a: np.array(a),
        softmax=softmax, amax=lambda a, dim: np.max(a, axis=dim), argsort=lambda a: np.argsort(a),
        **{name: getattr(np, name) for name in ("exp", "sin", "cos", "tanh", "where", "sum", "cumsum", "mean", "stack")},
    )  # fmt: skip


@functools.cache
def jax() -> Face:
    """Return PyTorch's names on JAX, with 64-bit types, as the other libraries have them."""
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    np, nn, lax = jax.numpy, jax.nn, jax.lax

    def sigmoid_loss(x: Any, y: Any) -> Any:
        return nn.softplus(x) - x * y

    face = common(np, "JAX", nn.log_softmax, nn.softmax, lax.erf, sigmoid_loss)
    f = face.nn.functional
    f.relu = nn.relu
    f.gelu = functools.partial(nn.gelu, approximate=False)

    def conv2d(x: Any, w: Any, b: Any = None, padding: int = 0) -> Any:
        out = lax.conv_general_dilated(x, w, (1, 1), [(padding, padding)] * 2)
        return out if b is None else out + b[:, None, None]

    def max_pool2d(x: Any, size: int) -> Any:
        window = (1, 1, size, size)
        return lax.reduce_window(x, numpy.float32(-numpy.inf), lax.max, window, window, "VALID")

    f.conv2d, f.max_pool2d = conv2d, max_pool2d
    key = [jax.random.key(0)]

    def randn_like(a: Any) -> Any:
        key[0], now = jax.random.split(key[0])
        return jax.random.normal(now, a.shape, a.dtype)

    face.randn_like, face.from_numpy = randn_like, np.asarray
    face.index_add = lambda a, dim, index, source: a.at[index].add(source)
    face.value_and_grad = jax.value_and_grad
    face.func = SimpleNamespace(**{name: getattr(jax, name) for name in ("grad", "jvp", "vmap", "jacfwd", "hessian")})
    return face


@functools.cache
def autograd() -> Face:
    """Return PyTorch's names on HIPS autograd, whose arrays are NumPy's."""
    library = importlib.import_module("autograd")
    np = importlib.import_module("autograd.numpy")
    special = importlib.import_module("autograd.scipy.special")

    def log_softmax(x: Any, axis: int = -1) -> Any:
        return x - special.logsumexp(x, axis=axis, keepdims=True)

    def softmax(x: Any, axis: int = -1) -> Any:
        return np.exp(log_softmax(x, axis))

    def sigmoid_loss(x: Any, y: Any) -> Any:
        return np.logaddexp(0, x) - x * y

    face = common(np, "HIPS autograd", log_softmax, softmax, special.erf, sigmoid_loss)
    face.from_numpy = numpy.array
    face.value_and_grad = library.value_and_grad

    def jvp(f: Any, primals: Any, tangents: Any) -> Any:
        return library.differential_operators.make_jvp(f)(*primals)(*tangents)

    face.func = Face(of="HIPS autograd", grad=library.grad, jvp=jvp, hessian=library.hessian)
    return face


@functools.cache
def mygrad() -> Face:
    """Return PyTorch's names on MyGrad: a tape over NumPy's functions, without optimizers or a compiler."""
    np = importlib.import_module("mygrad")
    nnet = {name: importlib.import_module(f"mygrad.nnet.{name}") for name in ("activations", "layers", "losses")}

    def sigmoid_loss(x: Any, y: Any) -> Any:
        return np.logaddexp(0, x) - x * y

    def erf(x: Any) -> Any:
        raise NotImplementedError("MyGrad has no erf")

    activations = nnet["activations"]
    face = common(np, "MyGrad", activations.logsoftmax, activations.softmax, erf, sigmoid_loss)
    f = face.nn.functional
    f.relu, f.cross_entropy = activations.relu, nnet["losses"].softmax_crossentropy

    def conv2d(x: Any, w: Any, b: Any = None, padding: int = 0) -> Any:
        out = nnet["layers"].conv_nd(x, w, stride=1, padding=padding)
        return out if b is None else out + b[:, None, None]

    f.conv2d = conv2d
    f.max_pool2d = lambda x, size: nnet["layers"].max_pool(x, (size, size), size)

    def value_and_grad(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(params: Any) -> Any:
            leaves = [np.tensor(p, copy=False) for p in params]
            out = function(leaves)
            out.backward()
            return out.data, [leaf.grad for leaf in leaves]

        return run

    face.array = numpy  # an update is of arrays
    face.from_numpy, face.value_and_grad = numpy.array, value_and_grad
    return face


@functools.cache
def tinygrad() -> Face:
    """Return PyTorch's names on tinygrad, by its tensors' methods."""
    tensor: Any = importlib.import_module("tinygrad").Tensor

    def linear(x: Any, w: Any, b: Any = None) -> Any:
        return x.linear(w.T, b)

    def layer_norm(x: Any, shape: tuple[int, ...], w: Any, b: Any, eps: float = 1e-5) -> Any:
        return x.layernorm(eps=eps) * w + b

    functional = Face(
        of="tinygrad",
        relu=tensor.relu,
        linear=linear,
        cross_entropy=lambda x, y: x.sparse_categorical_crossentropy(y),
        binary_cross_entropy_with_logits=lambda x, y: x.binary_crossentropy_logits(y),
        gelu=lambda x: x * 0.5 * (1 + (x * math.sqrt(0.5)).erf()),
        layer_norm=layer_norm,
        scaled_dot_product_attention=lambda q, k, v: q.scaled_dot_product_attention(k, v),
        embedding=lambda words, table: table[words],
        mse_loss=lambda x, y: ((x - y) ** 2).mean(),
        conv2d=lambda x, w, b=None, padding=0: x.conv2d(w, b, padding=padding),
        max_pool2d=lambda x, size: x.max_pool2d((size, size)),
    )

    return Face(
        of="tinygrad", nn=SimpleNamespace(functional=functional),
        from_numpy=lambda array: tensor(array).clone().realize(), clone=tensor.clone,
        stack=lambda many, dim=0: many[0].stack(*many[1:], dim=dim),
        **{name: getattr(tensor, name) for name in ("exp", "sin", "cos", "tanh", "sum", "cumsum", "mean", "softmax")},
    )  # fmt: skip


def optimizer(T: Any, name: str, lr: float, momentum: float = 0.0) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return (start, update) of PyTorch's SGD or Adam as pure functions: start(params), update(params, grads, state)."""
    sqrt = T.array.sqrt

    def zeros(params: Any) -> Any:
        return [0 * p for p in params]

    def sgd(params: Any, grads: Any, state: Any) -> Any:
        if momentum:
            grads = state = [momentum * m + g for m, g in zip(state, grads, strict=True)]
        return [p - lr * g for p, g in zip(params, grads, strict=True)], state

    def adam(params: Any, grads: Any, state: Any, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Any:
        t, first, second = state
        t = t + 1
        first = [b1 * m + (1 - b1) * g for m, g in zip(first, grads, strict=True)]
        second = [b2 * v + (1 - b2) * g * g for v, g in zip(second, grads, strict=True)]
        scale, root = lr / (1 - b1**t), (1 - b2**t) ** 0.5
        moved = [scale * m / (sqrt(v) / root + eps) for m, v in zip(first, second, strict=True)]
        return [p - d for p, d in zip(params, moved, strict=True)], (t, first, second)

    if name == "Adam":
        return lambda params: (T.from_numpy(numpy.zeros((), numpy.float32)), zeros(params), zeros(params)), adam
    return zeros, sgd
