"""What a report of a fault should say: `python -m wengert.utils.collect_env`.

Owns: the versions and devices that are listed. May import: `wengert` late. Must not know: any device.
"""

from __future__ import annotations

import importlib
import platform
import sys
from typing import NamedTuple

PACKAGES = ("numpy", "scipy", "pyopencl", "cupy", "ml_dtypes")


class SystemEnv(NamedTuple):
    """What was found: versions, and the devices with the reason why one cannot be used."""

    wengert_version: str
    python_version: str
    python_platform: str
    os: str
    packages: list[str]
    devices: list[str]


def get_env_info() -> SystemEnv:
    """Return the versions of what is installed, and the devices."""
    import wengert
    from wengert.__main__ import device_infos

    packages = []
    for name in PACKAGES:
        try:
            packages.append(f"{name}=={importlib.import_module(name).__version__}")
        except Exception:
            packages.append(f"{name}: not installed")
    devices = [f"{d.name}: {d.description}{'' if d.available else ' (unavailable)'}" for d in device_infos()]
    system = f"{platform.system()} {platform.release()}"
    return SystemEnv(wengert.__version__, sys.version.split("\n")[0], platform.platform(), system, packages, devices)


def pretty_str(envinfo: SystemEnv) -> str:
    """Return what was found as lines."""
    lists = [f"{what}:\n" + "\n".join(f"  {line}" for line in lines)
             for what, lines in (("Packages", envinfo.packages), ("Devices", envinfo.devices))]  # fmt: skip
    return "\n".join([
        f"wengert version: {envinfo.wengert_version}", f"OS: {envinfo.os}", f"Python version: {envinfo.python_version}",
        f"Python platform: {envinfo.python_platform}", *lists,
    ])  # fmt: skip


def get_pretty_env_info() -> str:
    """Return the versions of what is installed and the devices, as lines."""
    return pretty_str(get_env_info())


def main() -> None:
    """Print them."""
    print("Collecting environment information...")
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
