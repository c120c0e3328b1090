"""PyTorch's module database as an oracle: every sample of a module, run on both libraries with the same weights.

Owns: the checks, and a command that reports them: `python tests/parity/modules.py [NAME...]` (all by default).
May import: PyTorch's testing package, `opdb` for carrying values over. Must not know: how anything is computed here.

Checks of one module and dtype: `state` (keys and shapes of the state dict), `repr`, `train` and `eval` (outputs and running
statistics; without dropout, whose noise is another), `grad` (of inputs and parameters), `errors`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_modules import module_db

sys.path.insert(0, str(Path(__file__).parent))
import opdb  # noqa: E402

import wengert  # noqa: E402
import wengert.nn  # noqa: E402

CHECKS = ("state", "repr", "train", "eval", "grad", "errors")
DTYPES = ("float32", "float64")
DRAWS = {"nn.FractionalMaxPool2d", "nn.FractionalMaxPool3d"}  # at random, from another stream than PyTorch's
FUNCTIONS = {torch.nn.functional.relu: "relu", torch.nn.functional.gelu: "gelu"}


def carried(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Return a PyTorch argument as one of ours; modules and functions among them too."""
    seen = {} if seen is None else seen
    if isinstance(value, torch.nn.Module):
        return twin(value)
    if value in FUNCTIONS if callable(value) else False:
        return getattr(wengert.nn.functional, FUNCTIONS[value])
    if isinstance(value, tuple | list) and not isinstance(value, torch.Size):
        return type(value)([carried(v, seen) for v in value])
    if isinstance(value, dict):
        return {k: carried(v, seen) for k, v in value.items()}
    return opdb.carried(value, seen)


def twin(module: torch.nn.Module) -> Any:
    """Return our module for one of PyTorch's that came as an argument."""
    if isinstance(module, torch.nn.TransformerEncoderLayer):
        attention = module.self_attn
        made = wengert.nn.TransformerEncoderLayer(
            attention.embed_dim, attention.num_heads, module.linear1.out_features, module.dropout.p,
            carried(module.activation), module.norm1.eps, attention.batch_first, module.norm_first,
            module.linear1.bias is not None,
        )  # fmt: skip
    elif isinstance(module, torch.nn.LayerNorm):
        made = wengert.nn.LayerNorm(module.normalized_shape, module.eps)
    else:
        raise NotImplementedError(f"no twin for {type(module).__name__}")
    made.load_state_dict(module.state_dict())
    return made


def ours(info: Any) -> Any:
    return getattr(wengert.nn, info.module_cls.__name__, None)


def samples(info: Any, dtype: str, training: bool) -> list[Any]:
    torch.manual_seed(0)
    return info.module_inputs_func(info, "cpu", getattr(torch, dtype), True, training)  # type: ignore[no-any-return]


def quiet(module: Any) -> Any:
    """Turn dropout off: its noise is another in each library."""
    for part in module.modules():
        if type(part).__name__ == "Dropout":
            part.p = 0.0
        elif isinstance(getattr(part, "dropout", None), float):
            part.dropout = 0.0
    return module


def check(info: Any, dtype: str, wanted: tuple[str, ...] = CHECKS) -> dict[str, opdb.Outcome]:
    """Run the checks of one module and dtype."""
    outcomes: dict[str, opdb.Outcome] = defaultdict(opdb.Outcome)
    for mode in (True, False):
        for sample in samples(info, dtype, mode):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                one(info, dtype, mode, sample, wanted, outcomes)
    if "errors" in wanted and dtype == "float32" and info.module_error_inputs_func is not None:
        errors(info, outcomes)
    return outcomes


def described(sample: Any) -> str:
    made, called = sample.constructor_input, sample.forward_input
    text = f"{sample.desc} {made.args} {made.kwargs}"
    if called is not None:
        shown = [list(a.shape) if isinstance(a, torch.Tensor) else type(a).__name__ for a in called.args]
        text += f" called with {shown} {list(called.kwargs)}"
    return " ".join(text.split())[:240]


