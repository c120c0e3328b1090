"""Backward passes that come again and again, written out as functions.

Owns: what is known of passes that begin with a plan, `plan.routes`, and the functions made of some. May import: the tape.
Must not know: any op's formula, any device.
The engine finds out in each pass which node comes next, which waits for what, and where broadcasting has to be undone; for a
node of few numbers that takes longer than to compute. A loop makes the same graph each time: a route is the pass over one graph
as the engine goes, line by line. It looks first whether all is as it was; if not, nothing has changed, and the engine runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wengert import tape
from wengert.tape import AccumulateGrad, Node

Targets = Sequence[Any] | None  # leaves whose gradients are asked for; None: all of them get theirs
Found = dict[Any, Any] | None  # gradients of targets; None: the route does not fit
# of the first node, its gradient, whether kept values are let go, whether the pass is recorded, and targets
Route = Callable[[Node, Any, bool, bool, Targets], Found]

OFTEN = 16  # passes of the engine after which one is written out; then twice as many, and so on
LONGEST = 128  # nodes of a route
MOST = 8  # routes of a plan


def follow(root: Any, g: Any, frees: bool, create: bool, targets: Targets) -> Found:
    """Run a backward pass by a route, and return what was found; None where no route fits."""
    if type(root) is not Node or type(g) in tape.numbers:
        return None
    known: Known | None = root.plan.routes
    if known is None:
        object.__setattr__(root.plan, "routes", Known())  # else a plan stays as it was made
        return None
    for route in known.routes:
        found = route(root, g, frees, create, targets)
        if found is not None:
            known.fits += 1
            return found
    known.miss(root, create, targets)
    return None


class Known:
    """The routes of passes that begin with one plan, and how many of these the engine ran, which writes one out now and then.

    Where graphs mostly differ routes are forgotten: to look at them in vain takes time.
    """

    __slots__ = ("routes", "fits", "misses", "enough")

    def __init__(self) -> None:
        self.routes: tuple[Route, ...] = ()
        self.fits, self.misses, self.enough = 0, 1, OFTEN

    def miss(self, root: Node, create: bool, targets: Targets) -> None:
        self.misses += 1
        if self.misses < self.enough:
            return
        if self.routes and 4 * self.fits < self.misses:
            self.routes = ()
        elif (route := written(root, create, targets)) is not None:
            self.routes = (route, *self.routes[: MOST - 1])
        self.fits, self.misses, self.enough = 0, 0, 2 * self.enough


def written(root: Node, create: bool, targets: Targets) -> Route | None:
    """Return the route of a graph; None where it is long, has nodes that are not of the ordinary kind, or a target that is no
    leaf of it."""
    names = named(root)
    if names is None or any([type(x) is not AccumulateGrad or x not in names for x in targets or ()]):
        return None
    space: dict[str, Any] = {"Node": Node, "AccumulateGrad": AccumulateGrad, "accumulate": tape.accumulate,
                             "fresh": tape._fresh, "sum_to": tape.sum_to}  # fmt: skip
    looks, runs = looking(names, create, targets, space), running(root, names, create, targets, space)
    source = ["def route(n0, g0, frees, create, targets):", " try:", *looks,
              " except (AttributeError, IndexError, ValueError): return None", *runs]  # fmt: skip
    exec(compile("\n".join(source), f"<wengert backward of {len(names)} nodes>", "exec"), space)  # noqa: S102
    route: Route = space.pop("route")  # a function that its own globals name would be a cycle
    return route


def named(root: Node) -> dict[Any, int] | None:
    """Return a number for each node and leaf of a graph, each after one that it is reached from; None where one is unusual."""
    found = [root]
    names: dict[Any, int] = {root: 0}
    for node in found:  # which grows
        for edge in node.edges:
            if edge is None or edge in names:
                continue
            if type(edge) is Node and len(names) < LONGEST:
                found.append(edge)
            elif type(edge) is not AccumulateGrad or edge.hooks is not None:
                return None
            names[edge] = len(names)
    return names


def looking(names: dict[Any, int], create: bool, targets: Targets, space: dict[str, Any]) -> list[str]:
    """Return the lines that look whether a graph is as it was, and take hold of its nodes."""
    asked = "targets is not None" if targets is None else f"targets is None or len(targets) != {len(targets)}"
    lines, held = [f"if create is not {create} or {asked}: return None"], {0}
    for node, n in names.items():
        if type(node) is AccumulateGrad:
            lines.append(f"if type(n{n}) is not AccumulateGrad or n{n}.hooks is not None: return None")
            continue
        space[f"plan{n}"] = node.plan
        broadcast = "is" if node.shapes is not None else "is not"
        lines.append(f"if type(n{n}) is not Node or n{n}.plan is not plan{n} or n{n}.shapes {broadcast} None: return None")
        lines.append(f"s{n} = n{n}.saved; edges = n{n}.edges")
        wrong = [f"s{n} is None"]
        for i, edge in enumerate(node.edges):
            end = "None" if edge is None else f"n{names[edge]}"
            if edge is None or names[edge] in held:
                wrong.append(f"edges[{i}] is not {end}")
            else:
                held.add(names[edge])
                lines.append(f"{end} = edges[{i}]")
        if node.guards:
            pairs = "".join([f"(box{i}, count{i}), " for i in range(len(node.guards))])
            lines.append(f"{pairs}= n{n}.guards")
            wrong += [f"box{i}[0] != count{i}" for i in range(len(node.guards))]
        else:
            wrong.append(f"n{n}.guards")
        lines.append(f"if {' or '.join(wrong)}: return None")
    every = ", ".join([f"n{n}" for n in names.values()])
    wrong = [f"len({{{every}}}) != {len(names)}"]
    wrong += [f"targets[{i}] is not n{names[x]}" for i, x in enumerate(targets or ())]
    lines.append(f"if {' or '.join(wrong)}: return None")
    return [f"  {line}" for line in lines]


def running(root: Node, names: dict[Any, int], create: bool, targets: Targets, space: dict[str, Any]) -> list[str]:
    """Return the lines that do what the engine does, in its order: see tape._run."""
    needed = names.keys() if targets is None else tape._ancestors(targets, [root])
    counts: dict[Any, int] = dict.fromkeys(needed, 0)
    for node in needed:
        for edge in node.edges:
            if edge in needed:
                counts[edge] += 1
    waiting, lines, ready, arrived = {**counts}, list[str](), [root], list[AccumulateGrad]()
    while ready:
        node = ready.pop()
        n, plan = names[node], node.plan
        lines += [f"s{n} = n{n}.tensors(s{n}, g{n})"] if create else []
        if plan.once is not None:
            space[f"once{n}"] = plan.once
            lines.append(f"s{n} = (*s{n}, once{n}(g{n}, s{n}))")
        for i, rule in plan.pulls:
            edge = node.edges[i]
            if edge not in needed:
                continue
            space[f"rule{n}_{i}"] = rule
            end, first = names[edge], waiting[edge] == counts[edge]
            waiting[edge] -= 1
            made = f"g{end}" if first else "g"
            lines.append(f"{made} = rule{n}_{i}(g{n}, s{n})")
            if node.shapes is not None:
                lines.append(f"if {made}.shape != n{n}.shapes[{i}]: {made} = sum_to({made}, n{n}.shapes[{i}])")
            if not first:
                lines.append(f"g{end} = g{end} + g")
            if type(edge) is not AccumulateGrad:
                ready += [] if waiting[edge] else [edge]
            elif first:
                arrived.append(edge)
                if targets is None and not create and counts[edge] == 1:
                    lines.append(f"own{end} = fresh(g{end}, g{n}, s{n})")
        lines.append(f"s{n} = g{n} = g = None")
        if plan.keeps_arrays:
            lines.append(f"if frees: n{n}.saved = None")
    for edge in arrived if targets is None else ():
        n = names[edge]
        own = f"own{n}" if counts[edge] == 1 and not create else True  # of recorded ones nobody asks
        lines.append(f"accumulate(n{n}, g{n}, {create}, {own}, None)")
    lines.append(f"return {{{', '.join([f'n{names[x]}: g{names[x]}' for x in arrived if targets is not None])}}}")
    return [f" {line}" for line in lines]
