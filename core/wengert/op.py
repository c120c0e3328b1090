"""The op record: one line says what an operation computes and how gradient flows through it.

Owns: `Op`, its rules and what they read, gradient plans, the kernel table, and the constructors that op tables use.
May import: errors, foreign. Must not know: tensors, devices, PyTorch's names for anything.
A rule's parameter names are its save list; they are read once, here, when the op is registered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wengert import errors, foreign

Rule = Callable[..., Any]
Kernel = Callable[..., Any]

# What inputs an op computes in. SAME: their common type; FLOAT: that, integers raised to the default float;
# ANY: each input as it comes.
SAME, FLOAT, ANY = "same", "float", "any"

OPS: dict[str, Op] = {}  # every record by name: `register` fills it, the case table and the graph read it


class Kernels(dict[type, Kernel]):
    """An op's kernels by the type of the raw array; a miss asks `find` and remembers the answer."""

    find: Callable[[Op, type], Kernel]  # set by backend.py: the road from an array type to its device's kernel

    def __init__(self, op: Op) -> None:
        self.op = op

    def __missing__(self, array_type: type) -> Kernel:
        kernel = self[array_type] = Kernels.find(self.op, array_type)
        return kernel


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """What one recorded call keeps and runs, given which of its inputs need a gradient."""

    op: Op
    pulls: tuple[tuple[int, Callable[[Any, Any], Any]], ...]  # (input, saved values -> its gradient)
    inputs: tuple[int, ...]  # inputs whose arrays are kept
    out: bool  # whether the result is kept
    specs: tuple[tuple[int, int, str], ...]  # (place, input or -1 for out, "shape" | "dtype") read by a rule
    keeps_arrays: bool
    once: Callable[[Any, Any], Any] | None = None  # what the rules of several inputs share, computed once a backward
    routes: Any = field(init=False, default=None)  # what is known of passes that begin here, which grows: see routes.py


@dataclass(eq=False, slots=True)
class Op:
    """One operation. `inputs` are arrays, `params` are static Python values, in the order kernels take them.

    rules: one per input; None means not differentiable there. infer: (*inputs, *params) -> (shape, dtype), from
    anything that has a shape and a dtype; it raises the error a user should see. expr: the value of one element in
    C, for generated kernels. view: the result shares its input's memory. broadcasts: inputs are broadcast, so the
    tape sums gradients back to each input's shape. free: inputs that take no part in promotion. boolean: the result is
    bool. constant: the result does not vary smoothly with any input, so nothing is recorded. once: a rule whose value the
    other rules may read under that name, computed once for all of them; it may read `needs`, which arrays get a gradient.
    words: the value of one element as people write it, for the docstring, where `expr` is not it.
    """

    name: str
    inputs: tuple[str, ...]
    params: tuple[str, ...] = ()
    rules: tuple[Rule | None, ...] = ()
    infer: Callable[..., Any] | None = None
    expr: str | None = None
    domain: str = ANY
    boolean: bool = False
    constant: bool = False
    elementwise: bool = False
    broadcasts: bool = False
    view: bool = False
    variadic: bool = False  # the last input is a sequence
    free: tuple[str, ...] = ()
    face: str = ""
    label: str | Callable[..., str] = ""
    outputs: int = 1
    keeps: tuple[int, ...] | None = None  # of several results, those that rules read; None: any of them
    once: Rule | None = None
    rows: str = ""  # how compiled functions run it on blocks of rows: see compiler/rows.py
    words: str = ""
    refuses: str = ""  # NumPy's kinds of elements that it does not take
    scales: bool = False  # halves beside a number are computed in float32, which holds numbers that halves do not
    kernels: Kernels = field(init=False)
    takes: str = field(init=False)  # NumPy's kinds of elements that it computes in as they come
    # By the types of a call's inputs (a number's is its class), where tensors stay as they are and numbers do not change that:
    # (place, type) of each number. What a call would have to decide is decided once; see record.prepare.
    settled: dict[tuple[Any, ...], tuple[tuple[int, Any], ...]] = field(init=False, default_factory=dict)
    pulls: tuple[Callable[..., Any], ...] = field(init=False)
    reads: tuple[frozenset[str], ...] = field(init=False)
    places: dict[str, int] = field(init=False)
    # The function that calls the op, specialised by record.py. It is an instance attribute under this name because the
    # interpreter then finds it without a Python frame in between (0.1 us a call, against 0.3 for a method).
    __call__: Callable[..., Any] = field(init=False)
    _plans: dict[Any, Plan] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.kernels = Kernels(self)
        self.face = self.face or self.name
        self.constant = self.constant or self.boolean
        if not self.label:
            self.label = grad_name(self.face)
        self.rules = self.rules or (None,) * len(self.inputs)
        self.takes = "".join([kind for kind in ("fcV" if self.domain == FLOAT else "biufcV") if kind not in self.refuses])
        # where each value that a rule may name stands in a node's saved tuple
        names = [*self.inputs, "out", *self.params]
        names += [f"{n}_{what}" for n in (*self.inputs, "out") for what in ("shape", "dtype")]
        self.places = {n: i for i, n in enumerate(names)}
        arguments = [rule_arguments(self, i, rule) for i, rule in enumerate(self.rules)]
        shared = frozenset(rule_arguments(self, 0, self.once)) if self.once is not None else frozenset()
        self.reads = tuple(foreign.looks(self, i) | {*a, *(shared if "once" in a else ())} for i, a in enumerate(arguments))
        pulls = [self._pull(i, rule, a) for i, (rule, a) in enumerate(zip(self.rules, arguments, strict=True))]
        self.pulls = tuple(foreign.watched(self, i, pull) for i, pull in enumerate(pulls))

    def _pull(self, i: int, rule: Rule | None, arguments: tuple[str, ...], needs: tuple[bool, ...] = ()) -> Callable[..., Any]:
        """Return (g, saved values) -> gradient of input i; for a variadic input also its index."""
        if rule is None:
            return refuse(self, i)
        values = ["s[-1]" if n == "once" else n if n not in self.places else f"s[{self.places[n]}]" for n in arguments]
        names = {"rule": rule, "needs": needs}
        return eval(f"lambda g, s, index=0: rule({', '.join(values)})", names)  # type: ignore[no-any-return]

    def plan(self, needs: tuple[bool, ...]) -> Plan:
        """Return the plan of a call whose inputs need gradients as `needs` says, one flag an array."""
        plan = self._plans.get(needs)
        if plan is None:
            plan = self._plans[needs] = self._make_plan(needs)
        return plan

    def complex_plan(self, needs: tuple[bool, ...]) -> Plan:
        """Return the plan of a call with a complex result. Rules are written as g * f'(x); PyTorch's gradient of a complex
        function is g * conj(f'(x)), which is conj(conj(g) * f'(x)): g and what the rule makes of it are conjugated."""
        plan = self._plans.get(("complex", needs))
        if plan is None:
            base = self.plan(needs)
            pulls = tuple((i, _conjugated(pull)) for i, pull in base.pulls)
            once = None if base.once is None else lambda g, s, once=base.once: once(OPS["conjugate"](g), s)
            plan = self._plans["complex", needs] = replace(base, pulls=pulls, once=once)
        return plan

    def _make_plan(self, needs: tuple[bool, ...]) -> Plan:
        fixed = len(self.inputs) - self.variadic
        pulls, reads = [], set[str]()
        for i, needed in enumerate(needs):
            if not needed:
                continue
            which = min(i, len(self.inputs) - 1)
            pull = self.pulls[which]
            if self.variadic and i >= fixed:
                pull = _at(pull, i - fixed)
            pulls.append((i, pull))
            reads |= self.reads[which]
        specs = []
        for number, name in enumerate((*self.inputs, "out")):
            for what in ("shape", "dtype"):
                if f"{name}_{what}" in reads:
                    specs.append((self.places[f"{name}_{what}"], -1 if name == "out" else number, what))
        kept = tuple(i for i, name in enumerate(self.inputs) if name in reads)
        out = "out" in reads
        once = None if self.once is None or "once" not in reads else self.pull_once(needs)
        return Plan(self, tuple(pulls), kept, out, tuple(specs), bool(kept) or out, once)

    def pull_once(self, needs: tuple[bool, ...]) -> Callable[[Any, Any], Any]:
        """What the rules share, as a function of g and the saved values, at whose end they expect it."""
        assert self.once is not None
        return self._pull(0, self.once, rule_arguments(self, 0, self.once), needs)

    def label_of(self, params: tuple[Any, ...]) -> str:
        return self.label if isinstance(self.label, str) else self.label(*params)

    def __repr__(self) -> str:
        formula = f" = {self.expr}" if self.expr else ""
        return f"<op {self.name}({', '.join(self.inputs + self.params)}){formula}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return OPS.__getitem__, (self.name,)


