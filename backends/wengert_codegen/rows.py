"""Several formulas in one kernel: elementwise lines, reductions of rows, and what follows from these.

Owns: the text of such a kernel. May import: the printer of formulas, loops. Must not know: devices, graphs.
A value has a level: `one` (a single element), `row` (one a row) or `full` (all elements). A reduction takes a row's full
elements to a row value; full values that read it are computed in the next pass over the row. What costs much and is read
again in a later pass is kept where it was stored, or in a scratch of the row, else computed again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wengert_codegen.expressions import VECTORS, Ctype, Dialect, Printed, helper_text, printed, vector_text
from wengert_codegen.loops import BLOCK, SCALAR, argument_arrays, call_lines

LANES = 16
CHAINS = 4  # vectors of a sum that are added to in turn
LEVEL = 2048  # elements of a row that are added up before they are added to the rest
SCRATCH = 4096  # elements of a row that are kept for a later pass
GROUP = 128  # work items of a gpu that share a row; a power of 2
_NAME = re.compile(r"\b[avt]\d+\b")
_HALVES = ("w_from_half", "w_to_half", "w_from_bfloat", "w_to_bfloat")


@dataclass(frozen=True)
class Line:
    """`name = text`, the formula's letters being names of values and numbers already; `compute`: what its constants are.

    step: of a reduction, the next accumulator by `a` and `v`, from `start`; its text is the element.
    """

    name: str
    ctype: Ctype
    text: str
    compute: Ctype
    level: str
    step: str = ""
    start: str = ""


@dataclass(frozen=True)
class Body:
    """What a kernel computes. inputs: (name, type, level); numbers: (name, type); outputs: names of inputs or lines.

    partial: reductions are stored as they are, one for each part of a row that a work item has.
    """

    inputs: tuple[tuple[str, Ctype, str], ...]
    numbers: tuple[tuple[str, Ctype], ...]
    lines: tuple[Line, ...]
    outputs: tuple[str, ...]
    partial: bool = False

    def level(self, name: str) -> str:
        levels = {n: level for n, _, level in self.inputs} | {line.name: line.level for line in self.lines}
        return levels[name]

    @property
    def reduces(self) -> bool:
        return any([line.step for line in self.lines])


def rounded(text: str, ctype: Ctype) -> str:
    """Return a value as its type stores it, to be computed with."""
    return ctype.read.format(ctype.write.format(text))


def names(text: str) -> list[str]:
    return _NAME.findall(text)


class Passes:
    """Which pass over a row computes what."""

    def __init__(self, body: Body, short: bool, dialect: Dialect) -> None:
        self.body = body
        self.full = {line.name: line for line in body.lines if line.level == "full"}
        self.at: dict[str, int] = {name: 0 for name, _, _ in body.inputs}
        costly: set[str] = set()
        for line in body.lines:
            reads = [n for n in names(line.text) if n in self.at]
            self.at[line.name] = max([0, *[self.at[n] for n in reads]]) + bool(line.step)
            calls = printed(line.text, line.compute, Dialect(True, 1)).calls
            if line.level == "full" and (calls or costly.intersection(reads)):
                costly.add(line.name)
        self.reductions = [line for line in body.lines if line.step]
        self.outputs = [n for n in body.outputs if body.level(n) == "full"]
        roots: list[list[str]] = [[] for _ in range(max(self.at.values(), default=0) + 1)]
        for line in self.reductions:
            roots[self.at[line.name] - 1] += [n for n in names(line.text) if n in self.full]
        for n in self.outputs:
            roots[self.at[n]].append(n)
        self.kept: dict[str, str] = {}  # what later passes read: `out`, `scratch`
        self.needed: list[set[str]] = []
        for p, wanted in enumerate(roots):
            found: set[str] = set()
            self._follow(wanted, p, costly, short, dialect, found)
            self.needed.append(found)
        while self.needed and not self.needed[-1] and not roots[-1] and not self.direct(len(roots) - 1):
            self.needed.pop()
            roots.pop()
        self.count = len(self.needed)

    def direct(self, p: int) -> bool:
        """Say whether a pass has a reduction at all: one of an input has no full line."""
        return any([self.at[line.name] - 1 == p for line in self.reductions])

    def _follow(self, wanted: Sequence[str], p: int, costly: set[str], short: bool, dialect: Dialect, found: set[str]) -> None:
        for n in wanted:
            if n not in self.full or n in found:
                continue
            if self.at[n] < p and n in costly and n in self.needed[self.at[n]]:
                plain = self.full[n].ctype.read == "{}"
                where = "out" if n in self.outputs and plain else "scratch" if short and dialect.cpu else ""
                if where:
                    self.kept[n] = where
                    continue
            found.add(n)
            self._follow(names(self.full[n].text), p, costly, short, dialect, found)


def source(name: str, body: Body, inner: Sequence[int], rank: int, short: bool, dialect: Dialect) -> str:
    """Return the source of a kernel. inner: the step of each full input along a row: 0, 1, or -1 for any; rank: outer dims.

    Arguments: outputs and inputs, each with its offset; numbers; n, chunk, count, rows; the outer sizes; for each input that is
    not `one` its outer steps, then that along a row where it is -1. A row has n elements; outputs are in row-major order.
    """
    passes = Passes(body, short, dialect)
    types = {n: c for n, c, _ in body.inputs} | {line.name: line.ctype for line in body.lines}
    step_of = dict(zip([n for n, _, level in body.inputs if level == "full"], inner, strict=True))
    used = Printed("")
    for c in types.values():
        used.helpers |= {w for w in _HALVES if w in c.read + c.write}
    head = [f"__global {types[n].stored if not is_partial(body, n) else types[n].name} * restrict o{i}_, long o{i}_at"
            for i, n in enumerate(body.outputs)]  # fmt: skip
    for n, c, _ in body.inputs:
        head += [f"__global const {c.stored} * restrict {n}_", f"long {n}_at"]
    head += [f"{c.name} {n}" for n, c in body.numbers]
    head += ["long n", "long chunk", "long count", "long rows", *(f"long d{k}" for k in range(rank))]
    moving = [n for n, _, level in body.inputs if level != "one"]
    for n in moving:
        head += [f"long {n}_s{k}" for k in range(rank)] + ([f"long {n}_i"] if step_of.get(n) == -1 else [])
    together = body.reduces and not dialect.cpu  # a row is a group's
    column = "get_group_id(0)" if together else "get_global_id(0)"
    lines = [
        f"__kernel void {name}({', '.join(head)}) {{",
        f"  long part = {column}, first = part * chunk, last = first + chunk < n ? first + chunk : n;",
        "  long top = (long)get_global_id(1) * rows, end = top + rows < count ? top + rows : count;",
    ]
    if together:
        lines.append(f"  int lid = get_local_id(0); __local ulong shared_[{GROUP}];")
    plain = Dialect(False, 1)

    def statement(line: Line) -> str:
        made = printed(line.text, line.compute, plain, used)
        return f"{line.ctype.name} {line.name} = {rounded(made.text, line.ctype)};"

    ones = [n for n, _, level in body.inputs if level == "one"]
    lines += [f"  {types[n].name} {n} = {types[n].read.format(f'{n}_[{n}_at]')};" for n in ones]
    lines += [f"  {statement(line)}" for line in body.lines if line.level == "one"]
    stored = [f"o{i}_[o{i}_at] = {types[n].write.format(n)};" for i, n in enumerate(body.outputs) if body.level(n) == "one"]
    if stored:
        lines.append(f"  if (get_global_id(0) == 0 && get_global_id(1) == 0) {{ {' '.join(stored)} }}")
    lines.append("  for (long row = top; row < end; row++) {")
    if passes.kept and "scratch" in passes.kept.values():
        for n, where in passes.kept.items():
            lines += [f"    {types[n].name} s_{n}[{SCRATCH}];"] if where == "scratch" else []
    lines += [f"    long {n}_b = {n}_at;" for n in moving]
    lines.append("    long rest = row, q;")
    for k in reversed(range(rank)):
        lines.append(f"    q = rest % d{k}; rest /= d{k};" if k else "    q = rest;")
        lines += [f"    {n}_b += q * {n}_s{k};" for n in moving]
    of_rows = [n for n, _, level in body.inputs if level == "row"]
    lines += [f"    {types[n].name} {n} = {types[n].read.format(f'{n}_[{n}_b]')};" for n in of_rows]

    def row_lines(p: int) -> list[str]:
        found = [line for line in body.lines if line.level == "row" and not line.step and passes.at[line.name] == p]
        return [f"    {statement(line)}" for line in found]

    for p in range(passes.count):
        lines += row_lines(p)
        lines += one_pass(passes, p, types, step_of, dialect, used)
    for p in range(passes.count, max(passes.at.values(), default=0) + 1):
        lines += row_lines(p)
    found = []
    for i, n in enumerate(body.outputs):
        if is_partial(body, n):
            found.append(f"o{i}_[o{i}_at + row * get_{'num_groups' if together else 'global_size'}(0) + part] = {n};")
        elif body.level(n) == "row":
            found.append(f"o{i}_[o{i}_at + row] = {types[n].write.format(n)};")
    if found:
        lines.append(f"    {'if (lid == 0) ' if together else ''}{{ {' '.join(found)} }}")
    part = "double" if any([c.name == "double" for c in types.values()]) else "float"
    return helper_text(used.helpers, part) + "\n".join([*lines, "  }", "}", ""])


def is_partial(body: Body, name: str) -> bool:
    return body.partial and any([line.name == name and line.step for line in body.lines])


def one_pass(
    passes: Passes, p: int, types: dict[str, Ctype], step_of: dict[str, int], dialect: Dialect, used: Printed
) -> list[str]:
    """Return the lines of one pass over a row: stages between calls that are made for a block at a time."""
    body = passes.body
    if dialect.cpu:
        found = vector_pass(passes, p, types, step_of, used)
        if found is not None:
            return found
    index = "i + l" if dialect.cpu else "i"
    where = {n: i for i, n in enumerate(body.outputs)}
    made = Printed("", [], used.helpers)
    stage: dict[str, int] = {}
    texts: dict[str, str] = {}  # of full lines computed here
    alias: dict[str, str] = {}  # lines that are the result of a call
    call_types: list[Ctype] = []
    call_stage: list[int] = []

    def replaced(text: str) -> str:
        return _NAME.sub(lambda m: alias.get(m[0], m[0]), text)

    def stage_of(text: str) -> int:
        return max([0, *[stage.get(n, 0) for n in names(text)]])

    def enter(text: str, compute: Ctype) -> str:
        before = len(made.calls)
        result = replaced(printed(replaced(text), compute, dialect, made).text)
        for array, args, _ in made.calls[before:]:
            call_types.append(compute)
            call_stage.append(stage_of(" ".join(args)))
            stage[array] = call_stage[-1] + 1
        return result

    roots: list[tuple[int, str, str]] = []  # (stage, statement for a whole vector, or for the rest)
    for line in body.lines:
        if line.name in passes.needed[p]:
            text = enter(line.text, line.compute)
            stage[line.name] = stage_of(text)
            if re.fullmatch(r"t\d+\[l\]", text) and line.ctype.read == "{}":
                alias[line.name] = text
            else:
                texts[line.name] = rounded(text, line.ctype)
        n = line.name
        if n in passes.needed[p] and passes.at[n] == p:
            value = alias.get(n, n)
            if n in where:
                o = f"o{where[n]}_"
                roots.append((stage[n], f"{o}[{o}at + row * n + {index}] = {types[n].write.format(value)};", ""))
            if passes.kept.get(n) == "scratch":
                roots.append((stage[n], f"s_{n}[{index}] = {value};", ""))
    head, tail, lanes, ends = [], [], [], []
    for line in passes.reductions:
        if passes.at[line.name] - 1 != p:
            continue
        element = enter(line.text, line.compute)
        t, n = line.ctype.name, line.name
        step = printed(line.step, line.ctype, Dialect(False, 1), used).text

        def joined(a: str, v: str, t: str = t, step: str = step) -> str:
            return f"{{ {t} v = {v}, a = {a}; {a} = {step}; }}"

        if dialect.cpu:
            head.append(f"    {t} {n} = {line.start}, sum_{n}[{LANES}];")
            head.append(f"    for (int j = 0; j < {LANES}; j++) sum_{n}[j] = {line.start};")
            roots.append((stage_of(element), joined(f"lane_{n}[j]", element), joined(n, element)))
            ends.append(f"for (int j = 0; j < {LANES}; j++) {joined(f'sum_{n}[j]', f'lane_{n}[j]')}")
            tail.append(f"    for (int j = 0; j < {LANES}; j++) {joined(n, f'sum_{n}[j]')}")
            lanes.append(f"{t} lane_{n}[{LANES}]; for (int j = 0; j < {LANES}; j++) lane_{n}[j] = {line.start};")
        else:
            head.append(f"    {t} {n} = {line.start};")
            roots.append((0, joined(n, element), ""))
            shared = f"((__local {t} *)shared_)"
            tail += [f"    barrier(CLK_LOCAL_MEM_FENCE); {shared}[lid] = {n}; barrier(CLK_LOCAL_MEM_FENCE);",
                     f"    for (int h = {GROUP // 2}; h; h /= 2) {{ if (lid < h) "
                     + joined(f"{shared}[lid]", f"{shared}[lid + h]") + " barrier(CLK_LOCAL_MEM_FENCE); }",
                     f"    {n} = {shared}[0];"]  # fmt: skip

    def load(n: str) -> str:
        c = types[n]
        if n in passes.kept and n in passes.full:
            return f"o{where[n]}_[o{where[n]}_at + row * n + {index}]" if passes.kept[n] == "out" else f"s_{n}[{index}]"
        step = {0: "", 1: f" + {index}"}.get(step_of[n], f" + ({index}) * {n}_i")
        return c.read.format(f"{n}_[{n}_b{step}]")

    def declared(texts_here: Sequence[str], s: int, blocks: set[str]) -> list[str]:
        """Return declarations of what the statements of a stage read, in order; `blocks` gets values of earlier stages."""
        order: list[str] = []

        def visit(n: str) -> None:
            if n.startswith("t") or n in order:
                return
            if n in texts and stage[n] == s:
                for m in names(texts[n]):
                    visit(m)
            if n in texts or n in step_of or (n in passes.kept and n in passes.full):
                order.append(n)

        for text in texts_here:
            for n in names(text):
                visit(n)
        result = []
        for n in order:
            if n in texts and stage[n] < s:
                blocks.add(n)
                result.append(f"{types[n].name} {n} = b_{n}[l];")
            else:
                result.append(f"{types[n].name} {n} = {texts[n] if n in texts else load(n)};")
        return result

    if not dialect.cpu:
        reads = declared([r[1] for r in roots], 0, set())
        start, by = ("first + lid", str(GROUP)) if body.reduces else ("first", "1")
        inside = " ".join([*reads, *[r[1] for r in roots]])
        return [*head, f"    for (long i = {start}; i < last; i += {by}) {{ {inside} }}", *tail]

    last = max([0, *[r[0] for r in roots], *call_stage])
    stages: list[list[str]] = []
    wanted: list[set[str]] = []
    for s in range(last + 1):  # what each stage reads of earlier ones has to be known before these are written
        mine = [a for k, (_, args, _) in enumerate(made.calls) if call_stage[k] == s for a in args]
        blocks: set[str] = set()
        declared([*mine, *[r[1] for r in roots if r[0] == s]], s, blocks)
        wanted.append(blocks)
    for s in range(last + 1):
        kept = [n for n in texts if stage[n] == s and any([n in b for b in wanted[s + 1 :]])]
        mine_calls = [(c, call_types[k]) for k, c in enumerate(made.calls) if call_stage[k] == s]
        plain = []
        for (array, args, _), _ in mine_calls:
            plain += [f"{a}[l] = {text};" for a, text in zip(argument_arrays(array, args), args, strict=True)]
        plain += [f"b_{n}[l] = {n};" for n in kept] + [r[1] for r in roots if r[0] == s and not r[2]]
        sums = [r for r in roots if r[0] == s and r[2]]
        before = " ".join(declared([*plain, *[r[1] for r in sums]], s, set()))
        if sums:
            whole, rest = (" ".join([*plain, *ends_]) for ends_ in ([r[1] for r in sums], [r[2] for r in sums]))
            stages.append([
                f"for (int h = 0; h + {LANES} <= m; h += {LANES}) for (int j = 0; j < {LANES}; j++) "
                f"{{ int l = h + j; {before} {whole} }}",
                f"{SCALAR}for (int l = m / {LANES} * {LANES}; l < m; l++) {{ {before} {rest} }}",
            ])  # fmt: skip
        elif plain:
            stages.append([f"for (int l = 0; l < m; l++) {{ {before} {' '.join(plain)} }}"])
        for (array, args, name), c in mine_calls:
            stages.append(call_lines(array, args, name, c))
    aligned = f"[{BLOCK}] __attribute__((aligned(64)))"
    arrays = [f"{types[n].name} b_{n}{aligned};" for n in sorted(set().union(*wanted))]
    for k, (array, args, _) in enumerate(made.calls):
        arrays.append(f"{call_types[k].name} {', '.join([a + aligned for a in argument_arrays(array, args)])};")
    return [
        *head, f"    for (long i = first; i < last; i += {BLOCK}) {{",
        f"      int m = last - i < {BLOCK} ? (int)(last - i) : {BLOCK};",
        *[f"      {text}" for text in [*arrays, *lanes]], *[f"      {text}" for lines in stages for text in lines],
        *[f"      {text}" for text in ends], "    }", *tail,
    ]  # fmt: skip


_FUNCTION = re.compile(r"[a-z]\w*\(")


def vector_pass(passes: Passes, p: int, types: dict[str, Ctype], step_of: dict[str, int], used: Printed) -> list[str] | None:
    """Return the lines of a pass that computes on vectors of one float type, with nothing but arithmetic and functions of their
    values; None where it does not. No function is inlined, so what is between them stays in registers only this way."""
    body = passes.body
    needed = [line for line in body.lines if line.name in passes.needed[p]]
    sums = [line for line in passes.reductions if passes.at[line.name] - 1 == p]
    kept = [n for n in passes.full if n in passes.kept and passes.at[n] < p]
    read = {n for line in (*needed, *sums) for n in names(line.text)}
    inputs = [n for n in step_of if n in read]
    stored = [*needed, *sums]
    all_read = [*inputs, *[n for n in kept if n in read], *[line.name for line in stored]]
    kinds = {(types[n].name, types[n].read) for n in all_read}
    kinds |= {(line.compute.name, "{}") for line in stored}
    if len(kinds) != 1 or any([step_of[n] < 0 for n in inputs]):
        return None
    t, plain = kinds.pop()
    if t not in VECTORS or plain != "{}":
        return None
    v, width = VECTORS[t], 16 if t == "float" else 8
    trial = Printed("")
    found = {line.name: vector_text(line.text, line.compute, trial) for line in stored}
    texts = {name: text for name, text in found.items() if text is not None}
    if len(texts) < len(found):
        return None
    used.helpers |= trial.helpers
    where = {n: i for i, n in enumerate(body.outputs)}
    # an addition waits for the one before it: without functions, which take longer than that, several are under way at a time
    chains = CHAINS if sums and not any([_FUNCTION.search(text) for text in texts.values()]) else 1

    def loaded(n: str, place: str, kind: str, whole: bool) -> str:
        """Return the reading of a vector from global memory: at the end of a row, of as many elements as are left."""
        if whole:
            return f"{v} {n} = *(__global {kind} *)({place});"
        return (f"{t} p_{n}[{width}]; for (int l = 0; l < {width}; l++) p_{n}[l] = l < m ? ({place})[l] : 1; "
                f"{v} {n} = *({v} *)p_{n};")  # fmt: skip

    def statements(whole: bool, lane: str = "lane_{}") -> str:
        made = []
        for n in inputs:
            if step_of[n]:
                made.append(loaded(n, f"{n}_ + {n}_b + i", f"const {v}", whole))
            else:
                made.append(f"{v} {n} = {n}_[{n}_b];")
        for n in kept:
            if n not in read:
                continue
            if passes.kept[n] == "scratch":
                made.append(f"{v} {n} = *({v} *)(s_{n} + i);")
            else:
                made.append(loaded(n, target(n), v, whole))
        for line in needed:
            made.append(f"{v} {line.name} = {texts[line.name]};")
        for line in needed:
            n = line.name
            if passes.at[n] == p and passes.kept.get(n) == "scratch":
                made.append(f"*({v} *)(s_{n} + i) = {n};")
            if passes.at[n] == p and n in where and whole:
                made.append(f"*(__global {v} *)({target(n)}) = {n};")
            elif passes.at[n] == p and n in where:
                made.append(f"{t} q_{n}[{width}]; *({v} *)q_{n} = {n};{SCALAR}"
                            f"for (int l = 0; l < m; l++) ({target(n)})[l] = q_{n}[l];")  # fmt: skip
        for line in sums:
            if whole:
                made.append(joined(line, lane.format(line.name), texts[line.name], v))
            else:
                q = f"q_{line.name}"
                made.append(f"{t} {q}[{width}]; *({v} *){q} = {texts[line.name]}; "
                            f"for (int l = 0; l < m; l++) {joined(line, line.name, f'{q}[l]', t)}")  # fmt: skip
        return " ".join(made)

    def target(n: str) -> str:
        return f"o{where[n]}_ + o{where[n]}_at + row * n + i"

    def joined(line: Line, a: str, value: str, kind: str) -> str:
        step = printed(line.step, line.ctype, Dialect(False, 1), used).text
        return f"{{ {kind} v = {value}, a = {a}; {a} = {step}; }}"

    lines = []
    for line in sums:
        lines.append(f"    {t} {line.name} = {line.start}; {v} sum_{line.name} = {line.start};")
    lines.append(f"    for (long begin = first; begin < last; begin += {LEVEL}) {{")
    lines.append(f"      long stop = begin + {LEVEL} < last ? begin + {LEVEL} : last, i = begin;")
    lines += [f"      {v} lane_{line.name} = {line.start};" for line in sums]
    if chains > 1:
        each = f"for (int c = 0; c < {chains}; c++)"
        begun = " ".join([f"{v} more_{line.name}[{chains}]; {each} more_{line.name}[c] = {line.start};" for line in sums])
        ended = " ".join([f"{each} {joined(line, f'lane_{line.name}', f'more_{line.name}[c]', v)}" for line in sums])
        step = f"while (i + {chains * width} <= stop) {each} {{ {statements(True, 'more_{}[c]')} i += {width}; }}"
        lines.append(f"      if (i + {2 * chains * width} <= stop) {{ {begun} {step} {ended} }}")
    lines.append(f"      for (; i + {width} <= stop; i += {width}) {{ {statements(True)} }}")
    lines += [f"      {joined(line, f'sum_{line.name}', f'lane_{line.name}', v)}" for line in sums]
    lines.append(f"      if (i < stop) {{ int m = (int)(stop - i); {statements(False)} }}")
    lines.append("    }")
    for line in sums:  # halves, quarters, and so on
        whole = f"sum_{line.name}"
        for n in [n for n in (8, 4, 2) if n < width]:
            half = f"{t}{n} h{n}_{line.name}"
            lines.append(f"    {half} = {whole}.lo; {joined(line, f'h{n}_{line.name}', f'{whole}.hi', f'{t}{n}')}")
            whole = f"h{n}_{line.name}"
        for part in (f"{whole}.x", f"{whole}.y"):
            lines.append(f"    {joined(line, line.name, part, t)}")
    return lines
