"""PyTorch's operator database as an oracle: every sample and error input of a name, run on both libraries.

Owns: carrying samples over to wengert, the checks, and a command that reports them: `python tests/parity/opdb.py NAME...`
(no name: every name that wengert resolves; `--missing`: the names it does not). May import: PyTorch's testing package.
Must not know: how anything is computed here.

Checks of one entry and dtype: `forward` (values, shapes, dtypes; inputs unmodified; the same from non-contiguous inputs),
`grad` and `gradgrad` (against PyTorch's), `method`, `inplace`, `out`, and `errors` (an exception where PyTorch raises).
"""

from __future__ import annotations

import argparse
import functools
import re
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

import wengert

if not torch.cuda.is_available():  # PyTorch notes the stack for each kind of device that it will seed later: 2/3 of all time
    torch.manual_seed = torch.default_generator.manual_seed

CHECKS = ("forward", "grad", "gradgrad", "method", "inplace", "out", "errors")
DTYPES = ("float32", "float64", "complex128", "int64", "bool")
RANDOM = {  # drawn from other streams than PyTorch's: only shapes and dtypes can agree
    "normal", "randint", "randn", "uniform", "bernoulli", "randn_like", "exponential", "multinomial", "rand_like",
    "randint_like", "cauchy", "geometric", "log_normal", "nn.functional.dropout", "nn.functional.alpha_dropout",
    "nn.functional.dropout2d", "nn.functional.dropout3d", "nn.functional.feature_alpha_dropout",
    "nn.functional.rrelu", "nn.functional.multi_head_attention_forward",
    "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted",
    "resize_", "resize_as_", "svd_lowrank", "pca_lowrank",
    "nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d",
}  # fmt: skip
WRITING = {"nn.functional.batch_norm", "nn.functional.instance_norm", "native_batch_norm"}  # to running statistics
RELATIVE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 3e-5, "complex64": 3e-5}
TIERS = Path(__file__).with_name("tiers.txt")


# ---- which function of ours a name means
def reflected(name: str) -> Callable[..., Any]:
    def run(x: Any, *args: Any, **kwargs: Any) -> Any:
        method = getattr(wengert.Tensor, name, None)  # of the class, as PyTorch's entries have it
        return getattr(x, name)(*args, **kwargs) if method is None else method(x, *args, **kwargs)

    return run


