"""The command `wengert`: what is installed, what works and why something does not, and a demonstration.

Owns: the command line and its tables. May import: plugins, registry, backend; the demo late. Must not know: any
device or plugin by name. Listing never fails: what went wrong is what it is asked to show.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import warnings
from collections.abc import Sequence

from wengert import __version__, backend, plugins
from wengert.backend import DeviceInfo
from wengert.registry import registry


def device_infos() -> list[DeviceInfo]:
    """Return one line a device; of a backend that fails, what it failed with."""
    found: list[DeviceInfo] = []
    for name in registry.names("devices"):
        try:
            infos = [
                DeviceInfo(str(info.name), bool(info.available), one_line(info.description))
                for info in backend.backend_named(name).devices()
            ]
            found += infos or [DeviceInfo(name, False, "its backend lists no device")]
        except Exception as error:
            reason = error.__cause__ or error  # what its module raised, where it does not import
            found.append(DeviceInfo(name, False, one_line(f"{type(reason).__name__}: {reason}")))
    return found


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


def show_plugins() -> None:
    """Print each plugin: where it comes from, what became of it, and why."""
    rows = []
    for plugin in sorted(plugins.loaded.values(), key=lambda p: p.name):
        version = plugin.version or (__version__ if plugin.distribution == "wengert" else "")
        reason = one_line(f"{plugin.stage}: {plugin.reason}" if plugin.stage else plugin.reason)
        rows.append((plugin.name, plugin.distribution, version, plugin.status, reason))
    table("plugins", ("name", "distribution", "version", "status", "reason"), rows)


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


LISTINGS = {"doctor": show_all, "devices": show_devices, "plugins": show_plugins}


def listing(command: str) -> int:
    """Print a listing. Plugins that fail are shown in it: they are neither warned about as well, nor end it."""
    os.environ.pop("WENGERT_STRICT_PLUGINS", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", plugins.PluginWarning)
        plugins.load_all()
    LISTINGS[command]()
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
    commands.add_parser("plugins", help="the plugins, and why one was left out")
    show = commands.add_parser("demo", help="solve two equations and fit a line, and draw how it went")
    show.add_argument("--out", default="wengert-demo.svg", metavar="FILE", help=".svg or .png (%(default)s)")
    show.add_argument("--device", metavar="NAME", help="where to compute, as `wengert devices` names it")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        if chosen.command == "demo":
            status = demo(chosen.out, chosen.device)
        else:
            status = listing(chosen.command or "doctor")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
