"""Programs: a graph as Python source that calls kernels in order, with its buffers planned.

Owns: `Program` and its source text: which values live in which buffers, what is written where, and the loop that runs groups of
elementwise ops on blocks small enough for the cache. May import: graph, passes, backend, tensor. Must not know: any op's
formula, any device; a device runs it if its elementwise kernels take `out`, as all do.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert import backend
from wengert._tensor import wrap
from wengert.graph import Equation, Graph, Value, _flatten, _rebuild
from wengert.passes import results

# Ops on one element as Python's operators: on the array library's scalars they take a tenth of a kernel's time.
SCALAR = {"add": "{} + {}", "subtract": "{} - {}", "multiply": "{} * {}", "divide": "{} / {}", "rsub": "{1} - {0}",
          "negative": "-{}"}  # fmt: skip
STILL = {"reshape", "broadcast_to", "transpose", "copy", "sum", "mean", "amax", "amin"}  # on one element: that element
BLOCK = 1 << 14  # elements that a group works on at once: three or four blocks of float64 fit a core's cache
FUSED = 1 << 16  # arrays from this size on are worked on in blocks


class Program:
    """A graph ready to run: call it with raw arrays in the order of the graph's arguments.

    Safe to call from several threads: one at a time has the buffers.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        arrays = [a for _, a in [*graph.states, *graph.literals] if not hasattr(a, "level")]
        self.owner = backend.of_array(arrays[0]) if arrays else backend.default_device().backend
        self.kind = type(arrays[0]) if arrays else np.ndarray
        self.names: dict[str, Any] = {"wrap": wrap, "copy": self.owner.copy, "write": self.owner.write}
        self.lines: list[str] = []
        self.fused: list[tuple[int, int]] = []  # (equations, elements) of each group that runs in blocks
        self.lock = threading.Lock()
        self._build()
        self.source = "\n".join(self.lines)
        exec(compile(self.source, f"<wengert program of {len(graph.equations)} equations>", "exec"), self.names)  # noqa: S102
        self.body: Callable[..., list[Any]] = self.names["program"]
        numbers = itertools.count()
        self.skeleton = _rebuild(graph.outputs, lambda v: _Place(next(numbers)))

    def __call__(self, arrays: list[Any]) -> Any:
        with self.lock, self.owner.quiet():
            made = self.body(*arrays)
        if type(self.skeleton) is _Place:
            return made[0]
        return _fill(self.skeleton, made)

    # ---- names
    def bind(self, prefix: str, value: Any) -> str:
        """Return a name in the program for a value."""
        name = f"{prefix}{len(self.names)}"
        self.names[name] = value
        return name

    def text(self, x: Any) -> str:
        """Return an input as source text."""
        if isinstance(x, tuple):
            return "(" + "".join(f"{self.text(v)}, " for v in x) + ")"
        return self.array(x) if isinstance(x, Value) else self.bind("c", x)

    # ---- the plan
    def _build(self) -> None:
        graph = self.graph
        equations = graph.equations
        last = self._last_reads()
        self.alias = _aliases(equations)
        self.scalars = self._scalar_values()
        given = {*graph.arguments, *(v for v, _ in graph.states), *(v for v, _ in graph.literals)}
        leaving = {self.root(v) for v in [*(v for _, v in graph.grads if v is not None), *_outputs(graph)]}
        direct = self._direct_writes(last, leaving, given)
        self.lines.append(f"def program({', '.join(f'v{v.number}' for v in graph.arguments)}):")
        self.stays: dict[Value, Any] = dict([*graph.states, *graph.literals])  # arrays that are the same in every run
        for v, array in self.stays.items():
            self.names[f"v{v.number}"] = array
        self.as_scalar: set[Value] = set()  # what has a scalar's name already, and an array's
        self.as_array: set[Value] = set(given)
        free: dict[Any, list[str]] = {}
        held: dict[Value, str] = {}  # values that live in a buffer of the program
        groups = self._groups(last, leaving | {self.root(v) for v in results(graph)})
        i = 0
        while i < len(equations):
            stop = groups.get(i)
            if stop is not None:
                self._emit_group(equations[i:stop], last, stop - 1, direct)
                i = stop
                continue
            e = equations[i]
            if self._fixed(e):
                i += 1
                continue
            if e.outs[0] in self.scalars:
                self._emit_scalar(e)
                i += 1
                continue
            out = None
            if e.op.elementwise and e.outs[0] in direct:
                out = direct[e.outs[0]]
            elif e.op.elementwise and self.root(e.outs[0]) not in leaving:
                spec = (e.outs[0].shape, e.outs[0].dtype)
                dying = self._dying(e, i, last, held, spec)
                if dying is not None:
                    out = held.pop(dying)
                elif free.get(spec):
                    out = free[spec].pop()
                else:
                    out = self.bind("b", self._empty(e.outs[0]))
                held[e.outs[0]] = out
            self._emit(e, out)
            for v in [v for v in held if self._ends(v, last) <= i]:
                free.setdefault((v.shape, v.dtype), []).append(held.pop(v))
            i += 1
        self._finish(given, direct)

    def _fixed(self, e: Equation) -> bool:
        """Take a view of a storage now, once: the storage stays where it is."""
        x = e.inputs[0]
        if not e.op.view or not isinstance(x, Value) or x not in self.stays:
            return False
        made = self.kernel(e)(self.stays[x], *e.params)
        if getattr(made, "base", None) is None:  # a copy after all
            return False
        self.stays[e.outs[0]] = self.names[f"v{e.outs[0].number}"] = made
        self.scalars.discard(e.outs[0])
        return True

    def _empty(self, v: Value) -> Any:
        return self.owner.copy(backend_array(self.owner, v))

    def root(self, v: Value) -> Value:
        """Return the value whose memory v shares: itself, where it is no view."""
        while v in self.alias and v not in self.scalars:
            v = self.alias[v]
        return v

    def _last_reads(self) -> dict[Value, int]:
        last: dict[Value, int] = {}
        for i, e in enumerate(self.graph.equations):
            for v in (*_flatten(e.inputs), *e.outs):
                if isinstance(v, Value):
                    last[v] = i
        for v in results(self.graph):
            last[v] = len(self.graph.equations)
        return last

    def _ends(self, v: Value, last: dict[Value, int]) -> int:
        """Return where the memory of v is read last, by itself or by a view of it."""
        ends = last[v]
        for view, source in self.alias.items():
            if self.root(source) is v:
                ends = max(ends, last[view])
        return ends

    def _dying(self, e: Equation, i: int, last: Any, held: Any, spec: Any) -> Value | None:
        """Return an input whose buffer the result may take: of its shape and type, and not read later. Only for ufuncs, which
        read each element before they write it."""
        if not isinstance(self.kernel(e), np.ufunc):
            return None
        for v in e.inputs:
            if isinstance(v, Value) and v in held and (v.shape, v.dtype) == spec and self._ends(v, last) <= i:
                return v
        return None

    def _direct_writes(self, last: dict[Value, int], leaving: set[Value], given: set[Value]) -> dict[Value, str]:
        """Return the results that are written straight to the storage they will be the new value of: {value: its name}."""
        found: dict[Value, str] = {}
        place = {id(a): v for v, a in self.graph.states}
        made_at = {out: i for i, e in enumerate(self.graph.equations) for out in e.outs}
        taken = [v for _, v in self.graph.writes]
        for target, v in self.graph.writes:
            old = self.graph.arguments[target] if isinstance(target, int) else place.get(id(target))
            i = made_at.get(v)
            if old is None or i is None or v in leaving or v in self.alias or taken.count(v) > 1:
                continue
            if int(np.prod(v.shape)) == 1:
                continue
            e = self.graph.equations[i]
            if not isinstance(self.kernel(e), np.ufunc) or (old.shape, old.dtype) != (v.shape, v.dtype):
                continue
            reads = [w for w in last if w is old or self.root(w) is old]
            if all(last[w] <= i for w in reads) and not any(self.root(w) is old for w in results(self.graph)):
                found[v] = f"v{old.number}"
        return found

    # ---- one element
    def _scalar_values(self) -> set[Value]:
        """Return the values of one real element whose equations run on scalars: arithmetic, and ufuncs of such values."""
        found: set[Value] = set()
        if getattr(self.owner, "xp", None) is not np:
            return found
        for e in self.graph.equations:
            out, inputs = e.outs[0], [v for v in _flatten(e.inputs) if isinstance(v, Value)]
            single = [v.dtype.char in "fd" and int(np.prod(v.shape)) == 1 for v in (out, *inputs)]
            same = all(v.dtype == out.dtype for v in inputs)
            if all(single) and same and (e.op.name in SCALAR or e.op.name in STILL or isinstance(self.kernel(e), np.ufunc)):
                found.add(out)
        return found

    def scalar(self, x: Any) -> str:
        """Return an input as a scalar's name; an array gives its element, once."""
        if not isinstance(x, Value):
            return self.bind("c", x[()])
        if x not in self.as_scalar and x not in self.scalars:
            self.as_scalar.add(x)
            self.lines.append(f"    x{x.number} = v{x.number}[{', '.join('0' * len(x.shape)) or '()'}]")
        return f"x{x.number}"

    def _emit_scalar(self, e: Equation) -> None:
        args = [self.scalar(x) for x in e.inputs]
        if e.op.name in STILL:
            text = args[0]
        elif e.op.name in SCALAR:
            text = SCALAR[e.op.name].format(*args)
        else:
            text = f"{self.bind('k', self.kernel(e))}({', '.join(args)})"
        self.lines.append(f"    x{e.outs[0].number} = {text}  # {e}")

    def array(self, v: Value) -> str:
        """Return a value as an array's name; a scalar becomes a new array, once."""
        if v in self.scalars and v not in self.as_array:
            self.as_array.add(v)
            make = f"{self.bind('array', np.array)}([x{v.number}])"
            shaped = make if len(v.shape) == 1 else f"{make}.reshape({v.shape})"
            self.lines.append(f"    v{v.number} = {shaped}")
        return f"v{v.number}"

    # ---- text
    def kernel(self, e: Equation) -> Any:
        return e.op.kernels[self.kind]

    def _emit(self, e: Equation, out: str | None) -> None:
        args = [self.text(x) for x in e.inputs] + [self.bind("p", p) for p in e.params]
        if e.op.elementwise:
            args.append(f"out={out or '...'}")
        left = ", ".join(f"v{v.number}" for v in e.outs)
        self.lines.append(f"    {left} = {self.bind('k', self.kernel(e))}({', '.join(args)})  # {e}")

    def _groups(self, last: dict[Value, int], kept: set[Value]) -> dict[int, int]:
        """Return {first: one past last} of runs of elementwise ufuncs on large arrays of one shape."""
        found: dict[int, int] = {}
        start = None
        equations = self.graph.equations
        for i, e in enumerate([*equations, None]):
            size = 0 if e is None else int(np.prod(e.outs[0].shape))
            fits = e is not None and e.op.elementwise and size >= FUSED and isinstance(self.kernel(e), np.ufunc)
            fits = fits and all(self._flat(x, e.outs[0].shape) for x in e.inputs)  # type: ignore[union-attr]
            if fits and start is not None and equations[start].outs[0].shape == e.outs[0].shape:  # type: ignore[union-attr]
                continue
            if start is not None and i - start > 1:
                found[start] = i
                self.fused.append((i - start, int(np.prod(equations[start].outs[0].shape))))
            start = i if fits else None
        return found

    def _flat(self, x: Any, shape: tuple[int, ...]) -> bool:
        """Say whether an input can be cut in blocks along with the result: a number, or an array of its shape in order."""
        if not isinstance(x, Value):
            return not x.ndim
        return not x.shape or (x.shape == shape and x not in self.alias)

    def _emit_group(self, group: list[Equation], last: dict[Value, int], end: int, direct: dict[Value, str]) -> None:
        """Write a loop over blocks: results that are read later are whole arrays, the others one block that is used again."""
        shape = group[0].outs[0].shape
        size = int(np.prod(shape))
        own = {e.outs[0] for e in group}
        whole = [e.outs[0] for e in group if last[e.outs[0]] > end]
        inputs = list(dict.fromkeys(v for e in group for v in e.inputs if isinstance(v, Value) and v.shape and v not in own))
        for v in {v for e in group for v in e.inputs if isinstance(v, Value) and v not in own}:
            self.array(v)  # scalars become arrays before the loop
        for v in inputs:
            self.lines.append(f"    f{v.number} = v{v.number}.reshape(-1)")
        for v in whole:
            target = direct.get(v) or f"{self.bind('empty', self._empties(v))}()"
            self.lines.append(f"    v{v.number} = {target}; f{v.number} = v{v.number}.reshape(-1)")
        self.lines.append(f"    for i in range(0, {size}, {BLOCK}):  # {len(group)} equations in blocks")
        self.lines.append(f"        j = min(i + {BLOCK}, {size}); m = j - i")
        cut: dict[Value, str] = {}
        for v in [*inputs, *whole]:
            cut[v] = f"s{v.number}"
            self.lines.append(f"        s{v.number} = f{v.number}[i:j]")
        free: dict[Any, list[str]] = {}
        reads = {v: n for n, e in enumerate(group) for v in e.inputs if isinstance(v, Value)}
        for n, e in enumerate(group):
            args = [cut.get(x) or self.text(x) if isinstance(x, Value) else self.text(x) for x in e.inputs]
            values = dict.fromkeys(v for v in e.inputs if isinstance(v, Value) and v in own and v not in whole)
            dead = [v for v in values if reads[v] == n]
            out = e.outs[0]
            if out not in whole:
                same = next((v for v in dead if v.dtype == out.dtype), None)
                if same is not None:
                    cut[out] = cut[same]
                    dead.remove(same)
                elif free.get(out.dtype):
                    cut[out] = free[out.dtype].pop()
                else:
                    block = self.bind("block", self._empty(Value(-1, (BLOCK,), out.dtype)))
                    cut[out] = f"{block}[:m]"
            self.lines.append(f"        {self.bind('k', self.kernel(e))}({', '.join(args)}, out={cut[out]})  # {e}")
            for v in dead:
                free.setdefault(v.dtype, []).append(cut[v])

    def _empties(self, v: Value) -> Callable[[], Any]:
        shape, dtype = v.shape, v.dtype
        xp = getattr(self.owner, "xp", np)
        return lambda: xp.empty(shape, dtype)

    def _finish(self, given: set[Value], direct: dict[Value, str]) -> None:
        """Write what the program leaves: storages, gradients, results; whatever leaves it is held by nobody else."""
        handed: set[Value] = set()
        place = {id(a): v for v, a in self.graph.states}

        def taken(v: Value) -> str:
            name = self.array(v)
            shared = v in given or (v in self.alias and v not in self.scalars) or v in handed or v in direct
            handed.add(v)
            return f"copy({name})" if shared else name

        after = []
        for target, v in self.graph.writes:
            if v in direct:
                continue
            old = f"v{self.graph.arguments[target].number}" if isinstance(target, int) else f"v{place[id(target)].number}"
            if v in self.scalars:
                shape = self.graph.arguments[target].shape if isinstance(target, int) else place[id(target)].shape
                after.append(f"    {old}[{', '.join('0' * len(shape)) or '()'}] = x{v.number}")
            elif self.root(v) in given:
                self.lines.append(f"    w{v.number} = copy(v{v.number})")
                after.append(f"    write({old}, w{v.number})")
            else:
                after.append(f"    write({old}, v{v.number})")
        for leaf, value in self.graph.grads:
            name = self.bind("leaf", leaf)
            self.lines.append(f"    {name}._grad = " + ("None" if value is None else f"wrap({taken(value)})"))
        found = [f"wrap({taken(v)})" for v in _outputs(self.graph)]
        self.lines.append(f"    made = [{', '.join(found)}]")
        self.lines += after
        self.lines.append("    return made")


class _Place:
    """Stands in a result for the tensor with this number."""

    def __init__(self, number: int) -> None:
        self.number = number


def _fill(tree: Any, made: list[Any]) -> Any:
    if isinstance(tree, _Place):
        return made[tree.number]
    if isinstance(tree, tuple | list):
        parts = [_fill(v, made) for v in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return {k: _fill(v, made) for k, v in tree.items()} if isinstance(tree, dict) else tree


def _outputs(graph: Graph) -> list[Value]:
    found: list[Value] = []
    _rebuild(graph.outputs, found.append)
    return found


def _aliases(equations: list[Equation]) -> dict[Value, Value]:
    """Return the values that share memory with their input."""
    return {e.outs[0]: e.inputs[0] for e in equations if e.op.view and isinstance(e.inputs[0], Value)}


def backend_array(owner: Any, v: Value) -> Any:
    """Return an array of a value's shape and type on a backend; its elements mean nothing."""
    return owner.from_host(np.empty(v.shape, v.dtype), 0)
