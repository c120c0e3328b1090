"""Pictures of graphs, profiles and memory tables: what they show is what there is.

Owns: the proofs of wengert.drawing and wengert.profiler. May import: wengert, its public API.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import wengert as w
from wengert.profiler import memory_summary, profile, record_function


def small() -> tuple[w.Tensor, w.Tensor, w.Tensor]:
    x, v = w.ones(3, 4, requires_grad=True), w.ones(4, requires_grad=True)
    return ((x * v).tanh().sum(1) ** 2 + x[:, 0]).mean(), x, v


def test_a_drawing_names_ops_shapes_and_kept_bytes() -> None:
    y, x, v = small()
    drawing = w.draw(y, {"v": v})
    text = drawing.mermaid()
    assert text == str(drawing) and text.startswith("flowchart TD")
    for part in ("MulBackward0 [3, 4]", "keeps x float32[3, 4], y float32[4]: 64 B", "TanhBackward0 [3, 4]", "v [4]", "leaf [3, 4]"):
        assert part in text
    assert drawing.kept_bytes == 64 + 48 + 12  # x and v for the product, tanh's result, the power's base
    assert len(drawing.boxes) == 10 and len(drawing.arrows) == 10


def test_the_picture_is_well_formed_and_holds_every_box() -> None:
    y, _, _ = small()
    drawing = w.draw(y)
    root = ET.fromstring(drawing.svg())
    kinds = [child.tag.rpartition("}")[2] for child in root]
    assert kinds.count("rect") == len(drawing.boxes) + 1 and kinds.count("path") == len(drawing.arrows)
    width, height = (float(root.attrib[k]) for k in ("width", "height"))
    for rect in (c for c in root if c.tag.endswith("rect")):
        left, top = float(rect.attrib.get("x", 0)), float(rect.attrib.get("y", 0))
        assert left >= 0 and top >= 0 and left + float(rect.attrib["width"]) <= width and top < height
    assert drawing._repr_svg_() == drawing.svg()


def test_a_drawing_is_saved_by_its_ending(tmp_path: Path) -> None:
    drawing = w.draw(small()[0])
    for ending, start in (("svg", "<svg"), ("mmd", "flowchart"), ("dot", "digraph")):
        drawing.save(tmp_path / f"graph.{ending}")
        assert (tmp_path / f"graph.{ending}").read_text().startswith(start)
    with pytest.raises(ValueError, match="endings are"):
        drawing.save(tmp_path / "graph.bmp")


def test_boxes_do_not_overlap_and_arrows_pass_between_them() -> None:
    x = w.ones(2, requires_grad=True)
    parts = [(x * k).sin() for k in range(1, 6)]
    y = sum(parts[1:], parts[0]).prod()
    drawing = w.draw(y)
    places, routes, _, _ = drawing._layout()
    assert len(places) > len(drawing.boxes)  # an arrow over several rows has a place in each
    assert [(r[0], r[-1]) for r in routes] == drawing.arrows
    assert all(places[b][1] > places[a][1] for r in routes for a, b in zip(r, r[1:]))
    for i, (x1, y1, w1, h1) in enumerate(places):
        for x2, y2, w2, h2 in places[i + 1 :]:
            assert abs(x1 - x2) >= (w1 + w2) / 2 or y1 + h1 <= y2 or y2 + h2 <= y1


def test_a_large_graph_is_cut_and_says_so() -> None:
    x = w.ones(2, requires_grad=True)
    y = x
    for _ in range(2000):
        y = y * 1.5
    drawing = w.draw(y, limit=50)
    assert len(drawing.boxes) == 51 and drawing.hidden == 2001 - 50 and "1951 nodes not drawn" in drawing.svg()


def test_what_has_no_history_cannot_be_drawn() -> None:
    with pytest.raises(RuntimeError, match="no history"):
        w.draw(w.ones(2))
    with pytest.raises(TypeError, match="expected a Tensor"):
        w.draw(3)


def test_a_profile_counts_every_kernel_by_direction(tmp_path: Path) -> None:
    x = w.ones(30, 40, requires_grad=True)
    v = w.ones(40, 5, requires_grad=True)
    with profile(record_shapes=True) as p, record_function("step"):
        (x @ v).tanh().sum().backward()
    counts = {(r.key, r.direction): r.count for r in p.key_averages()}
    assert counts["matmul", "forward"] == 1 and counts["matmul", "backward"] == 2
    assert counts["tanh", "forward"] == 1 and counts["step", "block"] == 1
    assert sum(r.total for r in p.key_averages() if r.direction != "block") <= p.ended - p.began
    table = p.key_averages(group_by_input_shape=True).table(sort_by="cpu_time_total", row_limit=3)
    assert "matmul [[30, 40], [40, 5]]" in table and "more rows" in table and "between kernels" in table
    p.export_chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len(events) == len(p.events) and {e["cat"] for e in events} == {"forward", "backward", "block"}
    before = len(p.events)
    (x @ v).sum()
    assert len(p.events) == before  # outside of the block nothing is watched


def test_memory_is_told_by_holder() -> None:
    x = w.zeros(256, 1024, requires_grad=True)
    y = x.exp()
    y.sum().backward()
    z = x * 2
    view = z[1:]
    text = memory_summary()
    rows = {line[12:38].strip(): line.split() for line in text.splitlines()[1:]}
    assert "leaves that require grad" in rows and "gradients" in rows
    assert float(rows["gradients"][-2]) >= 1.0 and rows["gradients"][-1] == "MiB"
    assert view.numel() and text.splitlines()[0].startswith("device")
