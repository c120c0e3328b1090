"""Programs: a graph as Python source that calls kernels in order, with its buffers planned.

Owns: `Program` and its source text: which values live in which buffers, what is written where, and the functions that run
groups of equations on blocks of rows. May import: graph, passes, schedule, backend, tensor, threads. Must not know: any op's
formula, any device; a device runs it if its elementwise kernels take `out`, as all do.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert import backend, errors, threads
from wengert._tensor import Tensor, new, wrap
from wengert.compiler.passes import on_host, owner_of, results
from wengert.compiler.placing import Layout, placed
from wengert.compiler.rows import CUT, HERE, SUMMED, WHOLE, Cut, flat_inputs, lead
from wengert.compiler.schedule import Group, Kernel, Step, generated, readers, schedule, size
from wengert.graph import Equation, Graph, Value, _rebuild, like
from wengert.memory import LINE, aligned
from wengert.narrow import BFloat16Array
from wengert.op import OPS

# Ops on one element as Python's operators: on the array library's scalars they take a tenth of a kernel's time. A sum begins
# with 0.0, so that it is never -0.0.
SCALAR = {"add": "{} + {}", "subtract": "{} - {}", "multiply": "{} * {}", "divide": "{} / {}", "rsub": "{1} - {0}",
          "negative": "-{}", "sum": "{} + 0.0", "mean": "{} + 0.0"}  # fmt: skip
# And by functions of `math`, which take a quarter of a ufunc's time: of Python's floats for programs under fast_math, and of
# float32, where the double that they give is rounded to it.
FLOATS = {"sqrt": math.sqrt, "exp": math.exp, "exp2": math.exp2, "expm1": math.expm1, "log": math.log, "log2": math.log2,
          "log10": math.log10, "log1p": math.log1p, "sin": math.sin, "cos": math.cos, "tan": math.tan, "arcsin": math.asin,
          "arccos": math.acos, "arctan": math.atan, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh,
          "absolute": math.fabs}  # fmt: skip
STILL = {"reshape", "broadcast_to", "transpose", "copy", "amax", "amin"}  # on one element: that element
# Elements of a row up to which a column is repeated along it by BLAS, and a row for the rows of a block: a ufunc copies what
# it repeats where its buffer, of 512 elements, holds two rows. A product may lose the sign of a zero, so divisors are left.
SHORT, LONG = 256, 2048
ALL = 1 << 16  # elements that are added up by one product
LONG_DOT = 64  # elements of a row from which on BLAS adds up products sooner than NumPy makes them
DIVISIONS = {"divide", "floor_divide", "remainder", "arctan2", "fmod", "copysign"}
KNOWN = {*SCALAR, *STILL, *FLOATS}
ONE = np.float32(1)
GIVEN = re.compile(r"    (\S+) = give(\d+)\((\w+)\)")  # a line that makes a tensor of a number
PAIR = (2,)  # of a column: a number to be repeated along the row, and 0
KEPT_BYTES = 1 << 15  # results from this size on get the memory of an earlier run's that nobody holds any more


class Program:
    """A graph ready to run: call it with raw arrays in the order of the graph's arguments.

    Safe to call from several threads: one at a time has the buffers. fast_math: where all values are of one element, they are
    computed as Python's floats and rounded to their types when they leave. by_numpy: all by NumPy's functions.
    """

    def __init__(self, graph: Graph, fast_math: bool = False, by_numpy: bool = False) -> None:
        self.graph, self.fast_math, self.by_numpy = graph, fast_math, by_numpy
        self.owner = owner_of(graph)
        self.kind = self.owner.array_type
        self.hosts = on_host(graph) if len(graph.devices) > 1 else set()  # values on the host, where others are not
        self.one = isinstance(graph.outputs, Value)  # it returns one tensor
        self.host = self.kind is np.ndarray
        own = (copied, written) if self.hosts else (self.owner.copy, self.owner.write)
        self.names: dict[str, Any] = {"wrap": wrap, "copy": own[0], "write": own[1], "spread": threads.spread,
                                      "quiet": self.owner.quiet, "product": np.matmul}  # fmt: skip
        self.functions: list[str] = []  # of groups
        self.lines: list[str] = []
        self.scratch = Scratch()
        self._build()
        self.source = "\n".join([*self.functions, *self.lines])
        self.names["__name__"] = "wengert.program"  # whose warnings of arithmetic are not shown
        lines = [part for line in self.lines for part in self._written_out(line)]
        text = "\n".join([*self.functions, *(self._in_turn(lines) if self.single else lines)])
        exec(compile(text, f"<wengert program of {len(graph.equations)} equations>", "exec"), self.names)  # noqa: S102
        self.run = self._runner()  # a function of the arrays

    def __call__(self, arrays: list[Any]) -> Any:
        return self.run(*arrays)

    def _runner(self) -> Callable[..., Any]:
        body, quiet, lock = self.names["program"], self.owner.quiet, threads.lock()

        def one_at_a_time(*arrays: Any) -> Any:
            if lock._is_owned():
                return self.spare.call(*arrays)
            with lock, quiet():
                return body(*arrays)

        run = body if self.single else one_at_a_time
        self.call = run
        numbers = itertools.count()
        skeleton = _rebuild(self.graph.outputs, lambda v: _Place(next(numbers)))
        return run if self.one else lambda *arrays: _fill(skeleton, run(*arrays))

    def _in_turn(self, lines: list[str]) -> list[str]:
        """Return a program of single elements that runs one at a time, and again by NumPy where something was raised, as single
        ops do (see wengert.record.recover): nothing is written before all is computed."""
        head, *body = lines
        turn, given = threads.Turn(), head[head.index("(") : -1]

        def inside() -> bool:
            """Say whether the call comes from within a run of this program; else another thread has the turn, not for long."""
            time.sleep(0)
            return _inside(self.names["program"].__code__)

        def again(error: BaseException, *arrays: Any) -> Any:
            if errors.of_a_signal(error):
                raise error
            with self.owner.quiet():
                return self.exact.call(*arrays)

        self.names |= {"turn": turn, "inside": inside, "beside": lambda *arrays: self.spare.call(*arrays), "again": again}
        return [
            head,
            "    while True:",  # in place of a lock, which takes ten times as long (0.3 us): one step of the interpreter
            "        try: del turn[0]",
            "        except IndexError:",
            f"            if inside(): return beside{given}",
            "        else: break",
            "    try:",
            *[f"    {line}" for line in body],
            # the latter: of `math`, for inf and nan
            f"    except (Warning, ArithmeticError, ValueError) as error: return again(error, {given[1:]}",
            "    finally: turn.append(True)",
        ]

    @functools.cached_property
    def spare(self) -> Program:
        """The same program with buffers of its own, for calls in the middle of a run: by a finalizer, say, or for a signal."""
        return Program(self.graph, self.fast_math, self.by_numpy)

    @functools.cached_property
    def exact(self) -> Program:
        """The same program, by NumPy alone in the types of its values."""
        return self if self.by_numpy else Program(self.graph, by_numpy=True)

    @property
    def groups(self) -> list[Group]:
        """The groups of equations that run in blocks."""
        return [step for step in self.steps if isinstance(step, Group)]

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
        self.alias = _aliases(graph.equations)
        self.scalars = self._scalar_values()
        self.single = not self.by_numpy and all([e.outs[0] in self.scalars for e in graph.equations])
        self.floats = self.fast_math and self.single and all([e.op.name in KNOWN for e in graph.equations])
        self.given = {*graph.arguments, *(v for v, _ in graph.states), *(v for v, _ in graph.literals)}
        self.wanted = set(results(graph))
        self.wide = self._wide_values()
        self.leaving = {self.root(v) for v in [*(v for _, v in graph.grads if v is not None), *_outputs(graph)]}
        self.constants: dict[Value, Any] = dict(graph.literals)  # arrays whose numbers are the same in every run
        self.stays: dict[Value, Any] = {**dict(graph.states), **self.constants}  # arrays that are the same ones in every run
        self.steps: list[Step] = self._scheduled()
        fixed = {*self.scalars, *self.given, *(v for e in graph.equations for v in e.outs if self.root(v) in self.leaving)}
        self.layouts: dict[Value, Layout] = placed(self.steps, self.writes, fixed) if self.host else {}
        inside = {v: layout.inside for v, layout in self.layouts.items() if layout.inside is not None}
        self.alias.update(inside)
        self.joined = set(inside.values())
        self._read_lifetimes()
        self.direct = self._direct_writes()
        self.lines.append(f"def program({', '.join(f'v{v.number}' for v in graph.arguments)}):")
        for v, array in self.stays.items():
            self.names[f"v{v.number}"] = array
        self.as_scalar: set[Value] = set()  # what has a scalar's name already, and an array's
        self.as_array: set[Value] = set(self.given)
        self.free: dict[Any, list[str]] = {}
        self.held: dict[Value, str] = {}  # values that live in a buffer of the program
        self.named: dict[Value, list[str]] = {}  # local names of large arrays that kernels made, by whose memory it is
        for i, step in enumerate(self.steps):
            if isinstance(step, Group):
                Blocks(self, step, i).emit()
            elif isinstance(step, Kernel):
                self._emit_kernel(step)
            elif self._fixed(step):
                continue
            elif step.outs[0] in self.joined:  # its parts were written where they belong
                self.lines.append(f"    v{step.outs[0].number} = {self._laid(step.outs[0])}  # {step}")
            elif step.outs[0] in self.scalars:
                self._emit_scalar(step)
            else:
                self._emit(step, self._place(step, i))
            for v in [v for v in self.held if self.ends.get(v, -1) <= i]:
                self.free.setdefault((size(v), v.dtype), []).append(self.held.pop(v))
            self._let_go(i)
        self._finish()

    def _let_go(self, i: int) -> None:
        """Give back the memory of what is not read after a step: the next result then finds it in the cache."""
        gone = [v for v in self.named if self.ends.get(v, -1) <= i]
        names = [name for v in gone for name in self.named.pop(v)]
        if names:
            self.lines.append(f"    del {', '.join(names)}")

    def _name(self, v: Value) -> None:
        """Note that a value has a local name in the program."""
        root = self.root(v)
        if size(v) * v.dtype.itemsize >= KEPT_BYTES and root not in self.given and root not in self.stays:
            self.named.setdefault(root, []).append(f"v{v.number}")

    def _scheduled(self) -> list[Step]:
        equations = self.graph.equations
        if hasattr(self.owner, "fused"):
            return generated(equations, self.wanted, self.owner.fused, self.hosts)
        if not self.host:
            return list(equations)
        whole = [e for e in equations if not any(v.dtype.char not in "?bBhHiIlLqQefdFD" for v in (*e.reads, *e.outs))]
        return schedule(equations, self.wanted) if len(whole) == len(equations) else list(equations)

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

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return memory of the program."""
        if self.host:
            return aligned(shape, dtype)
        return self.owner.copy(self.owner.from_host(np.empty(shape, dtype), 0))

    def root(self, v: Value) -> Value:
        """Return the value whose memory v shares: itself, where it is no view."""
        while v in self.alias and v not in self.scalars:
            v = self.alias[v]
        return v

    def _read_lifetimes(self) -> None:
        """Find at which step each value is read last, and each storage by any of its views."""
        last: dict[Value, int] = {}
        for i, step in enumerate(self.steps):
            for e in equations_of(step):
                last.update(dict.fromkeys((*e.outs, *e.reads), i))
        last.update(dict.fromkeys(self.wanted, len(self.steps)))
        self.last = last
        self.ends: dict[Value, int] = {}
        for v, i in last.items():
            root = self.root(v)
            self.ends[root] = max(self.ends.get(root, -1), i)

    def _place(self, e: Equation, i: int) -> str | None:
        """Return where an equation's result goes: its storage, a buffer of the program, or memory of its own (None)."""
        out = e.outs[0]
        if not (e.op.elementwise or self.writes(e)) or out in self.hosts:
            return None
        if out in self.direct:
            return self.direct[out]
        if self.root(out) in self.leaving:
            return self._fresh(out)
        if not self._in_order(e):  # its kernel makes memory of its own anyway
            return None
        found = self._dying(e, i)
        if found is None:
            return self.buffer(out)
        self.held[out] = self.held.pop(found)
        return self._laid(out)

    def buffer(self, v: Value) -> str:
        """Return a buffer of the program for a value: the one of its size that became free last, which may be in the cache.
        A part of a larger value has one with it."""
        layout = self.layouts.get(v)
        whole = v if layout is None or layout.inside is None else layout.inside
        if whole not in self.held:
            free = self.free.get((size(whole), whole.dtype))
            self.held[whole] = free.pop() if free else self.bind("b", self._empty(whole.shape, whole.dtype))
        return self._laid(v)

    def writes(self, e: Equation) -> bool:
        """Say whether the kernel of an equation that is not elementwise computes in memory that it is given."""
        out = e.outs[0]
        return (
            self.host and not e.op.elementwise and fills(self.kernel(e)) and out.dtype.char in "fdFD" and out.shape != ()
            and len(e.outs) == 1 and all(v.dtype == out.dtype for v in e.reads)
        )  # fmt: skip

    def _in_order(self, e: Equation) -> bool:
        return not self.host or ufunc_of(self.kernel(e)) is not None or fills(self.kernel(e))

    def _laid(self, v: Value) -> str:
        """Return a name for the buffer that holds a value, in its shape and layout."""
        layout = self.layouts.get(v)
        whole = v if layout is None or layout.inside is None else layout.inside
        name = self.held[whole]
        array = self.names[name]
        if array.shape != whole.shape:
            array = OPS["reshape"].kernels[self.kind](array, whole.shape)
        if layout is not None:
            array = layout.view(array, v.shape)
        return name if array is self.names[name] else self.bind("b", array)

    def _fresh(self, v: Value) -> str | None:
        """Return an expression for memory that leaves the program, None where the kernel may as well make it."""
        if not self.host or size(v) * v.dtype.itemsize < KEPT_BYTES or v.dtype.char not in "?bBhHiIlLqQefdFD":
            return None
        return f"{self.bind('fresh', Recycled(v.shape, v.dtype))}()"

    def _dying(self, e: Equation, i: int) -> Value | None:
        """Return an input whose buffer the result may take: as large, of its type, and not read later. Only for ufuncs, which
        read each element before they write it."""
        if not ufunc_of(self.kernel(e)):
            return None
        out = e.outs[0]
        for v in e.inputs:
            if not isinstance(v, Value) or v not in self.held or v in self.layouts or self.ends[v] > i:
                continue
            if (v.shape, v.dtype) == (out.shape, out.dtype):
                return v
        return None

    def _direct_writes(self) -> dict[Value, str]:
        """Return the results that are written straight to the storage they will be the new value of: {value: its name}.

        All reads of the storage come before, or are of the same rows of the same block.
        """
        found: dict[Value, str] = {}
        place = {id(a): v for v, a in self.graph.states}
        made_at: dict[Value, tuple[int, int]] = {}  # (step, number in its group)
        reads: dict[Value, list[tuple[int, int, str]]] = {}
        for i, step in enumerate(self.steps):
            for n, e in enumerate(equations_of(step)):
                made_at.update(dict.fromkeys(e.outs, (i, n)))
                marks = step.cuts[n].inputs if isinstance(step, Group) else (CUT,) * len(flat_inputs(e))
                if isinstance(step, Kernel) and not all(e.op.elementwise for e in step.equations):
                    marks = (WHOLE,) * len(marks)  # it may go over its inputs more than once
                for v, mark in zip(flat_inputs(e), marks, strict=True):
                    if isinstance(v, Value):
                        reads.setdefault(self.root(v), []).append((i, n, mark))
        taken = [v for _, v in self.graph.writes]
        kept = {self.root(w) for w in self.wanted}
        for target, v in self.graph.writes:
            old = self.graph.arguments[target] if isinstance(target, int) else place.get(id(target))
            if old is None or v not in made_at or self.root(v) in self.leaving or v in self.alias or taken.count(v) > 1:
                continue
            if (size(v) == 1 and self.host) or old in kept or (old.shape, old.dtype) != (v.shape, v.dtype):
                continue
            i, n = made_at[v]
            step = self.steps[i]
            e = equations_of(step)[n]
            if not (e.op.elementwise if isinstance(step, Kernel) else ufunc_of(self.kernel(e)) is not None):
                continue
            if isinstance(step, Group) and lead(v, step.n) != 1 and (isinstance(target, int) or not target.flags.c_contiguous):
                continue  # its rows are no view of it
            if all(j < i or (j == i and m <= n and mark != WHOLE) for j, m, mark in reads.get(old, ())):
                found[v] = f"v{old.number}"
        return found

    # ---- one element
    def _scalar_values(self) -> set[Value]:
        """Return the values of one real element whose equations run on scalars: arithmetic, and ufuncs of such values."""
        found: set[Value] = set()
        if not self.host:
            return found
        for e in self.graph.equations:
            out, inputs = e.outs[0], e.reads
            if out.dtype.char not in "fd" or size(out) != 1 or any(v.dtype != out.dtype or size(v) != 1 for v in inputs):
                continue
            if e.op.name in SCALAR or e.op.name in STILL or ufunc_of(self.kernel(e)):
                found.add(out)
        return found

    def _doubled(self, e: Equation) -> bool:
        """Say whether a function of `math` computes an equation of float32."""
        return self.single and not self.floats and e.op.name in FLOATS and e.outs[0].dtype.char == "f"

    def _wide_values(self) -> set[Value]:
        """Return the values of such equations that stay doubles: each reader has a float32 beside, where NumPy rounds them."""
        found: set[Value] = set()
        readers: dict[Value, list[Equation]] = {}
        for e in self.graph.equations:
            for v in e.reads:
                readers.setdefault(v, []).append(e)
        for e in self.graph.equations:
            v = e.outs[0]
            if self._doubled(e) and v not in self.wanted and all([_rounds(r, {v, *found}) for r in readers.get(v, ())]):
                found.add(v)
        return found

    def scalar(self, x: Any) -> str:
        """Return an input as a scalar's name; an array gives its element, once."""
        if not isinstance(x, Value) or x in self.constants:  # an array that is the same in every run
            number = (self.constants[x].reshape(()) if isinstance(x, Value) else x)[()]
            return repr(float(number)) if self.floats and math.isfinite(number) else self.bind("c", number)
        if x not in self.as_scalar and x not in self.scalars:
            self.as_scalar.add(x)
            name, index = self.element(x)
            self.lines.append(f"    x{x.number} = {name}{'.item()' if self.floats else index}")
        return f"x{x.number}"

    def element(self, v: Value) -> tuple[str, str]:
        """Return the name of an array and the index of its element, to be read or set. An array that stays has a view of no
        dims: an index takes long."""
        if v in self.stays:
            self.names[f"z{v.number}"] = element_of(self.stays[v])
            return f"z{v.number}", "[()]"
        return f"v{v.number}", f"[{', '.join('0' * len(v.shape)) or '()'}]"

    def _emit_scalar(self, e: Equation) -> None:
        args = [self.scalar(x) for x in e.inputs]
        if e.op.name in STILL:
            text = args[0]
        elif e.op.name in SCALAR:
            text = SCALAR[e.op.name].format(*args)
        elif self.floats or self._doubled(e):
            function = FLOATS[e.op.name]
            self.names[function.__name__] = function
            text = f"{function.__name__}({args[0]})"
            if not self.floats and e.outs[0] not in self.wide:
                self.names["one"] = ONE
                text = f"one * {text}"  # which rounds it, in a third of the time that the type takes
        else:
            text = f"{self.bind('k', ufunc_of(self.kernel(e)))}({', '.join(args)})"
        self.lines.append(f"    x{e.outs[0].number} = {text}  # {e}")

    def array(self, v: Value) -> str:
        """Return a value as an array's name; a scalar becomes a new array, once."""
        if v in self.scalars and v not in self.as_array:
            self.as_array.add(v)
            x, ndim = f"x{v.number}", len(v.shape)
            given = f"[{x}]" if ndim == 1 else f"{x}, ndmin={ndim}" if ndim else x
            self.lines.append(f"    v{v.number} = {self.bind('array', np.array)}({given})")
        return f"v{v.number}"

    # ---- text
    def kernel(self, e: Equation) -> Any:
        if self.hosts and all(v in self.hosts for v in e.reads):
            return e.op.kernels[np.ndarray]
        if e.op.name in ("as_strided", "view_bytes"):  # what lies in memory in another way than at the capture is laid so
            return e.op.__call__
        narrow = any(v.dtype.char not in "?bBhHiIlLqQefdFDgG" for v in e.reads)
        return e.op.kernels[BFloat16Array if narrow and self.host else self.kind]

    def _emit(self, e: Equation, out: str | None) -> None:
        args = [self.text(x) for x in e.inputs] + [self.bind("p", p) for p in e.params]
        if e.op.elementwise or out:
            args.append(f"out={out or '...'}")
        left = ", ".join(f"v{v.number}" for v in e.outs)
        self.lines.append(f"    {left} = {self.bind('k', self.kernel(e))}({', '.join(args)})  # {e}")
        for v in e.outs:
            self._name(v)

    def _emit_kernel(self, step: Kernel) -> None:
        """Write the call of a device's own kernel for several equations."""
        given = ", ".join(self.array(v) for v in step.inputs)
        into = ", ".join(str(self.direct.get(v)) for v in step.outputs)
        self.lines += [f"    # {e}" for e in step.equations]
        made = ", ".join(f"v{v.number}" for v in step.outputs)
        self.lines.append(f"    {made}, = {self.bind('kernel', step.run)}([{given}], [{into}])")
        for v in step.outputs:
            self._name(v)

    def _finish(self) -> None:
        """Write what the program leaves: storages, gradients, results; whatever leaves it is held by nobody else."""
        handed: set[Value] = set()
        place = {id(a): v for v, a in self.graph.states}

        def taken(v: Value) -> str:
            name = self.array(v)
            shared = v in self.given or v in self.alias or v in handed or v in self.direct
            handed.add(v)
            return f"copy({name})" if shared else name

        def tensor(v: Value) -> str:
            if v in self.scalars:
                return f"{self.bind('give', Single(v.shape, v.dtype))}(x{v.number})"
            return f"wrap({taken(v)})"

        if self.floats:
            self._stay_in_range()
        after = []
        for target, v in self.graph.writes:
            if v in self.direct:
                continue
            old = self.graph.arguments[target] if isinstance(target, int) else place[id(target)]
            if v in self.scalars:
                after.append(f"    {''.join(self.element(old))} = x{v.number}")
            elif self.root(v) in self.given:
                self.lines.append(f"    w{v.number} = copy(v{v.number})")
                after.append(f"    write(v{old.number}, w{v.number})")
            else:
                after.append(f"    write(v{old.number}, v{v.number})")
        for leaf, value in self.graph.grads:
            name = self.bind("leaf", leaf)
            self.lines.append(f"    {name}._grad = " + ("None" if value is None else tensor(value)))
        found = []
        for i, v in enumerate(_outputs(self.graph)):
            found.append(tensor(v))
            if v in self.scalars and not self.one:
                self.lines.append(f"    t{i} = {found[i]}")
                found[i] = f"t{i}"
        self.lines.append(f"    made = {found[0] if self.one else '[' + ', '.join(found) + ']'}")
        self.lines += after
        self.lines.append("    return made")

    def _written_out(self, line: str) -> list[str]:
        """Return a line of the program; where it makes a tensor of a number, as all that this is: a call would take as long."""
        match = GIVEN.fullmatch(line)
        if match is None:
            return [line]
        target, n, x = match.groups()
        single: Single = self.names[f"give{n}"]
        self.names |= {f"known{n}": single.known, f"of{n}": single.views, f"array{n}": single.array}
        self.names |= {"new": new, "Tensor": Tensor, "held": sys.getrefcount}
        return [
            "    t = new(Tensor)",
            f"    if held(known{n}[0]) == {single.nobody}: of{n}[0][()] = {x}; t._array = known{n}[0]",
            f"    elif held(known{n}[1]) == {single.nobody}: of{n}[1][()] = {x}; t._array = known{n}[1]",
            f"    else: t._array = array{n}({x})",
            "    t._edge = None",
            "    t._box = None",
            f"    {target} = t",
        ]

    def _stay_in_range(self) -> None:
        """Write that all is computed anew in its types where a float that will be written does not fit its own: what a cast
        warns of would come when others are written already."""
        narrow = dict.fromkeys(f"x{v.number}" for _, v in self.graph.writes if v in self.scalars and v.dtype.char == "f")
        if narrow:
            self.names["top"] = float(np.finfo(np.float32).max)
            self.lines.append(f"    if not ({' and '.join(f'-top <= {x} <= top' for x in narrow)}): raise OverflowError")