def _at(pull: Callable[..., Any], index: int) -> Callable[[Any, Any], Any]:
    return lambda g, s: pull(g, s, index)


def _conjugated(pull: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    conjugate = OPS["conjugate"]
    return lambda g, s: conjugate(pull(conjugate(g), s))


def grad_name(face: str, overload: int = 0) -> str:
    """Return the name PyTorch prints for a gradient node: "log_softmax" gives "LogSoftmaxBackward0"."""
    return "".join(part[:1].upper() + part[1:] for part in face.split("_")) + f"Backward{overload}"


def refuse(op: Op, i: int) -> Callable[..., Any]:
    """Return a pull that says that `op` has no gradient for input i."""

    def pull(g: Any, s: Any, index: int = 0) -> Any:
        raise errors.no_rule(op, i)

    return pull


def rule_arguments(op: Op, i: int, rule: Rule | None) -> tuple[str, ...]:
    """Return the names a rule reads. Raises TypeError for a name that nothing can be bound to."""
    if rule is None:
        return ()
    if not hasattr(rule, "__code__"):
        raise errors.no_function(op, i, rule)
    code = rule.__code__
    names = code.co_varnames[: code.co_argcount]
    known = {"g", *op.places} | ({"index"} if op.variadic else set())
    known |= set() if op.once is None else {"needs"} if rule is op.once else {"once"}
    unknown = [n for n in names if n not in known]
    if unknown or code.co_kwonlyargcount or code.co_flags & 0x0C:
        raise errors.rule_reads(op, i, unknown, known)
    if "g" not in names:
        raise TypeError(f"op '{op.name}', rule of input '{op.inputs[i]}': it must read g, the incoming gradient")
    return names


def register(op: Op, caller: Callable[[Op], Callable[..., Any]]) -> Op:
    """Enter `op` in the table under its name, with the function that calls it."""
    if op.name in OPS:
        raise ValueError(f"op {op.name!r} is already registered: {OPS[op.name]!r}")
    op.__call__ = caller(op)
    OPS[op.name] = op
    return op


def split_rules(inputs: Sequence[str], rules: dict[str, Rule]) -> tuple[Rule | None, ...]:
    """Return rules in input order. Raises TypeError for a rule of something that is no input."""
    strange = set(rules) - set(inputs)
    if strange:
        raise TypeError(f"rules for {sorted(strange)}, but the inputs are {', '.join(inputs)}")
    return tuple(rules.get(n) for n in inputs)
