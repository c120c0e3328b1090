"""The page: which figures stand where, and the HTML around them.

Owns: the choice of tables and pictures, how a ratio looks. May import: results, plots, the suite's ops and engines. Must not
know: asv's files, how anything was measured.
"""

from __future__ import annotations

import datetime
import html
import math
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

from benchmarks.common import kernels
from benchmarks.engines import TITLES

from .plots import Series, Work, lines, plain, roofline, seconds
from .results import Benchmark, Key, Run, benchmarks, changes, latest

NAME = "devices.html"
COLOURS = {
    "wengert:cpu": "#0072B2", "wengert:opencl": "#009E73", "wengert:cuda": "#56B4E9", "torch:cpu": "#D55E00",
    "torch:cuda": "#E69F00", "jax": "#CC79A7", "autograd": "#888888", "mygrad": "#A0522D", "tinygrad": "#6A3D9A",
}  # fmt: skip
REFERENCE = ("torch:cpu", "eager")
RATIOS = {  # the benchmarks whose first parameters are engine and mode, or engine alone
    "Training steps": ("training.Training.time_step", "loops.Loop.time_steps"),
    "Small networks": ("networks.Networks.time_step",),
    "Second order and transforms": ("transforms.SecondOrder.time_run",),
}
STAGES = ("calls.", "graphs.", "optimizers.", "arrays.")
OTHERS = {
    "What compiling takes": "training.Capture.track_seconds",
    "Kernels a step": "training.Kernels.track_kernels",
    "Bytes that the tape keeps": "training.Kept.track_bytes",
    "The most memory that a process held": "training.Memory.peakmem_step",
    "Import": "startup.Import.timeraw_import",
    "Memory after the import": "startup.Memory.peakmem_import",
    "Search for plugins": "startup.Plugins.timeraw_scan",
}
BY_SIZE = "ops.Op.track_seconds"
MOST_CHANGES = 30
ENOUGH = 3  # samples of a figure
CHANGED = 1.25  # a factor: results of runs with one sample spread by as much
STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --link: #0b62a4; }
@media (prefers-color-scheme: dark) { :root { --link: #6cb6ff; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1240px; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
a { color: var(--link); } .note { opacity: 0.8; } .wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.45rem; border-bottom: 1px solid var(--soft); font-size: 14px; text-align: right; white-space: nowrap;
}
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
.plots { display: flex; flex-wrap: wrap; gap: 0.6rem; } svg { max-width: 100%; }
svg text { fill: currentColor; font: 10.5px system-ui, sans-serif; } svg .title { font-size: 12.5px; font-weight: 600; }
svg .grid { stroke: currentColor; stroke-opacity: 0.13; } svg .leader { stroke: currentColor; stroke-opacity: 0.35; }
svg .roof { stroke: currentColor; stroke-width: 1.6; stroke-opacity: 0.7; }
.key { display: inline-block; margin-right: 1.1rem; } .key i { display: inline-block; width: 1.1rem; height: 0.25rem;
vertical-align: middle; margin-right: 0.35rem; }
"""


def title(engine: object, mode: object = "eager") -> str:
    return TITLES.get((str(engine), str(mode)), f"{engine} {mode}")


def link(benchmark: str, names: list[str], values: Iterable[object], text: str) -> str:
    """Return a link to asv's page of a benchmark, with everything but its engine chosen."""
    chosen = "".join(f"&p-{quote(n)}={quote(repr(v))}" for n, v in zip(names, values, strict=True))
    axis = "x-axis=engine" if names != ["module"] else "x-axis=module"
    return f'<a href="index.html#{quote(benchmark)}?{axis}{html.escape(chosen)}">{html.escape(text)}</a>'


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table of cells that are HTML already; a cell may open with its attributes, ended by `>`."""
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
    for row in rows:
        cells = (cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in row)
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def shaded(ratio: float, said: str) -> str:
    """Return a cell with a ratio, blue where it is below 1 and orange above, the stronger the further."""
    strength = min(abs(math.log2(ratio)) / 4, 1) * 0.55
    colour = "0, 114, 178" if ratio < 1 else "230, 120, 0"
    return f'<td style="background: rgba({colour}, {strength:.2f})" title="{html.escape(said)}">{ratio:.2f}</td>'


def shown(value: float, unit: str) -> str:
    """Show a value in its benchmark's unit."""
    if unit == "seconds":
        return seconds(value)
    if unit == "bytes":
        power = min(3, int(math.log(max(value, 1), 1000)))
        return f"{value / 1000**power:.3g} {('B', 'kB', 'MB', 'GB')[power]}"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def with_mode(known: Benchmark, key: Key) -> tuple[tuple[str, str], Key]:
    """Return ((engine, mode), the other parameters)."""
    if known.names[1:2] == ["mode"]:
        return (str(key[0]), str(key[1])), key[2:]
    return (str(key[0]), "eager"), key[1:]


def by_work(known: Benchmark, values: dict[Key, float]) -> dict[Key, dict[tuple[str, str], float]]:
    """Return values by what was done, then by who did it."""
    found: dict[Key, dict[tuple[str, str], float]] = {}
    for key, value in values.items():
        who, work = with_mode(known, key)
        found.setdefault(work, {})[who] = value
    return found


def ratio_table(run: Run, known: dict[str, Benchmark], names: Iterable[str], label: Callable[[str, Key], str]) -> str:
    """Return ratios to PyTorch eager: one row for each work, one column for each engine that has any."""
    rows: list[tuple[str, dict[tuple[str, str], float], str]] = []
    for name in names:
        if name not in known or "engine" not in known[name].names:
            continue
        others = known[name].names[2:] if "mode" in known[name].names else known[name].names[1:]
        for work, values in by_work(known[name], run.found(name)).items():
            rows.append((link(name, others, work, label(name, work)), values, known[name].unit))
    who = [key for key in dict.fromkeys([REFERENCE, *TITLES]) if any(key in values for _, values, _ in rows)]
    if not who:
        return ""
    cells = []
    for text, values, unit in rows:
        base = values.get(REFERENCE)
        row = [text]
        for key in who:
            if key not in values:
                row.append('<td class="note">–</td>')
            elif key == REFERENCE or base is None:
                row.append(shown(values[key], unit))
            else:
                row.append(shaded(values[key] / base, shown(values[key], unit)))
        cells.append(row)
    return table(["", *(html.escape(TITLES[key]) for key in who)], cells)


def value_table(run: Run, known: Benchmark) -> str:
    """Return a benchmark's values as they are."""
    values = run.found(known.name)
    if not values:
        return ""
    if not known.names:
        return table(["", "value"], [["all", shown(values[()], known.unit)]])
    rows = by_work(known, values)
    who = list(dict.fromkeys(key for row in rows.values() for key in row))
    who.sort(key=lambda key: list(TITLES).index(key) if key in TITLES else -1)
    cells = [
        [html.escape(", ".join(map(str, work)) or "all"), *(shown(row[key], known.unit) if key in row else "–" for key in who)]
        for work, row in rows.items()
    ]
    return table(["", *(html.escape(title(*key) if key in TITLES else key[0]) for key in who)], cells)


# ---- pictures
def legend(engines: Iterable[str]) -> str:
    keys = (f'<span class="key"><i style="background: {COLOURS[e]}"></i>{html.escape(title(e))}</span>' for e in engines)
    return f"<p>{''.join(keys)}</p>"


def size_plots(values: dict[Key, float]) -> str:
    """Return one picture for each op: seconds by elements, a line for each engine."""
    by_op: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for (engine, op, n), value in values.items():
        by_op.setdefault(str(op), {}).setdefault(str(engine), []).append((int(n), value))
    engines = [e for e in COLOURS if any(e in found for found in by_op.values())]
    pictures = []
    for op, found in by_op.items():
        series = [
            Series(title(e), COLOURS[e], [(float(n), v) for n, v in sorted(found[e])],
                   [f"{title(e)}, {op}, {n:,} elements: {seconds(v)}" for n, v in sorted(found[e])])
            for e in engines if e in found
        ]  # fmt: skip
        pictures.append(lines(op, series, "elements"))
    return legend(engines) + '<div class="plots">\n' + "\n".join(pictures) + "\n</div>" if pictures else ""


def rooflines(values: dict[Key, float]) -> str:
    """Return a picture for each engine: its large ops under the best bandwidth and arithmetic that it has shown."""
    largest = max((int(n) for _, _, n in values), default=0)
    pictures = []
    for engine, colour in COLOURS.items():
        bandwidth = peak = 0.0
        works = []
        for (name, op, n), value in values.items():
            if name != engine or n != largest or op not in kernels.KERNELS:
                continue
            flops, moved = kernels.KERNELS[op].work(largest)
            bandwidth, peak = max(bandwidth, moved / value / 1e9), max(peak, flops / value / 1e9)
            if flops:
                rate = flops / value / 1e9
                said = f"{op}: {plain(flops / moved)} flops a byte, {rate:.3g} GFLOP/s, {moved / value / 1e9:.3g} GB/s"
                works.append(Work(str(op), flops / moved, rate, said))
        if works:
            pictures.append(roofline(title(engine), colour, works, bandwidth, peak))
    return '<div class="plots">\n' + "\n".join(pictures) + "\n</div>" if pictures else ""


def changed(new: Run, old: Run, known: dict[str, Benchmark]) -> str:
    """Return what became slower or faster since the commit before."""
    found = [change for change in changes(new, old, CHANGED) if not change[1] or str(change[1][0]).startswith("wengert")]
    cells = []
    for name, key, before, now in found[:MOST_CHANGES]:
        unit = known[name].unit if name in known else ""
        text = f"{name} ({', '.join(map(str, key))})" if key else name
        target = f'<a href="index.html#{quote(name)}">{html.escape(text)}</a>'
        cells.append([target, shown(before, unit), shown(now, unit), shaded(now / before, f"{now / before:.3f}")])
    if not cells:
        return f"<p>Nothing by more than a factor of {CHANGED}.</p>"
    more = f"<p>And {len(found) - len(cells)} more.</p>" if len(found) > len(cells) else ""
    return table(["benchmark", f"at {old.commit[:8]}", f"at {new.commit[:8]}", "ratio"], cells) + more


# ---- all of it
def day(run: Run) -> str:
    return datetime.datetime.fromtimestamp(run.date / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def section(heading: str, *parts: str) -> str:
    return f"<h2>{html.escape(heading)}</h2>\n" + "\n".join(parts) if any(parts[1:] if len(parts) > 1 else parts) else ""


def of_machine(found: list[Run], known: dict[str, Benchmark]) -> str:
    """Return the sections of one machine, of its newest commit."""
    run = found[0]
    old = next((other for other in found if other.commit != run.commit), None)
    parts = [
        f"<h1>{html.escape(run.machine)}</h1>\n<p>Commit <code>{html.escape(run.commit[:12])}</code> of {day(run)}.</p>"
    ]
    if run.samples and statistics.median(run.samples) < ENOUGH:
        parts.append("<p><strong>Most of these figures were measured once, by <code>--quick</code>: they say that the "
                     "benchmarks run, not how fast anything is.</strong></p>")  # fmt: skip
    for heading, names in RATIOS.items():
        note = "<p>PyTorch's time; everyone else's as a ratio to it. Blue is faster, orange slower. A name leads to asv.</p>"
        parts.append(section(heading, note, ratio_table(run, known, names, lambda name, work: ", ".join(map(str, work)))))
    stages = [name for name in known if name.startswith(STAGES)]
    note = "<p>Single calls, recording, backward, optimizers, small arrays; mostly a thousand of each. Ratios as above.</p>"

    def stage(name: str, work: Key) -> str:
        return " ".join([name.partition(".")[2].replace(".time_", ": ").replace("_", " "), *map(str, work)])

    parts.append(section("Stages of the engine", note, ratio_table(run, known, stages, stage)))
    note = "<p>Nothing recorded, float32; the ops are those of <code>wengert bench</code>.</p>"
    parts.append(section("One op by size", note, size_plots(run.found(BY_SIZE))))
    note = (
        "<p>Each op of a million elements by its arithmetic for each byte that has to move. The roof is the best bandwidth and "
        "the best arithmetic that any of these ops reached there: what lies far below it leaves something to gain.</p>"
    )
    parts.append(section("Rooflines", note, rooflines(run.found(BY_SIZE))))
    for heading, name in OTHERS.items():
        if name in known:
            parts.append(section(heading, value_table(run, known[name])))
    if old is not None:
        note = f"<p>Since <code>{html.escape(old.commit[:12])}</code> of {day(old)}, the commit with results before.</p>"
        parts.append(section("What has changed", note, changed(run, old, known)))
    return "\n".join(part for part in parts if part)


def page(results: Path) -> str:
    """Return the page. Raises ValueError where there are no results."""
    known = benchmarks(results)
    machines = latest(results)
    body = "\n".join(of_machine(found, known) for found in machines.values())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>wengert: devices and peers</title>
<link rel="icon" href="swallow.ico">
<style>{STYLE}</style>
</head>
<body>
<p><a href="index.html">Every benchmark, commit by commit</a> · <a href="index.html#/regressions">what became slower</a></p>
<p class="note">Devices and peers, from asv's results. asv measures each figure in a process of its own, one after the
other: on a busy machine neighbours in a table may have met different moments. <code>python benchmarks/compare.py</code>
measures side by side.</p>
{body}
</body>
</html>
"""


def write(results: Path, folder: Path) -> Path:
    """Write the page into a folder; return its path. Raises ValueError where there are no results."""
    text = page(results)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_text(text, encoding="utf-8")
    return path