ADAPTERS: dict[str, Callable[..., Any]] = {
    "__getitem__": lambda x, *args: x.__getitem__(*args),
    "polygamma": lambda x, n, **kwargs: wengert.polygamma(n, x, **kwargs),
    "special.polygamma": lambda x, n, **kwargs: wengert.special.polygamma(n, x, **kwargs),
    "T": lambda x: x.T, "H": lambda x: x.H, "mT": lambda x: x.mT, "mH": lambda x: x.mH,
    "resize_as_": lambda x, other: wengert.clone(x).resize_(other.size()),
    "resize_": lambda x, shape: wengert.clone(x).resize_(shape),
    "zero_": lambda x: wengert.clone(x).zero_(),
    "uniform": lambda x, *args, **kwargs: wengert.clone(x).uniform_(*args, **kwargs),
    "exponential": lambda x, *args, **kwargs: wengert.clone(x).exponential_(*args, **kwargs),
    "cauchy": lambda x, *args, **kwargs: wengert.clone(x).cauchy_(*args, **kwargs),
    "geometric": lambda x, *args, **kwargs: wengert.clone(x).geometric_(*args, **kwargs),
    "log_normal": lambda x, *args, **kwargs: wengert.clone(x).log_normal_(*args, **kwargs),
    "normal.in_place": lambda x, *args, **kwargs: wengert.clone(x).normal_(*args, **kwargs),
    "broadcast_shapes": lambda *shapes: wengert.broadcast_shapes(*shapes),
    "cartesian_prod": lambda *tensors: wengert.cartesian_prod(*tensors),
    "block_diag": lambda *tensors: wengert.block_diag(*tensors),
    "mvlgamma": lambda x, *args, **kwargs: wengert.mvlgamma(x, *args, **kwargs),
    "svd_lowrank": lambda a, b, **kwargs: wengert.svd_lowrank(a @ b.mT, **kwargs),
    "pca_lowrank": lambda a, b, **kwargs: wengert.pca_lowrank(a @ b.mT, **kwargs),
    "linalg.lstsq.grad_oriented": lambda a, b, driver: wengert.linalg.lstsq(a, b, driver=driver)[:2],
    "linalg.pinv.singular": lambda a, b: wengert.linalg.pinv(a @ b.mT),
    "einsum": lambda tensors, equation: wengert.einsum(equation, tensors),
    "view_as_complex": lambda x: wengert.view_as_complex(x),
    "where": lambda x, condition, y, **kwargs: wengert.where(condition, x, y, **kwargs),
    "meshgrid.list_of_tensors": lambda tensors, **kwargs: wengert.meshgrid(tensors, **kwargs),
    "meshgrid.variadic_tensors": lambda first, *rest, **kwargs: wengert.meshgrid(first, *rest, **kwargs),
    "std.unbiased": lambda x, *args, **kwargs: wengert.std(x, *args, **kwargs),
    "normal.number_mean": lambda std, mean, *args, **kwargs: wengert.normal(mean, std, *args, **kwargs),
    "nn.functional.cross_entropy": lambda *args, **kwargs: wengert.nn.functional.cross_entropy(*args, **kwargs),
    "nn.functional.embedding": lambda x, index, **kwargs: wengert.nn.functional.embedding(index, x, **kwargs),
    "nn.functional.embedding_bag": lambda x, index, **kwargs: wengert.nn.functional.embedding_bag(index, x, **kwargs),
    "nn.functional.triplet_margin_with_distance_loss": lambda *args, distance_function=None, **kwargs: (
        wengert.nn.functional.triplet_margin_with_distance_loss(*args, **kwargs)),
}  # fmt: skip


def full_name(info: Any) -> str:
    """Return "name" or "name.variant"."""
    return f"{info.name}.{info.variant_test_name}" if info.variant_test_name else str(info.name)


def ours(info: Any) -> Callable[..., Any] | None:
    """Return wengert's function for an entry: an adapter, the function of that name, or the method."""
    for name in (full_name(info), info.name):
        if name in ADAPTERS:
            return ADAPTERS[name] if resolves(info.name) else None
    return function_of(info.name)


def resolves(name: str) -> bool:
    if name in ("uniform", "exponential", "cauchy", "geometric", "log_normal"):
        name += "_"
    return function_of(name) is not None


def function_of(name: str) -> Callable[..., Any] | None:
    found: Any = wengert
    try:
        for part in name.split("."):
            found = getattr(found, part)
        if callable(found) and not isinstance(found, type(wengert)) and not isinstance(found, wengert.dtype):
            return found  # type: ignore[no-any-return]
    except (AttributeError, NotImplementedError):
        pass
    if "." not in name and hasattr(wengert.Tensor, name) or "." not in name and hasattr(wengert.ones(1), name):
        return reflected(name)
    return None


