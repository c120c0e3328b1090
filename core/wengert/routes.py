"""Backward passes that come again and again, written out as functions.

Owns: what is known of passes that begin with a plan, `plan.routes`, and the functions made of some. May import: the tape.
Must not know: any op's formula, any device.
The engine finds out in each pass which node comes next, which waits for what, and where broadcasting has to be undone; for a
node of few numbers that takes longer than to compute. A loop makes the same graph each time: a route is the pass over one graph
as the engine goes, line by line. It looks first whether all is as it was; if not, nothing has changed, and the engine runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert import tape
from wengert.tape import AccumulateGrad, Node

Route = Callable[[Node, Any, bool], bool]  # (first node, its gradient, whether kept values are let go) -> whether it fitted

OFTEN = 16  # passes of the engine after which one is written out; then four times as many, and so on
LONGEST = 128  # nodes of a route
MOST = 4  # routes of a plan


def follow(root: Any, g: Any, frees: bool) -> bool:
    """Run a backward pass by a route, and say whether there was one that fits."""
    if type(root) is not Node:
        return False
    known: Known | None = root.plan.routes
    if known is None:
        object.__setattr__(root.plan, "routes", Known())  # else a plan stays as it was made
        return False
    for route in known.routes:
        if route(root, g, frees):
            known.fits += 1
            return True
    known.miss(root)
    return False


class Known:
    """The routes of passes that begin with one plan, and how many of these the engine ran, which writes one out now and then.

    Where graphs mostly differ routes are forgotten: to look at them in vain takes time.
    """

    __slots__ = ("routes", "fits", "misses", "enough")

    def __init__(self) -> None:
        self.routes: tuple[Route, ...] = ()
        self.fits, self.misses, self.enough = 0, 1, OFTEN

    def miss(self, root: Node) -> None:
        self.misses += 1
        if self.misses < self.enough:
            return
        if self.routes and 4 * self.fits < self.misses:
            self.routes = ()
        elif (route := written(root)) is not None:
            self.routes = (route, *self.routes[: MOST - 1])
        self.fits, self.misses, self.enough = 0, 0, 4 * self.enough


def written(root: Node) -> Route | None:
    """Return the route of a graph; None where it is long, or has nodes that are not of the ordinary kind."""
    names = named(root)
    if names is None:
        return None
    space: dict[str, Any] = {"Node": Node, "AccumulateGrad": AccumulateGrad, "accumulate": tape.accumulate,
                             "fresh": tape._fresh, "sum_to": tape.sum_to}  # fmt: skip
    looks, runs = looking(names, space), running(root, names, space)
    source = ["def route(n0, g0, frees):", " try:", *looks, " except (AttributeError, IndexError, ValueError):",
              "  return False", *runs, " return True"]  # fmt: skip
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


def looking(names: dict[Any, int], space: dict[str, Any]) -> list[str]:
    """Return the lines that look whether a graph is as it was, and take hold of its nodes."""
    lines, held = list[str](), {0}
    for node, n in names.items():
        if type(node) is AccumulateGrad:
            lines.append(f"if type(n{n}) is not AccumulateGrad or n{n}.hooks is not None: return False")
            continue
        space[f"plan{n}"] = node.plan
        broadcast = "is" if node.shapes is not None else "is not"
        lines.append(f"if type(n{n}) is not Node or n{n}.plan is not plan{n} or n{n}.shapes {broadcast} None: return False")
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
        lines.append(f"if {' or '.join(wrong)}: return False")
    every = ", ".join([f"n{n}" for n in names.values()])
    lines.append(f"if len({{{every}}}) != {len(names)}: return False")
    return [f"  {line}" for line in lines]


def running(root: Node, names: dict[Any, int], space: dict[str, Any]) -> list[str]:
    """Return the lines that do what the engine does, in its order: see tape._run."""
    waiting = dict.fromkeys(names, 0)
    for node in names:
        for edge in node.edges:
            if edge is not None:
                waiting[edge] += 1
    counts, lines, ready, arrived = {**waiting}, list[str](), [root], list[AccumulateGrad]()
    while ready:
        node = ready.pop()
        n, plan = names[node], node.plan
        if plan.once is not None:
            space[f"once{n}"] = plan.once
            lines.append(f"s{n} = (*s{n}, once{n}(g{n}, s{n}))")
        for i, rule in plan.pulls:
            space[f"rule{n}_{i}"] = rule
            edge = node.edges[i]
            end = names[edge]
            first = waiting[edge] == counts[edge]
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
                lines += [f"own{end} = fresh(g{end}, g{n}, s{n})"] if counts[edge] == 1 else []
        lines.append(f"s{n} = g{n} = g = None")
        if plan.keeps_arrays:
            lines.append(f"if frees: n{n}.saved = None")
    for edge in arrived:
        n = names[edge]
        lines.append(f"accumulate(n{n}, g{n}, False, {f'own{n}' if counts[edge] == 1 else True}, None)")
    return [f" {line}" for line in lines]