def one(info: Any, dtype: str, mode: bool, sample: Any, wanted: tuple[str, ...], outcomes: Any) -> None:
    made, called = sample.constructor_input, sample.forward_input
    text = described(sample)

    def attempt(name: str, run: Any) -> Any:
        outcomes[name].done += 1
        try:
            return run()
        except Exception as error:
            outcomes[name].note(text, error)
            return None

    theirs = info.module_cls(*made.args, **made.kwargs).to(getattr(torch, dtype))
    theirs.train(mode)
    args, kwargs = (called.args, called.kwargs) if called is not None else ((), {})
    if info.is_lazy:  # the first call decides the sizes
        theirs(*args, **kwargs)

    def build() -> Any:
        mine = ours(info)(*carried(made.args), **carried(made.kwargs)).to(getattr(wengert, dtype))
        if info.is_lazy:
            mine(*carried(args), **carried(kwargs))
        own, expected = mine.state_dict(), theirs.state_dict()
        if list(own) != list(expected):
            raise opdb.Differs(f"keys {list(own)} instead of {list(expected)}")
        for key, value in expected.items():
            if tuple(own[key].shape) != tuple(value.shape) or str(own[key].dtype) != str(value.dtype):
                raise opdb.Differs(f"{key}: {own[key].shape} {own[key].dtype} instead of {value.shape} {value.dtype}")
        mine.load_state_dict(expected)
        return mine.train(mode)

    mine = attempt("state", build)
    if mine is None:
        return
    if "repr" in wanted:

        def text_of() -> None:
            if repr(mine) != repr(theirs):
                raise opdb.Differs(f"{mine!r} instead of {theirs!r}")

        attempt("repr", text_of)
    if called is None:
        return
    quiet(mine)
    quiet(theirs)
    mine_args, mine_kwargs = carried((list(args), kwargs))
    expected = theirs(*args, **kwargs)
    values = info.name not in DRAWS

    def forward() -> Any:
        found = mine(*mine_args, **mine_kwargs)
        opdb.compare("output", found, expected, loose=3.0, values=values)
        for (name, a), (_, b) in zip(mine.named_buffers(), theirs.named_buffers(), strict=True):
            opdb.compare(f"buffer {name}", a, b)
        return found

    found = attempt("train" if mode else "eval", forward)
    if found is None or "grad" not in wanted or not values:
        return

    def grad() -> None:
        their_out = [t for t in opdb.tensors_in(expected, torch.Tensor) if t.requires_grad]
        my_out = [t for t in opdb.tensors_in(found, wengert.Tensor) if t.requires_grad]
        if len(their_out) != len(my_out):
            raise opdb.Differs(f"{len(my_out)} results require grad instead of {len(their_out)}")
        if not their_out:
            return
        their_in = [t for t in opdb.tensors_in((args, kwargs), torch.Tensor) if t.requires_grad]
        my_in = [t for t in opdb.tensors_in((mine_args, mine_kwargs), wengert.Tensor) if t.requires_grad]
        their_in += [p for p in theirs.parameters() if p.requires_grad]
        my_in += [p for p in mine.parameters() if p.requires_grad]
        if len(their_in) != len(my_in):
            raise opdb.Differs(f"{len(my_in)} inputs and parameters require grad instead of {len(their_in)}")
        if not their_in:
            return
        torch.manual_seed(1)
        weights = [torch.randn_like(t) for t in their_out]
        want = torch.autograd.grad(their_out, their_in, weights, allow_unused=True)
        got = wengert.autograd.grad(my_out, my_in, opdb.carried(weights), allow_unused=True)
        opdb.agree("gradient", got, want)

    attempt("grad", grad)


def errors(info: Any, outcomes: Any) -> None:
    for case in info.module_error_inputs_func(info, "cpu", torch.float32, False, True):
        sample = case.module_error_input
        made, called = sample.constructor_input, sample.forward_input
        outcome = outcomes["errors"]
        outcome.done += 1
        try:
            mine = ours(info)(*carried(made.args), **carried(made.kwargs))
            if called is not None:
                mine(*carried(called.args), **carried(called.kwargs))
        except Exception as error:
            if not isinstance(error, case.error_type):
                outcome.note(described(sample), error)
        else:
            outcome.failures.append(f"no error where PyTorch has {case.error_type.__name__}   <- {described(sample)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="Conv2d, ... (default: all)")
    parser.add_argument("--dtype", action="append")
    parser.add_argument("-q", "--quiet", action="store_true", help="show what fails and totals only")
    options = parser.parse_args()
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    right = there = 0
    for info in module_db:
        if options.names and info.module_cls.__name__ not in options.names:
            continue
        if ours(info) is None:
            print(f"absent {info.name}")
            continue
        there += 1
        lines = []
        for dtype in options.dtype or DTYPES:
            for name, outcome in check(info, dtype).items():
                total[name][0] += outcome.done
                total[name][1] += len(outcome.failures)
                if outcome.failures:
                    lines.append(f"    {dtype} {name}: {len(outcome.failures)} of {outcome.done} failed")
                    lines += [f"        {f}" for f in opdb.distinct(outcome.failures)]
        right += not lines
        if lines or not options.quiet:
            print("\n".join([f"{'FAILED' if lines else 'ok    '} {info.name}", *lines]), flush=True)
    print("\n" + "  ".join(f"{name} {n - bad}/{n}" for name, (n, bad) in total.items()))
    print(f"{right} of {there} modules entirely right")


if __name__ == "__main__":
    main()