# ---- carrying values over
def carried(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Return a PyTorch argument as one of ours; the same tensor twice stays one tensor."""
    seen = {} if seen is None else seen
    if isinstance(value, torch.Tensor):
        if id(value) not in seen:
            seen[id(value)] = tensor(value)
        return seen[id(value)]
    if isinstance(value, torch.dtype):
        return getattr(wengert, str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, torch.memory_format | torch.layout):
        return getattr(wengert, str(value).removeprefix("torch."))
    if isinstance(value, torch.Size):
        return wengert.Size(value)
    if isinstance(value, tuple | list):
        parts = [carried(v, seen) for v in value]
        if hasattr(value, "_fields"):
            return tuple(parts)
        return type(value)(parts)
    if isinstance(value, dict):
        return {k: carried(v, seen) for k, v in value.items()}
    return value


def tensor(value: torch.Tensor) -> Any:
    """Return a tensor of ours with the values and strides of PyTorch's."""
    plain = value.detach().resolve_conj().resolve_neg()
    if plain.dtype == torch.bfloat16:
        made = wengert.from_numpy(plain.float().numpy().copy()).to(wengert.bfloat16)
    elif plain.layout == torch.sparse_coo:
        made = wengert.sparse_coo_tensor(tensor(plain._indices()), tensor(plain._values()), plain.shape, is_coalesced=plain.is_coalesced())
    elif plain.layout == torch.sparse_csr:
        made = wengert.sparse_csr_tensor(tensor(plain.crow_indices()), tensor(plain.col_indices()), tensor(plain.values()), plain.shape)
    elif plain.layout != torch.strided:
        raise NotImplementedError(f"tensors of layout {plain.layout}")
    else:
        if any(s == 0 and n > 1 for s, n in zip(plain.stride(), plain.shape, strict=True)):
            made = wengert.from_numpy(plain.numpy())
        else:
            made = wengert.from_numpy(plain.numpy().copy(order="K"))
    return made.requires_grad_() if value.requires_grad else made


def scattered(value: Any) -> Any:
    """Return a PyTorch argument whose tensors have gaps between their elements."""
    if isinstance(value, torch.Tensor) and value.layout == torch.strided and value.numel() > 1:
        wide = torch.empty(*value.shape, 2, dtype=value.dtype)
        made = wide[..., 0]
        made.copy_(value.detach())
        return made.requires_grad_(value.requires_grad)
    if isinstance(value, tuple | list) and not hasattr(value, "_fields") and not isinstance(value, torch.Size):
        return type(value)(scattered(v) for v in value)
    if isinstance(value, dict):
        return {k: scattered(v) for k, v in value.items()}
    return value


def tensors_in(value: Any, kind: type) -> list[Any]:
    """Return the tensors in nested arguments, each once, in order."""
    found: list[Any] = []

    def walk(v: Any) -> None:
        if isinstance(v, kind):
            if not any(v is f for f in found):
                found.append(v)
        elif isinstance(v, tuple | list):
            for part in v:
                walk(part)
        elif isinstance(v, dict):
            for part in v.values():
                walk(part)

    walk(value)
    return found


def array(value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, torch.Tensor):
        value = (value if value.layout == torch.strided else value.to_dense()).detach().resolve_conj().resolve_neg()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy(force=True)
    if value.layout != "torch.strided":
        value = value.to_dense()
    if "bfloat16" in str(value.dtype):
        value = value.detach().float()
    return value.detach().numpy()


class Differs(AssertionError):
    pass


def compare(what: str, mine: Any, theirs: Any, loose: float = 1.0, values: bool = True) -> None:
    """Raise Differs unless two results agree in structure, type, shape and value."""
    if isinstance(theirs, torch.Tensor):
        if not isinstance(mine, wengert.Tensor):
            raise Differs(f"{what}: {type(mine).__name__} instead of a tensor")
        kind = str(theirs.dtype).removeprefix("torch.")
        if str(mine.dtype).removeprefix("torch.") != kind:
            raise Differs(f"{what}: dtype {mine.dtype} instead of {theirs.dtype}")
        if tuple(mine.shape) != tuple(theirs.shape):
            raise Differs(f"{what}: shape {tuple(mine.shape)} instead of {tuple(theirs.shape)}")
        if str(mine.layout) != str(theirs.layout):
            raise Differs(f"{what}: layout {mine.layout} instead of {theirs.layout}")
        if not values:
            return
        a, b = array(mine), array(theirs)
        if b.dtype.kind in "biu":
            if not np.array_equal(a, b):
                raise Differs(f"{what}: {_first(a, b, a != b)}")
            return
        close = RELATIVE.get(kind, 1e-9) * loose
        finite = np.abs(b[np.isfinite(b)])
        scale = finite.max() if finite.size else 0.0
        with np.errstate(all="ignore"):
            bad = ~np.isclose(a, b, rtol=close, atol=close * max(float(scale), 1e-3) * 0.1, equal_nan=True)
        if bad.any():
            raise Differs(f"{what}: {_first(a, b, bad)}")
    elif isinstance(theirs, tuple | list):
        if not isinstance(mine, tuple | list) or len(mine) != len(theirs):
            raise Differs(f"{what}: {len(theirs)} results expected, got {type(mine).__name__} {len(mine) if hasattr(mine, '__len__') else ''}")
        for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            compare(f"{what}[{i}]", a, b, loose, values)
        for name in getattr(theirs, "_fields", None) or [n for n in dir(theirs) if not n.startswith(("_", "n_")) and n not in ("count", "index", "append", "clear", "copy", "extend", "insert", "pop", "remove", "reverse", "sort", "numel")]:
            if not hasattr(mine, name):
                raise Differs(f"{what}: no field {name!r}")
    elif isinstance(theirs, torch.dtype | torch.device):
        if str(mine) != str(theirs):
            raise Differs(f"{what}: {mine} instead of {theirs}")
    elif isinstance(theirs, float | complex):
        if not values:
            return
        if not np.isclose(mine, theirs, rtol=1e-5, equal_nan=True):
            raise Differs(f"{what}: {mine} instead of {theirs}")
    elif mine != theirs or type(mine) is not type(theirs) and not isinstance(theirs, torch.Size):
        raise Differs(f"{what}: {mine!r} instead of {theirs!r}")


def _first(a: Any, b: Any, bad: Any) -> str:
    where = tuple(int(i) for i in np.argwhere(bad)[0]) if np.ndim(bad) else ()
    return f"{a[where]!r} instead of {b[where]!r} at {where} ({int(np.sum(bad))} of {b.size} differ)"


# ---- the checks
@dataclass
class Outcome:
    """How often a check was made of an entry and dtype, and what failed."""

    done: int = 0
    failures: list[str] = field(default_factory=list)

    def note(self, sample: str, error: BaseException) -> None:
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if not isinstance(error, Differs):
            frames = traceback.extract_tb(error.__traceback__)
            last = next((f for f in reversed(frames) if "wengert" in f.filename), frames[-1])
            text += f"  [{Path(last.filename).name}:{last.lineno}]"
        self.failures.append(f"{text}   <- {sample}")


def samples(info: Any, dtype: str) -> Iterator[Any]:
    torch.manual_seed(0)
    np.random.seed(0)
    import random

    random.seed(0)
    yield from info.sample_inputs("cpu", getattr(torch, dtype), requires_grad=False)


def described(sample: Any) -> str:
    def show(v: Any) -> str:
        if isinstance(v, torch.Tensor):
            return f"{str(v.dtype)[6:]}{list(v.shape)}" + ("" if v.is_contiguous() else "*")
        if isinstance(v, tuple | list):
            return "(" + ", ".join(show(p) for p in v) + ")"
        return repr(v)

    parts = [show(sample.input), *[show(a) for a in sample.args], *[f"{k}={show(v)}" for k, v in sample.kwargs.items()]]
    return ", ".join(parts)[:240]


def reseeded(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        torch.manual_seed(0)
        return function(*args, **kwargs)

    return run


def differentiable(value: torch.Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def check(info: Any, dtype: str, wanted: tuple[str, ...] = CHECKS, limit: int | None = None) -> dict[str, Outcome]:
    """Run the checks of one entry and dtype; the outcome of each that applies."""
    outcomes: dict[str, Outcome] = defaultdict(Outcome)
    run = ours(info)
    assert run is not None
    values = info.name not in RANDOM
    kind = getattr(torch, dtype)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        every = [s for s in samples(info, dtype)] if kind in info.supported_dtypes("cpu") else []
        if limit is not None and len(every) > limit:
            every = every[:: -(-len(every) // limit)]
        for sample in every:
            one_sample(info, run, sample, dtype, wanted, outcomes, values and not sample.kwargs.get("dropout_p"))
        if "errors" in wanted and dtype in ("float32", "float64") and info.error_inputs_func is not None:
            errors_of(info, run, outcomes)
    return outcomes


HERE = (torch.strided, torch.sparse_coo, torch.sparse_csr)


def one_sample(
    info: Any, run: Callable[..., Any], sample: Any, dtype: str, wanted: tuple[str, ...], outcomes: dict[str, Outcome], values: bool
) -> None:
    process = sample.output_process_fn_grad
    try:
        torch.manual_seed(0)
        given = copied(sample.input), copied(sample.args), copied(sample.kwargs)
        theirs = info.op(given[0], *given[1], **given[2])
    except Exception:
        return  # PyTorch itself cannot
    with_layout = [t for t in tensors_in((sample.input, sample.args, sample.kwargs), torch.Tensor) if t.layout != torch.strided]
    sparse = bool(with_layout) or any(t.layout != torch.strided for t in tensors_in(theirs, torch.Tensor))
    if any(t.layout not in HERE for t in (*with_layout, *tensors_in(theirs, torch.Tensor))) or any(t.ndim != 2 for t in with_layout):
        return  # layouts, and batches of them, that wengert has not
    text = "sparse tensors" if sparse else described(sample)

    def attempt(check: str, function: Callable[[], None]) -> bool:
        if check not in wanted:
            return False
        outcome = outcomes[check]
        outcome.done += 1
        try:
            function()
        except Exception as error:
            outcome.note(text, error)
            return False
        return True

    factors = ("<lambda>", "out_fn", "fn_U", "fn_S", "fn_Vh", "fn_UVh")  # what of a factorization does not depend on signs
    gauge = getattr(process, "__name__", "") in factors and info.name.split(".")[0] in ("linalg", "svd", "qr", "pinverse")

    def mine_of(variant: Callable[..., Any], change: Callable[[Any], Any] = lambda v: v) -> Any:
        value, args, kwargs = carried(change((sample.input, list(sample.args), sample.kwargs)))
        wengert.manual_seed(0)
        return variant(value, *args, **kwargs)

    def processed(result: Any) -> Any:
        return process(result) if gauge else result

    if sparse:
        attempt("forward", lambda: compare("value", mine_of(run), theirs))
        return

    def forward() -> None:
        value, args, kwargs = arguments = carried((sample.input, list(sample.args), sample.kwargs))
        before = [array(t).copy() for t in tensors_in(arguments, wengert.Tensor)]
        wengert.manual_seed(0)
        mine = run(value, *args, **kwargs)
        compare("value", processed(mine), processed(theirs), values=values)
        if not info.name.endswith("_") and "out" not in sample.kwargs and sample.kwargs.get("max_norm") is None:
            written = tensors_in(given, torch.Tensor) if info.name in WRITING else None
            for i, (old, t) in enumerate(zip(before, tensors_in(arguments, wengert.Tensor), strict=True)):
                if written is not None:
                    compare(f"input {i} afterwards", t, written[i])
                elif not np.array_equal(old, array(t), equal_nan=old.dtype.kind in "fc"):
                    raise Differs("an input was modified")
        if values and info.name not in ("as_strided", "resize_", "resize_as_", "view_as_complex", "view", "view_as"):
            compare("value from inputs with gaps", processed(mine_of(run, scattered)), processed(theirs))

    if not attempt("forward", forward):
        return
    backward = values and info.supports_autograd and getattr(torch, dtype) in info.supported_backward_dtypes("cpu")
    if backward and ("grad" in wanted or "gradgrad" in wanted):
        gradients(info, run, sample, process, attempt)
    method = info.method_variant
    if method is not None and values and hasattr(torch.Tensor, getattr(method, "__name__", "")) and isinstance(sample.input, torch.Tensor):
        name = method.__name__

        def as_method() -> None:
            compare(f".{name}()", processed(mine_of(lambda x, *a, **k: getattr(x, name)(*a, **k))), processed(theirs))

        attempt("method", as_method)
    inplace = info.inplace_variant
    if inplace is not None and values and isinstance(sample.input, torch.Tensor) and not sample.broadcasts_input:
        name = getattr(inplace, "__name__", "")
        if hasattr(torch.Tensor, name):
            try:
                target = sample.input.clone()
                changed = getattr(target, name)(*copied(sample.args), **copied(sample.kwargs))
            except Exception:
                changed = None
            if changed is not None:

                def in_place() -> None:
                    value, args, kwargs = carried((sample.input.clone(), list(sample.args), sample.kwargs))
                    same = getattr(value, name)(*args, **kwargs)
                    compare(f".{name}()", value, changed)
                    if same is not value:
                        raise Differs(f".{name}() does not return its tensor")

                attempt("inplace", in_place)
    if info.supports_out and values and "out" not in sample.kwargs and outcomes["out"].done < 8:
        out_of(info, run, sample, theirs, mine_of, attempt, processed)
    if not outcomes["out"].done:
        del outcomes["out"]


def copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone() if value.layout == torch.strided else value
    if isinstance(value, tuple | list) and not isinstance(value, torch.Size):
        return type(value)([copied(v) for v in value]) if not hasattr(value, "_fields") else value
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    return value


def out_of(info: Any, run: Any, sample: Any, theirs: Any, mine_of: Any, attempt: Any, processed: Any) -> None:
    single = isinstance(theirs, torch.Tensor)
    if not single and not (isinstance(theirs, tuple) and all(isinstance(t, torch.Tensor) for t in theirs)):
        return
    results = (theirs,) if single else theirs
    given = [torch.empty_like(t) for t in results]
    try:
        info.op(copied(sample.input), *copied(sample.args), **copied(sample.kwargs), out=given[0] if single else tuple(given))
    except Exception:
        return

    def into() -> None:
        targets = [wengert.zeros(tuple(t.shape), dtype=getattr(wengert, str(t.dtype).removeprefix("torch."))) for t in results]
        made = mine_of(functools.partial(run, out=targets[0] if single else tuple(targets)))
        if single and made is not targets[0]:
            raise Differs("out= is not what is returned")
        compare("out", processed(targets[0] if single else tuple(targets)), processed(theirs if single else tuple(theirs)))

    attempt("out", into)


def gradients(info: Any, run: Any, sample: Any, process: Any, attempt: Any) -> None:
    arguments = (sample.input, list(sample.args), sample.kwargs)

    def demanding(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            made = value.detach().clone()
            return made.requires_grad_() if differentiable(made) else made
        if isinstance(value, tuple | list) and not isinstance(value, torch.Size) and not hasattr(value, "_fields"):
            return type(value)([demanding(v) for v in value])
        if isinstance(value, dict):
            return {k: demanding(v) for k, v in value.items()}
        return value

    value, args, kwargs = theirs_in = demanding(arguments)
    try:
        torch.manual_seed(0)
        results = process(info.op(value, *args, **kwargs))
    except Exception:
        return
    outs = [t for t in tensors_in(results, torch.Tensor) if t.requires_grad]
    if not outs:
        return
    ins = [t for t in tensors_in(theirs_in, torch.Tensor) if t.requires_grad]
    torch.manual_seed(1)
    weights = [torch.randn_like(t) for t in outs]
    try:
        first = torch.autograd.grad(outs, ins, weights, create_graph=info.supports_gradgrad, allow_unused=True)
    except Exception:
        return
    mine: dict[str, Any] = {}

    def grad() -> None:
        v, a, k = mine_in = carried(theirs_in)
        wengert.manual_seed(0)
        mine_results = process(run(v, *a, **k))
        every = tensors_in(results, torch.Tensor)
        mine_every = tensors_in(mine_results, wengert.Tensor)
        if len(every) != len(mine_every):
            raise Differs(f"{len(mine_every)} results instead of {len(every)}")
        mine_outs = []
        for t, m in zip(every, mine_every, strict=True):
            if t.requires_grad != m.requires_grad:
                raise Differs(f"requires_grad is {m.requires_grad} instead of {t.requires_grad}")
            if t.requires_grad:
                mine_outs.append(m)
        mine_ins = [t for t in tensors_in(mine_in, wengert.Tensor) if t.requires_grad]
        got = wengert.autograd.grad(mine_outs, mine_ins, carried(weights), create_graph=info.supports_gradgrad, allow_unused=True)
        mine.update(ins=mine_ins, first=got)
        agree("gradient", got, first)

    if not attempt("grad", grad) and "grad" in mine:
        return
    if not info.supports_gradgrad or "first" not in mine:
        return
    chosen = [i for i, g in enumerate(first) if g is not None and g.requires_grad]
    if not chosen:
        return
    torch.manual_seed(2)
    seeds = [torch.randn_like(first[i]) for i in chosen]
    try:
        second = torch.autograd.grad([first[i] for i in chosen], ins, seeds, allow_unused=True)
    except Exception:
        return

    def gradgrad() -> None:
        pairs = [(mine["first"][i], carried(s)) for i, s in zip(chosen, seeds, strict=True) if mine["first"][i] is not None]
        pairs = [(g, s) for g, s in pairs if g.requires_grad]
        if pairs:
            got = wengert.autograd.grad([g for g, _ in pairs], mine["ins"], [s for _, s in pairs], allow_unused=True)
        else:
            got = (None,) * len(mine["ins"])
        agree("second gradient", got, second)

    attempt("gradgrad", gradgrad)


def agree(what: str, mine: Any, theirs: Any) -> None:
    """Compare gradients; an unused input's None counts as zeros."""
    for i, (m, t) in enumerate(zip(mine, theirs, strict=True)):
        if m is None and t is None:
            continue
        if t is None:
            if np.any(array(m)):
                raise Differs(f"{what} of input {i}: not zero, PyTorch has None")
            continue
        if m is None:
            if np.any(array(t)):
                raise Differs(f"{what} of input {i}: None, PyTorch has {array(t).ravel()[:3]}")
            continue
        compare(f"{what} of input {i}", m, t, loose=30.0)


def errors_of(info: Any, run: Any, outcomes: dict[str, Outcome]) -> None:
    """Note each error input that does not raise here, or raises what PyTorch's users cannot catch."""
    torch.manual_seed(0)
    try:
        every = list(info.error_inputs("cpu"))
    except Exception:
        return
    for case in every:
        sample = case.sample_input
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                info.op(copied(sample.input), *copied(sample.args), **copied(sample.kwargs))
            continue  # on this device it is no error
        except Exception as error:
            theirs = error
        outcome = outcomes["errors"]
        outcome.done += 1
        try:
            value, args, kwargs = carried((sample.input, list(sample.args), sample.kwargs))
        except Exception:
            continue  # NumPy has no such array: it cannot be made here, which is an error too
        try:
            run(value, *args, **kwargs)
        except (AssertionError, UnboundLocalError) as error:
            outcome.note(described(sample), error)
        except AttributeError as error:
            if not isinstance(theirs, AttributeError):
                outcome.note(described(sample), error)
        except Exception as error:
            same = isinstance(error, type(theirs)) or isinstance(theirs, type(error))
            usual = (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError)
            if not same and not isinstance(error, usual):
                outcome.note(described(sample), error)
        else:
            outcome.failures.append(f"no error where PyTorch says {type(theirs).__name__}: {' '.join(str(theirs).split())[:160]}   <- {described(sample)}")


# ---- known gaps
@functools.cache
def gaps() -> dict[tuple[str, str, str], str]:
    """Return the known gaps: (name, dtype, check) -> reason; dtype and check may be "*"."""
    table = {}
    for line in Path(__file__).with_name("xfail.txt").read_text().splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            name, dtype, check, reason = (part.strip() for part in line.split("|", 3))
            table[name, dtype, check] = reason
    return table


def tiers() -> dict[str, int]:
    """Return the tier of each name: 1 must be there, 2 should, 3 need not."""
    table = {}
    for line in TIERS.read_text().splitlines():
        if line and not line.startswith("#"):
            tier, names = line.split(":")
            table.update({name: int(tier) for name in names.split()})
    return table


# ---- the command
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="names or prefixes ending in * (default: all that wengert resolves)")
    parser.add_argument("--dtype", action="append", help=f"default: {' '.join(DTYPES)}")
    parser.add_argument("--check", action="append", choices=CHECKS)
    parser.add_argument("--limit", type=int, help="samples of each entry and dtype at most")
    parser.add_argument("--tier", type=int, action="append")
    parser.add_argument("--missing", action="store_true", help="list the names that wengert does not resolve")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every failure, not the first of each kind")
    parser.add_argument("-q", "--quiet", action="store_true", help="show failing entries and totals only")
    options = parser.parse_args()
    known_tiers = tiers()
    chosen = []
    for info in op_db:
        if options.tier and known_tiers.get(info.name) not in options.tier:
            continue
        if options.names and not any(info.name == n or full_name(info) == n or (n.endswith("*") and info.name.startswith(n[:-1])) for n in options.names):
            continue
        chosen.append(info)
    absent = sorted({i.name for i in chosen if ours(i) is None})
    if options.missing:
        print("\n".join(absent))
        return
    checks, dtypes = tuple(options.check or CHECKS), tuple(options.dtype or DTYPES)
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    right: dict[str, bool] = {}
    for info in chosen:
        if ours(info) is None:
            continue
        lines, clean, start = [], True, time.perf_counter()
        for dtype in dtypes:
            for check_name, outcome in check(info, dtype, checks, options.limit).items():
                total[check_name][0] += outcome.done
                total[check_name][1] += len(outcome.failures)
                if outcome.failures:
                    clean = False
                    lines.append(f"    {dtype} {check_name}: {len(outcome.failures)} of {outcome.done} failed")
                    shown = outcome.failures if options.verbose else distinct(outcome.failures)
                    lines += [f"        {f}" for f in shown]
        right[info.name] = right.get(info.name, True) and clean
        if lines or not options.quiet:
            print(f"{'ok    ' if clean else 'FAILED'} {full_name(info)} ({time.perf_counter() - start:.1f} s)")
            print("\n".join(lines) + ("\n" if lines else ""), end="", flush=True)
    print("\n" + "  ".join(f"{name} {n - bad}/{n}" for name, (n, bad) in total.items()))
    for tier in (1, 2, 3):
        names = {i.name for i in chosen if known_tiers.get(i.name) == tier}
        if names:
            there = names & right.keys()
            print(f"tier {tier}: {len(there)} of {len(names)} names resolve, {sum(right[n] for n in there)} entirely right")


def distinct(failures: list[str]) -> list[str]:
    seen, kept = set(), []
    for failure in failures:
        key = re.sub(r"[\d.e+-]+", "#", failure.split("   <- ")[0])[:60]
        if key not in seen:
            seen.add(key)
            kept.append(failure)
    return kept[:4]


if __name__ == "__main__":
    main()
