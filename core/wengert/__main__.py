"""The command `wengert`: what is installed, what works and why something does not, and a demonstration.

Owns: the command line and its tables. May import: plugins, registry, backend; the demo and bench late. Must not know: any
device or plugin by name. Listing never fails: what went wrong is what it is asked to show.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from wengert import Tensor, __version__, backend, faces, plugins
from wengert.backend import DeviceInfo
from wengert.op import OPS
from wengert.registry import registry


def device_infos() -> list[DeviceInfo]:
    """Return one line a device; of a backend that fails, what it failed with."""
    return [info for name in registry.names("devices") for info in backend.infos(name)]


def one_line(text: object) -> str:
    return " ".join(str(text).split())


def show_devices() -> None:
    """Print each device, whether it can be used, and what it is or why it cannot."""
    default = problem = ""
    try:
        default = str(backend.get_default_device())
    except RuntimeError as error:
        problem = str(error)
    rows = []
    for info in device_infos():
        mark = " (default)" if info.name in (default, f"{default}:0") else ""
        rows.append((info.name, "ready" if info.available else "unavailable", info.description + mark))
    table("devices", ("name", "status", "description"), rows)
    if problem:
        print(f"\nno default device: {problem}")


SLOW = 0.5  # seconds to load from which a plugin is told to be slow


def listed_plugins() -> list[plugins.Plugin]:
    """Return what became of each plugin, by name."""
    found = sorted(plugins.loaded.values(), key=lambda p: p.name)
    return [replace(p, version=p.version or (__version__ if p.distribution == "wengert" else "")) for p in found]


def show_plugins() -> None:
    """Print each plugin: where it comes from, what became of it, and why."""
    rows = []
    for plugin in listed_plugins():
        reason = one_line(f"{plugin.stage}: {plugin.reason}" if plugin.stage else plugin.reason)
        if not reason and plugin.seconds >= SLOW:
            reason = f"took {plugin.seconds:.1f} s to load; its module should import nothing heavy"
        rows.append((plugin.name, plugin.distribution, plugin.version, plugin.status, reason))
    table("plugins", ("name", "distribution", "version", "status", "reason"), rows)


def show_plugins_as_json() -> None:
    """Print the same for programs: a list of objects with everything that is known of each plugin."""
    found = [asdict(replace(plugin, error=None)) for plugin in listed_plugins()]
    for plugin in found:
        del plugin["error"]  # an object; `reason` has its words
    print(json.dumps(found, indent=2))


def show_ops(missing: str | None) -> None:
    """Print the public functions by who brings them; or the ops that have no kernel on a device, so that they raise there."""
    if missing is None:
        rows = [(name, entry.plugin) for name, entry in sorted(registry.tables["ops"].items())]
        rows += [(name, "(core)") for name in sorted(faces.FUNCTIONS) if name not in registry.tables["ops"]]
        table("ops", ("name", "plugin"), sorted(rows))
        return
    for name in registry.names("cases"):  # with its rows a family's records are loaded
        registry.resolve("cases", name)
    lacking = backend.without_kernel(missing)
    table(f"ops without a kernel on {missing}, of {len(OPS)}", ("op", "function"), [(op.name, op.face) for op in lacking])


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns below a title; a row may be empty on the right."""
    lines = [tuple(head), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    print(f"{title} ({len(rows)})")
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show_all() -> None:
    """Print the version, the devices and the plugins."""
    import numpy

    print(f"wengert {__version__}, Python {platform.python_version()}, NumPy {numpy.__version__}, "
          f"{platform.system()} {platform.machine()}\n")  # fmt: skip
    show_devices()
    print()
    show_plugins()


LISTINGS: dict[str, Callable[[argparse.Namespace], None]] = {
    "doctor": lambda chosen: show_all(), "devices": lambda chosen: show_devices(),
    "plugins": lambda chosen: show_plugins_as_json() if chosen.json else show_plugins(),
    "ops": lambda chosen: show_ops(chosen.missing),
}  # fmt: skip


def listing(chosen: argparse.Namespace) -> int:
    """Print a listing. Plugins that fail are shown in it: they are neither warned about as well, nor end it."""
    os.environ.pop("WENGERT_STRICT_PLUGINS", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", plugins.PluginWarning)
        plugins.load_all()
    try:
        LISTINGS[chosen.command or "doctor"](chosen)
    except RuntimeError as error:  # an unknown device, or one that is not here
        print(f"wengert {chosen.command}: {error}", file=sys.stderr)
        return 2
    return 0


def taken(name: str, kind: str) -> str:
    """Return whose a name is that a new plugin would register, "" for nobody's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", plugins.PluginWarning)
        plugins.load_all()
    if name in plugins.loaded:
        return f"the name of a plugin of {plugins.loaded[name].distribution}"
    entry = registry.tables[f"{kind}s"].get(name)
    if entry is not None:
        return f"registered by the plugin {entry.plugin!r}"
    return "built in" if kind == "op" and (name in faces.FUNCTIONS or hasattr(Tensor, name)) else ""


def new_plugin(name: str, kind: str, into: str) -> int:
    """Write a package; a bad argument is told without a traceback."""
    from wengert import scaffold

    try:
        if owner := taken(scaffold.shown_as(name, kind), kind):
            raise ValueError(f"the {kind} {scaffold.shown_as(name, kind)!r} is {owner}; take another name, such as 'my-{name}'")
        folder = scaffold.write(name, kind, Path(into))
    except FileExistsError as error:
        print(f"wengert new-plugin: there is {error.filename!r} already, which stays as it is", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"wengert new-plugin: {error}", file=sys.stderr)
        return 2
    print(f"{folder} is a package that passes its own tests. Next:\n  cd {folder} && pip install -e '.[test]' && pytest")
    return 0


def demo(out: str, device: str | None) -> int:
    """Run the demonstration; a bad argument is told without a traceback."""
    from wengert import demo as demonstration

    try:
        path, place = demonstration.check(out, device)
    except ValueError as error:
        print(f"wengert demo: {error}", file=sys.stderr)
        return 2
    return demonstration.run(path, place)


def bench(chosen: argparse.Namespace) -> int:
    """Measure the devices."""
    from wengert.bench import command

    return command.run(chosen, device_infos())


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="wengert",
        description="PyTorch's autograd interface on any array device. Without a command: what is installed here.",
    )
    top.add_argument("--version", action="version", version=f"wengert {__version__}")
    commands = top.add_subparsers(dest="command", metavar="command")
    commands.add_parser("doctor", help="version, devices and plugins (what `wengert` alone prints)")
    commands.add_parser("devices", help="the devices, and why one cannot be used")
    show = commands.add_parser("plugins", help="the plugins, and why one was left out")
    show.add_argument("--json", action="store_true", help="everything that is known of them, for programs")
    show = commands.add_parser("ops", help="the functions, and which plugin brings them")
    show.add_argument("--missing", metavar="DEVICE", help="instead, the ops that have no kernel on a device")
    show = commands.add_parser("new-plugin", help="write a package that adds a device, an op or an optimizer")
    show.add_argument("name", metavar="NAME", help="small letters, digits and '-': the package is wengert-NAME")
    show.add_argument("--kind", choices=("device", "op", "optimizer"), default="op", help="what it adds (%(default)s)")
    show.add_argument("--into", default=".", metavar="FOLDER", help="where its folder is made (%(default)s)")
    show = commands.add_parser("demo", help="solve two equations and fit a line, and draw how it went")
    show.add_argument("--out", default="wengert-demo.svg", metavar="FILE", help=".svg or .png (%(default)s)")
    show.add_argument("--device", metavar="NAME", help="where to compute, as `wengert devices` names it")
    from wengert.bench import command

    command.options(commands.add_parser("bench", help="how fast the devices are, op by op"))
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        if chosen.command == "demo":
            status = demo(chosen.out, chosen.device)
        elif chosen.command == "new-plugin":
            status = new_plugin(chosen.name, chosen.kind, chosen.into)
        elif chosen.command == "bench":
            status = bench(chosen)
        else:
            status = listing(chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