def copied(array: Any) -> Any:
    """Return a copy of an array of any device."""
    return backend.of_array(array).copy(array)


def written(target: Any, array: Any) -> None:
    """Write an array to another of its device."""
    backend.of_array(target).write(target, array)


def equations_of(step: Step) -> list[Equation]:
    return step.equations if isinstance(step, Group | Kernel) else [step]


class Blocks:
    """The text of one group: a function of (thread, first row, past the last, arrays), and its call.

    Results that are read outside are whole arrays, sums have a place for the term of each block, all else is one block that
    is used again. Each thread has blocks of its own.
    """

    def __init__(self, program: Program, group: Group, i: int) -> None:
        self.program, self.group, self.i = program, group, i
        self.n, self.step = group.n, group.step
        self.marks: dict[Value, str] = {}
        for e, c in zip(group.equations, group.cuts, strict=True):
            self.marks.update(zip(e.outs, c.outs, strict=True))
        views = {e.outs[0] for e in group.equations if e.op.view}
        self.whole = [v for v in self.marks if program.last[v] > i and v not in views]
        self.head: list[str] = []  # before the call
        self.body: list[str] = []  # for each block
        self.tail: list[str] = []  # after the call
        self.arrays: dict[str, str] = {}  # parameters of the function, and what is given
        self.sizes: list[tuple[tuple[int, ...], Any]] = []  # blocks: shape and dtype
        self.name: dict[Value, str] = {}  # of what a block has of the group's own values
        self.cut: set[str] = set()  # names of what it has of others
        self.free: dict[Any, list[int]] = {}
        self.in_block: dict[Value, int] = {}
        self.wide: dict[Value, int] = {}  # columns that are repeated along rows, for the block
        self.summed = self.summed_products()

    def summed_products(self) -> dict[Value, Equation]:
        """Return the products of two arrays of which only each row's sum is read, or all elements': BLAS adds them up as it
        makes them."""
        makers = {e.outs[0]: e for e in self.group.equations if e.op.name == "multiply"}
        readers = Counter(v for e in self.group.equations for v in e.reads)
        found: dict[Value, Equation] = {}
        if not hasattr(np, "vecdot"):
            return found
        for e, c in zip(self.group.equations, self.group.cuts, strict=True):
            v = e.inputs[0] if e.op.name in ("sum", "mean") else None
            if v not in makers or v in self.whole or readers[v] > 1 or v.dtype.char not in "fd":
                continue
            row = self.rows(v)
            by_row = SUMMED not in c.outs and len(row) == 1 and row[0] >= LONG_DOT and c.params[0] == (1,)
            if not by_row and not self.adds_all(e, c):
                continue
            if all(isinstance(x, Value) and (x.shape, x.dtype) == (v.shape, e.outs[0].dtype) for x in makers[v].inputs):
                found[v] = makers[v]
        return found

    def adds_all(self, e: Equation, cut: Cut) -> bool:
        """Say whether a sum is that of all elements of a block, which one product can add up."""
        x, axes = e.inputs[0], cut.params[0]
        every = axes is None or axes == tuple(range(1 + len(self.rows(x))))
        return SUMMED in cut.outs and every and x.dtype.char in "fd" and math.prod(x.shape) // self.n * self.step <= ALL

    def rows(self, v: Value) -> tuple[int, ...]:
        """Return a value's shape without its lead."""
        k = lead(v, self.n)
        assert k is not None
        return v.shape[k:]

    def take(self, x: Any, mark: str, k: int | None) -> str:
        """Return what a block gives a kernel for an input: k is the lead of the result."""
        if isinstance(x, Value) and x in self.name:
            return self.name[x]
        if not isinstance(x, Value):
            return self.program.bind("c", x)
        name = self.program.array(x)
        if mark == WHOLE:
            parameter = f"w{x.number}"
            if k is not None and k > 1:  # it broadcasts to a lead of one dim
                inner = x.shape[max(len(x.shape) - self.inner, 0) :]
                wide = len(x.shape) > self.inner
                parameter = f"w{x.number}_{k}"
                name = f"{name}.reshape({((1,) if wide else ()) + inner})"
            self.arrays[parameter] = name
            return parameter
        text = f"s{x.number}" if mark == CUT else f"u{x.number}"  # the same array may be read by rows and by columns
        if text not in self.cut:
            self.cut.add(text)
            flat = lead(x, self.n) if mark == CUT else 1
            parameter = f"f{x.number}" if mark == CUT else f"w{x.number}"
            self.arrays[parameter] = name if flat == 1 else f"{name}.reshape({(self.n, *self.rows(x))})"
            self.body.append(f"        {text} = {parameter}[{'i:j' if mark == CUT else ':, i:j'}]")
        return text

    def emit(self) -> None:
        group, program = self.group, self.program
        reads = readers(group)
        alias = {e.outs[0]: e.inputs[0] for e in group.equations if e.op.view}

        def root(v: Value) -> Value:
            while v in alias:
                v = alias[v]
            return v

        ends: dict[Value, int] = {}
        for v, n in reads.items():
            ends[root(v)] = max(ends.get(root(v), -1), n)
        for v, product in self.summed.items():
            for x in product.reads:
                ends[root(x)] = max(ends[root(x)], reads[v])
        for v in self.whole:
            self.prepare(v, ends)
        for n, (e, cut) in enumerate(zip(group.equations, group.cuts, strict=True)):
            if e.outs[0] not in self.summed and (not e.op.view or e.outs[0] in reads):  # views for others are taken outside
                self.equation(e, cut, n, ends)
            for v in [v for v in self.in_block if ends.get(v, -1) <= n]:
                place = self.in_block.pop(v)
                self.free.setdefault(self.sizes_of(place), []).append(place)
            for v in [v for v in self.wide if ends.get(root(v), -1) <= n]:
                place = self.wide.pop(v)
                self.free.setdefault(self.sizes_of(place), []).append(place)
        number = len(program.functions)
        parameters = list(self.arrays)
        blocks = [f"b{n}" for n in range(len(self.sizes))]
        comment = f"  # {len(group.equations)} equations in blocks"
        lines = [f"def group{number}(thread, start, stop, {', '.join(parameters)}):{comment}"]
        if blocks:
            made = program.bind("blocks", program.scratch.blocks([((self.step, *shape), dtype) for shape, dtype in self.sizes]))
            lines.append(f"    {', '.join(blocks)}, = {made}[thread]")
        lines += [
            f"    for i in range(start, stop, {self.step}):",
            f"        j = min(i + {self.step}, stop); m = j - i",
            *self.shortened([*blocks, *[name for name in parameters if name.endswith("_wide")]]),
            *self.body,
        ]
        program.functions.append("\n".join(lines) + "\n")
        program.lines += self.head
        given = "".join(f", {text}" for text in self.arrays.values())
        program.lines.append(f"    spread(group{number}, {self.n}, {self.step}, quiet{given})")
        program.lines += self.tail

    def shortened(self, names: list[str]) -> list[str]:
        """Return the line that cuts blocks to the rows that are left for the last of them."""
        if not names or not self.n % self.step:
            return []
        return [f"        if m < {self.step}: {', '.join(names)}, = {', '.join(f'{name}[:m]' for name in names)},"]

    def sizes_of(self, place: int) -> Any:
        shape, dtype = self.sizes[place]
        return math.prod(shape), dtype

    def prepare(self, v: Value, ends: dict[Value, int]) -> None:
        """Make room for a result that is read outside of the group."""
        program = self.program
        if self.marks[v] == SUMMED:
            terms = program.bind("terms", Room((self.group.blocks,), v.dtype))
            self.arrays[f"t{v.number}"] = terms
            return
        target = program.direct.get(v)
        if target is None and program.root(v) in program.leaving:
            target = program._fresh(v) or f"{program.bind('room', Room(v.shape, v.dtype))}()"
        dying = None if target else self.dying(v, ends)
        if dying is not None:
            program.held[v] = program.held.pop(dying)
        self.head.append(f"    v{v.number} = {target or program.buffer(v)}")
        flat = f"v{v.number}" if lead(v, self.n) == 1 else f"v{v.number}.reshape({(self.n, *self.rows(v))})"
        self.arrays[f"f{v.number}"] = flat

    def dying(self, v: Value, ends: dict[Value, int]) -> Value | None:
        """Return an input whose buffer a result that is read outside may take, block for block: one that is read neither later
        nor by other rows."""
        program, group = self.program, self.group
        n, e = next((n, e) for n, e in enumerate(group.equations) if v in e.outs)
        if v in program.layouts or not e.op.elementwise or not ufunc_of(program.kernel(e)):
            return None
        for x in e.inputs:
            if not isinstance(x, Value) or x not in program.held or x in program.layouts or program.ends[x] > self.i:
                continue
            reads = [(y, mark) for o, c in zip(group.equations, group.cuts, strict=True)
                     for y, mark in zip(flat_inputs(o), c.inputs, strict=True)
                     if isinstance(y, Value) and program.root(y) is x]  # fmt: skip
            if (x.shape, x.dtype) == (v.shape, v.dtype) and set(reads) == {(x, CUT)} and ends[x] <= n:
                return x
        return None

    def equation(self, e: Equation, cut: Cut, n: int, ends: dict[Value, int]) -> None:
        program = self.program
        out = e.outs[0]
        k = lead(out, self.n) if cut.outs[0] == CUT else None
        self.inner = len(out.shape) - (k or 0)
        product = self.summed.get(e.inputs[0]) if e.op.name in ("sum", "mean") else None
        inputs = product.inputs if product is not None else e.inputs
        marks = iter(cut.inputs * len(inputs) if product is not None else cut.inputs)
        args = []
        beside = k if e.op.elementwise or " b" in e.op.rows else None  # inputs that broadcast along the lead
        for x in inputs:
            if isinstance(x, tuple):
                args.append("(" + "".join(f"{self.take(v, next(marks), beside)}, " for v in x) + ")")
            else:
                args.append(self.take(x, next(marks), beside))
        if e.op.elementwise and k is not None:
            args = [self.widened(x, mark, text, e, i) for i, (x, mark, text) in
                    enumerate(zip(e.inputs, cut.inputs, args, strict=True))]  # fmt: skip
        args += [self.param(p) for p in cut.params]
        call = f"{program.bind('k', self.kernel(e, cut))}({', '.join(args)}"
        if SUMMED in cut.outs:
            self.sum(e, cut, call)
            return
        if e.op.elementwise or program.writes(e):
            target = self.target(e, n, ends)
            if target is not None:
                self.body.append(f"        {self.name[out]} = {call}, out={target})  # {e}")
                return
            call += ", out=..."
        for v in e.outs:
            self.name[v] = f"s{v.number}"
        self.body.append(f"        {', '.join(self.name[v] for v in e.outs)} = {call})  # {e}")
        for v in e.outs:
            if v in self.whole:
                self.body.append(f"        f{v.number}[i:j] = s{v.number}")

    def widened(self, x: Any, mark: str, text: str, e: Equation, i: int) -> str:
        """Return an input of an elementwise equation, repeated to the result's shape where NumPy would begin anew at each short
        row: a column by a product with ones, one row (for all blocks) before the loop."""
        out = e.outs[0]
        row = self.rows(out)
        if not isinstance(x, Value) or len(row) != 1 or not ufunc_of(self.program.kernel(e)) or self.step < 8:
            return text
        (width,) = row
        if x.dtype != out.dtype or x.dtype.char not in "fd":
            return text
        if mark == WHOLE:
            if not x.shape or x.shape[-1] != width or not 4 <= width <= LONG or self.group.blocks < 4:
                return text
            widen = self.program.bind("widen", Widened(self.step, width, x.dtype))
            self.arrays[f"w{x.number}_wide"] = f"{widen}({self.arrays[text]})"
            return f"w{x.number}_wide"
        if self.rows(x) != (1,) or not 4 <= width <= SHORT or (e.op.name in DIVISIONS and i == 1):
            return text
        if x not in self.wide:
            pairs = len(self.sizes)
            self.sizes.append((PAIR, x.dtype))
            place = self.wide[x] = self.block(row, x.dtype)
            ones = self.program.bind("ones", np.array([[1.0], [-0.0]], x.dtype).repeat(width, 1))
            self.body.append(f"        b{pairs}[:, :1] = {text}; product(b{pairs}, {ones}, {self.part(place, row)})")
        return self.part(self.wide[x], row)

    def block(self, row: tuple[int, ...], dtype: Any) -> int:
        """Return the number of a block that is free."""
        free = self.free.get((math.prod(row), dtype))
        if free:
            return free.pop()
        self.sizes.append((row, dtype))
        return len(self.sizes) - 1

    def part(self, place: int, row: tuple[int, ...]) -> str:
        """Return a block in a shape."""
        return f"b{place}" if self.sizes[place][0] == row else f"b{place}.reshape((m, {''.join(f'{n}, ' for n in row)}))"

    def kernel(self, e: Equation, cut: Cut) -> Any:
        if e.op.name not in ("sum", "mean"):
            return self.program.kernel(e)
        x, axes = e.inputs[0], cut.params[0]
        axes = tuple(range(len(self.rows(x)) + 1)) if axes is None else axes
        ndim = len(x.shape) - (lead(x, self.n) or 1) + 1
        summed = SUMMED in cut.outs
        every = self.adds_all(e, cut)
        if x in self.summed:
            scale = x.dtype.type(1 if e.op.name == "sum" else 1 / x.shape[-1])
            return add_all_products if every else functools.partial(add_products, scale)
        if ndim == 2 and axes in ((0,), (1,)) and x.dtype == e.outs[0].dtype and x.dtype.char in "fd":
            part = 1 if summed or e.op.name == "sum" else 1 / x.shape[-1]
            return functools.partial(
                add_columns if axes == (0,) else add_rows, np.full(max(self.step, x.shape[-1]), part, x.dtype)
            )
        if every:
            return functools.partial(add_all, np.ones(math.prod(x.shape) // self.n * self.step, x.dtype))
        return OPS["sum"].kernels[self.program.kind] if summed else self.program.kernel(e)

    def sum(self, e: Equation, cut: Cut, call: str) -> None:
        """Write a term of a sum for each block, and after the loop the sum of the terms."""
        out = e.outs[0]
        if out not in self.whole:
            self.body.append(f"        {call})  # {e}")
            return
        program = self.program
        terms = self.arrays[f"t{out.number}"]
        shape = (self.group.blocks, *out.shape)
        program.names[terms] = np.empty(shape, out.dtype)
        self.body.append(f"        t{out.number}[i // {self.step}] = {call}).reshape({out.shape})  # {e}")
        total = program.bind("total", np.add.reduce)
        text = f"{total}({terms}, 0, None, None, True).reshape({out.shape})" if out.shape == () else f"{total}({terms}, 0)"
        self.tail.append(f"    v{out.number} = {text}")
        if cut.count != 1:
            count = program.bind("c", out.dtype.type(cut.count))
            self.tail.append(f"    v{out.number} /= {count}")

    def param(self, p: Any) -> str:
        """Return a param as text, with the rows of the block where it says so."""
        if isinstance(p, tuple) and any(x is HERE for x in p):
            return "(" + "".join("m, " if x is HERE else f"{x!r}, " for x in p) + ")"
        return self.program.bind("p", p)

    def target(self, e: Equation, n: int, ends: dict[Value, int]) -> str | None:
        """Name the result of an elementwise equation and return where it goes, None where its kernel makes it."""
        out = e.outs[0]
        self.name[out] = f"s{out.number}"
        if out in self.whole:
            return f"f{out.number}[i:j]"
        kernel = self.program.kernel(e)
        if not ufunc_of(kernel) and not fills(kernel):
            return None
        shape = self.rows(out)
        reused = e.inputs if ufunc_of(kernel) else ()
        dying = next((v for v in reused if isinstance(v, Value) and v in self.in_block and v.dtype == out.dtype
                      and self.rows(v) == shape and ends.get(v, -1) <= n), None)  # fmt: skip
        if dying is not None:
            place = self.in_block.pop(dying)
            self.in_block[out] = place
            return self.name[dying]
        place = self.in_block[out] = self.block(shape, out.dtype)
        return self.part(place, shape)


def ufunc_of(kernel: Any) -> Any:
    """Return the ufunc of NumPy that a kernel is, or is made of where NumPy is older than `out=...`; None for any other."""
    return kernel if isinstance(kernel, np.ufunc) else getattr(kernel, "ufunc", None)


def fills(kernel: Any) -> bool:
    """Say whether a kernel computes in the memory that it is given as `out`, in place of memory of its own. (It says so itself,
    by an attribute. Unlike a ufunc it may write before it has read all of an input.)"""
    return getattr(getattr(kernel, "func", kernel), "fills", False)


def add_rows(ones: Any, x: Any, axes: Any, keepdims: bool) -> Any:
    """Return the sum of each row of a matrix: as a product, as BLAS adds several times as fast as a reduction.

    `dot` has the interpreter's lock for half of the time that np.matmul has it: other threads wait for it less often."""
    made = x.dot(ones[: x.shape[1]])
    return made[:, None] if keepdims else made


def add_products(scale: Any, x: Any, y: Any, axes: Any, keepdims: bool) -> Any:
    """Return the sum of each row of a product of matrices, times a number."""
    made = np.vecdot(x, y)
    if scale != 1:
        made *= scale
    return made[:, None] if keepdims else made


def add_all(ones: Any, x: Any, axes: Any, keepdims: bool) -> Any:
    """Return the sum of all elements."""
    flat = x.reshape(-1)
    return np.dot(flat, ones[: flat.size])


def add_all_products(x: Any, y: Any, axes: Any, keepdims: bool) -> Any:
    """Return the sum of all elements of a product."""
    return np.dot(x.reshape(-1), y.reshape(-1))


def add_columns(ones: Any, x: Any, axes: Any, keepdims: bool) -> Any:
    """Return the sum of each column of a matrix."""
    made = ones[: len(x)].dot(x)
    return made[None] if keepdims else made


class Scratch(dict[int, Any]):
    """Memory for the blocks of all groups of a program, for each thread that asks: the next group finds it in the cache."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def blocks(self, specs: list[tuple[tuple[int, ...], Any]]) -> PerThread:
        """Return blocks of these shapes and types in it."""
        self.bytes = max(self.bytes, sum(-(-_bytes(*spec) // LINE) * LINE for spec in specs))
        return PerThread(specs, self)

    def __missing__(self, thread: int) -> Any:
        made = self[thread] = aligned((self.bytes,), np.uint8)
        return made


class PerThread(dict[int, tuple[Any, ...]]):
    """The blocks of a group, laid one behind the other for each thread that asks. Columns to be repeated have memory of their
    own: their second column stays 0."""

    def __init__(self, specs: list[tuple[tuple[int, ...], Any]], scratch: Scratch) -> None:
        super().__init__()
        self.specs, self.scratch = specs, scratch

    def __missing__(self, thread: int) -> tuple[Any, ...]:
        memory, start = self.scratch[thread], 0
        made = []
        for shape, dtype in self.specs:
            if shape[1:] == PAIR:
                made.append(np.zeros(shape, dtype))
                continue
            made.append(np.ndarray(shape, dtype, memory, start))
            start += -(-_bytes(shape, dtype) // LINE) * LINE
        self[thread] = tuple(made)
        return self[thread]


class Widened:
    """Memory of a block in which each row is a given one."""

    def __init__(self, rows: int, width: int, dtype: Any) -> None:
        self.memory = aligned((rows, width), dtype)

    def __call__(self, row: Any) -> Any:
        self.memory[...] = row
        return self.memory


class Room:
    """New memory of a shape and type at each call."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype

    def __call__(self) -> Any:
        return np.empty(self.shape, self.dtype)


def _holders(arrays: list[Any], i: int) -> int:
    """Return how many hold an array of a list. It has no name here: a debugger that reads `f_locals` holds what has one."""
    return sys.getrefcount(arrays[i])


NOBODY = _holders([np.empty(0)], 0)  # else


class Recycled:
    """Memory that leaves a program: that of an earlier run, once nobody holds it any more, else new memory."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype
        self.known: list[Any] = []

    def __call__(self) -> Any:
        known = self.known
        for i in range(len(known)):
            if sys.getrefcount(known[i]) == NOBODY:  # as `_holders` asks
                return known[i]
        array = np.empty(self.shape, self.dtype)
        if len(known) < 2:
            known.append(array)
        return array


class Single:
    """What a program needs to give a number as a tensor of one element: memory of earlier runs, which is used again once nobody
    holds it, as with `Recycled`. The result of the last run may be held while the next is made, so there are two."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.known = [np.empty(shape, dtype), np.empty(shape, dtype)]
        self.views = [*map(element_of, self.known)]
        self.nobody = _holders(self.known, 0)  # else
        self.array = functools.partial(np.array, dtype=dtype, ndmin=len(shape))  # while both are held


def element_of(array: Any) -> Any:
    """Return a view of no dims of an array of one element."""
    return array[(*(0,) * array.ndim, ...)]


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    return math.prod(shape) * int(dtype.itemsize)


def _rounds(e: Equation, wide: set[Value]) -> bool:
    """Say whether an equation has one wide value beside one that is not."""
    return e.op.name in SCALAR and len(e.inputs) == 2 and len([v for v in e.reads if v in wide]) == 1


def _inside(code: Any) -> bool:
    """Say whether a call around the caller's caller, which may be one itself, runs this code."""
    frame: Any = sys._getframe(3)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


class _Place:
    """Stands in a result for the tensor with this number."""

    def __init__(self, number: int) -> None:
        self.number = number


def _fill(tree: Any, made: list[Any]) -> Any:
    if isinstance(tree, _Place):
        return made[tree.number]
    if isinstance(tree, tuple | list):
        return like(tree, [_fill(v, made) for v in tree])
    return like(tree, {k: _fill(v, made) for k, v in tree.items()}) if isinstance(tree, dict) else tree


def _outputs(graph: Graph) -> list[Value]:
    found: list[Value] = []
    _rebuild(graph.outputs, found.append)
    return found


def _aliases(equations: list[Equation]) -> dict[Value, Value]:
    """Return the values that share memory with their input."""
    return {e.outs[0]: e.inputs[0] for e in equations if e.op.view and isinstance(e.inputs[0], Value)}
