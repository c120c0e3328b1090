"""`wengert.draw`: the graph behind a tensor as a picture, and as text that other tools draw.

Owns: reading the tape for its nodes, shapes and kept bytes; the layout; SVG, Mermaid and DOT. May import: tensor, tape.
Must not know: any op. In a notebook a drawing shows itself; anywhere else `print` gives Mermaid and `save` writes a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from wengert._tensor import Tensor
from wengert.tape import AccumulateGrad, Node, Slot


@dataclass
class Box:
    """One node of the picture: what it is, the shape it gave where known, and the bytes it keeps for backward."""

    title: str
    kind: str  # "op", "leaf" or "result"
    shape: tuple[int, ...] | None = None
    kept: list[str] = field(default_factory=list)  # "x float32[3, 4]", one for each kept array
    bytes: int = 0

    def lines(self) -> list[str]:
        """Return the text in the box."""
        first = self.title if self.shape is None else f"{self.title} {list(self.shape)}"
        return [first, *([f"keeps {', '.join(self.kept)}: {readable(self.bytes)}"] if self.kept else [])]


class Drawing:
    """The graph behind a tensor: boxes for ops, leaves and the result; arrows follow the values forward."""

    def __init__(self, boxes: list[Box], arrows: list[tuple[int, int]], hidden: int = 0) -> None:
        self.boxes, self.arrows, self.hidden = boxes, arrows, hidden

    @property
    def kept_bytes(self) -> int:
        """How many bytes all boxes keep for backward; an array that two of them keep counts twice."""
        return sum(b.bytes for b in self.boxes)

    def mermaid(self) -> str:
        """Return the graph as Mermaid text."""
        shapes = {"op": '["{}"]', "leaf": '(["{}"])', "result": '{{{{"{}"}}}}'}
        lines = ["flowchart TD"]
        for i, box in enumerate(self.boxes):
            lines.append(f"  n{i}" + shapes[box.kind].format("<br/>".join(line.replace('"', "'") for line in box.lines())))
        return "\n".join([*lines, *(f"  n{a} --> n{b}" for a, b in self.arrows)])

    def dot(self) -> str:
        """Return the graph in Graphviz's language."""
        shapes = {"op": "box", "leaf": "ellipse", "result": "hexagon"}
        lines = ["digraph {", "  node [fontname=monospace];"]
        for i, box in enumerate(self.boxes):
            text = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in box.lines())
            lines.append(f'  n{i} [shape={shapes[box.kind]}, label="{text}"];')
        return "\n".join([*lines, *(f"  n{a} -> n{b};" for a, b in self.arrows), "}"])

    def svg(self) -> str:
        """Return the graph as an SVG picture."""
        places, routes, width, height = self._layout()
        colours = {"op": "#eef2f7", "leaf": "#e3f4e1", "result": "#fdeccf"}
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="monospace" font-size="12">',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z" fill="#667"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]
        for route in routes:
            x, y, _, h = places[route[0]]
            bottom = y + h
            line = f"M{x:.0f},{bottom:.0f}"
            for i in route[1:]:
                (x1, y1), (x, y, _, h) = (x, bottom), places[i]
                middle, bottom = (y1 + y) / 2, y + h
                line += f" C{x1:.0f},{middle:.0f} {x:.0f},{middle:.0f} {x:.0f},{y:.0f}"
                line += f" L{x:.0f},{bottom:.0f}" if i != route[-1] else ""
            parts.append(f'<path d="{line}" fill="none" stroke="#667" marker-end="url(#tip)"/>')
        for box, (x, y, w, h) in zip(self.boxes, places, strict=False):
            round_ = h / 2 if box.kind == "leaf" else 4
            parts.append(
                f'<rect x="{x - w / 2:.0f}" y="{y:.0f}" width="{w:.0f}" height="{h:.0f}" rx="{round_:.0f}" '
                f'fill="{colours[box.kind]}" stroke="#99a"/>'
            )
            for i, line in enumerate(box.lines()):
                parts.append(f'<text x="{x:.0f}" y="{y + 17 + 15 * i:.0f}" text-anchor="middle">{escape(line)}</text>')
        foot = f"kept for backward: {readable(self.kept_bytes)}" + (f"; {self.hidden} nodes not drawn" if self.hidden else "")
        parts.append(f'<text x="8" y="{height - 8}" fill="#667">{foot}</text></svg>')
        return "\n".join(parts)

    def _layout(self) -> tuple[list[tuple[float, float, float, float]], list[list[int]], int, int]:
        """Return (middle, top, width, height) of every box, the way of every arrow, and the picture's size: rows by the longest
        way from a leaf, each in the order of the middles of what leads to it. An arrow over several rows has a narrow place of
        its own in each, behind those of the boxes, so that it passes between them."""
        into: list[list[int]] = [[] for _ in self.boxes]
        for a, b in self.arrows:
            into[b].append(a)
        row = [0] * len(self.boxes)
        for i in range(len(self.boxes)):  # boxes stand in the order of the calls: what leads to one comes before it
            row[i] = max((row[a] + 1 for a in into[i]), default=0)
        for a in {a for a, _ in self.arrows if not into[a]}:  # leaves: just above what they lead to
            row[a] = min(row[b] for s, b in self.arrows if s == a) - 1
        sizes = [(max(len(line) for line in box.lines()) * 7.4 + 20, 12.0 + 15 * len(box.lines())) for box in self.boxes]
        routes = []
        for a, b in self.arrows:
            route = [a]
            for r in range(row[a] + 1, row[b]):
                into.append([route[-1]])
                route.append(len(sizes))
                sizes.append((8.0, 0.0))
                row.append(r)
            into[b][into[b].index(a)] = route[-1]
            routes.append([*route, b])
        rows: list[list[int]] = [[] for _ in range(max(row, default=0) + 1)]
        for i, r in enumerate(row):
            rows[r].append(i)
        middle = [0.0] * len(sizes)
        wide = max(sum(sizes[i][0] + 24 for i in line) for line in rows)
        tops, heights, top = [], [], 16.0
        for line in rows:
            line.sort(key=lambda i: sum(middle[a] for a in into[i]) / len(into[i]) if into[i] else i)
            x = (wide - sum(sizes[i][0] + 24 for i in line)) / 2 + 12
            for i in line:
                middle[i] = x + sizes[i][0] / 2
                x += sizes[i][0] + 24
            tops.append(top)
            heights.append(max(sizes[i][1] for i in line))
            top += heights[-1] + 36
        places = [(middle[i] + 8, tops[row[i]], w, h or heights[row[i]]) for i, (w, h) in enumerate(sizes)]
        return places, routes, int(wide) + 16, int(top) + 12

    def save(self, path: Any) -> None:
        """Write the picture (.svg) or its text (.mmd, .dot). Raises ValueError for another ending."""
        texts = {".svg": self.svg, ".mmd": self.mermaid, ".dot": self.dot, ".gv": self.dot}
        target = Path(path)
        if target.suffix not in texts:
            raise ValueError(f"draw: cannot save as {target.name!r}; the endings are {', '.join(texts)}")
        target.write_text(texts[target.suffix](), encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        return self.mermaid()

    def __repr__(self) -> str:
        return f"<drawing of {len(self.boxes)} nodes, {readable(self.kept_bytes)} kept for backward>"


def draw(tensor: Any, names: dict[str, Tensor] | None = None, limit: int = 500) -> Drawing:
    """Return the graph behind a tensor (or several) as a drawing.

    names: leaves to call by name, as `dict(model.named_parameters())`. limit: draw so many nodes, those nearest to the
    result. Raises RuntimeError for a tensor without history.

    >>> x = torch.ones(3, requires_grad=True)
    >>> print(torch.draw(x.exp().sum(), {"x": x}))
    flowchart TD
      n0(["x [3]"])
      n1["ExpBackward0 [3]<br/>keeps out float32[3]: 12 B"]
      n2["SumBackward0 []"]
      n3{{"result []"}}
      n0 --> n1
      n1 --> n2
      n2 --> n3
    """
    results = tuple(tensor) if isinstance(tensor, tuple | list) else (tensor,)
    for y in results:
        if not isinstance(y, Tensor):
            raise TypeError(f"draw: expected a Tensor, got {type(y).__name__}")
        if y._edge is None:
            raise RuntimeError("draw: this tensor has no history: it does not require grad and has no grad_fn")
    titles = {id(x._edge): name for name, x in (names or {}).items() if x._edge is not None}
    order, hidden = _nearest([_node(y._edge) for y in results], limit)
    shapes: dict[int, tuple[int, ...] | None] = {id(_node(y._edge)): tuple(y.shape) for y in results}
    boxes: list[Box] = []
    numbers: dict[int, int] = {}
    for node in order:  # from the results down, so that each knows its shape before what leads to it is asked
        for edge, shape in zip(node.edges, _input_shapes(node, shapes.get(id(node))), strict=True):
            if edge is not None and shape is not None:
                shapes.setdefault(id(_node(edge)), shape)
    for node in reversed(order):
        numbers[id(node)] = len(boxes)
        boxes.append(_box(node, shapes.get(id(node)), titles.get(id(node), "")))
    arrows = []
    for node in reversed(order):
        arrows += [(numbers[id(_node(e))], numbers[id(node)]) for e in node.edges if e is not None and id(_node(e)) in numbers]
    for y in results:
        arrows.append((numbers[id(_node(y._edge))], len(boxes)))
        boxes.append(Box("result", "result", tuple(y.shape)))
    return Drawing(boxes, arrows, hidden)


def _node(edge: Any) -> Any:
    return edge.origin[0] if type(edge) is Slot else edge


def _nearest(roots: Iterable[Any], limit: int) -> tuple[list[Any], int]:
    """Return up to `limit` nodes behind roots, each after all that it leads to; and how many more there are."""
    found: dict[int, Any] = {}
    queue = list(roots)
    for node in queue:
        if id(node) not in found:
            found[id(node)] = node
            queue += [_node(e) for e in node.edges if e is not None]
    kept = dict(list(found.items())[:limit])
    waiting = dict.fromkeys(kept, 0)
    for node in kept.values():
        for e in node.edges:
            if e is not None and id(_node(e)) in waiting:
                waiting[id(_node(e))] += 1
    ready, order = [n for n in kept.values() if not waiting[id(n)]], []
    while ready:
        node = ready.pop()
        order.append(node)
        for e in node.edges:
            if e is not None and id(_node(e)) in waiting:
                waiting[id(_node(e))] -= 1
                if not waiting[id(_node(e))]:
                    ready.append(_node(e))
    return order, len(found) - len(kept)


def _input_shapes(node: Any, own: tuple[int, ...] | None) -> list[tuple[int, ...] | None]:
    """Return the shapes of a node's inputs, as far as what it keeps tells."""
    if not isinstance(node, Node) or node.saved is None:
        return [None] * len(node.edges)
    if node.shapes is not None:
        return [tuple(s) for s in node.shapes]
    op, saved = node.plan.op, node.saved
    if op.elementwise:
        return [own] * len(node.edges)
    if op.variadic:
        return [None] * len(node.edges)
    found: list[tuple[int, ...] | None] = []
    for i, name in enumerate(op.inputs):
        place = op.places[f"{name}_shape"]
        if saved[i] is not None:
            found.append(tuple(saved[i].shape))
        else:
            found.append(tuple(saved[place]) if place < len(saved) and saved[place] is not None else None)
    return found


def _box(node: Any, shape: tuple[int, ...] | None, title: str) -> Box:
    if type(node) is AccumulateGrad:
        leaf = node.variable
        return Box(title or "leaf", "leaf", None if leaf is None else tuple(leaf.shape))
    box = Box(node.name().rpartition("::")[2], "op", shape)
    if not isinstance(node, Node) or node.saved is None:
        return box
    op = node.plan.op
    for name, value in zip((*op.inputs, "out"), node.saved, strict=False):
        for array in value if isinstance(value, tuple) else (value,):
            if array is not None and hasattr(array, "dtype"):
                box.kept.append(f"{name} {array.dtype}{list(array.shape)}")
                box.bytes += int(array.size) * array.dtype.itemsize
    return box


def readable(count: float) -> str:
    """Return a number of bytes as people write it: 1.5 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
