"""Publish the dashboards: asv's pages, made to work without a network, and our own of devices and peers beside them.

Owns: the command, the files that asv's page loads from elsewhere, their hashes. May import: dashboard; asv by its command.
Must not know: any benchmark. What is downloaded, once, comes from npm's registry, and is used only if its hash is right.

    python benchmarks/publish.py [--html FOLDER] [--offline]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from dashboard.page import write  # noqa: E402

CONFIG = HERE / "asv.conf.json"
KEPT = HERE / ".asv" / "vendor"
TIMEOUT = 60  # seconds


@dataclass(frozen=True)
class Package:
    """A package of npm's registry: its hash as the registry gives it, and what is taken of it."""

    name: str
    version: str
    integrity: str
    files: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"https://registry.npmjs.org/{self.name}/-/{self.name}-{self.version}.tgz"


FLOT = ("jquery.flot.js", "jquery.flot.time.js", "jquery.flot.selection.js", "jquery.flot.categories.js")
PACKAGES = [
    Package(
        "jquery", "3.3.1", "Ubldcmxp5np52/ENotGxlLe6aGMvmF4R8S6tZjsP6Knsaxd/xp3Zrh50cG93lR6nPXyUFwzN3ZSOQI0wRJNdGg==",
        ("dist/jquery.min.js", "LICENSE.txt"),
    ),
    Package(
        "flot", "0.8.3", "xg2otcTJDvS+ERK+my4wxG/ASq90QURXtoM4LhacCq0jQW2jbyjdttbRNqU2cPykrpMvJ6b2uSp6SAgYAzj9tQ==",
        (*FLOT, "LICENSE.txt"),
    ),
    Package(
        "flot-orderbars", "1.0.0", "Jv51fvzevUjNXEeozpwEKfPjhiZhfiJddv0WHjduUTCmSF+7T5K7C9c9Y1wIVmUhDBv5fLMjgbwKecT0GIKPZA==",
        ("js/jquery.flot.orderBars.js",),
    ),
    Package(
        "stupid-table-plugin", "1.1.3",
        "2Vk7XouQPxUQPRe9w0Fu7ZZ8kHLK7rDoLMsCgtKxRNJ7f4dSOGvW9CkHsq5wD6QsaEnWoyLBYH3xOEsrK3yWBg==",
        ("stupidtable.min.js", "LICENSE"),
    ),
    Package(
        "blueimp-md5", "2.19.0", "DRQrD6gJyy8FbiE4s+bDoXS9hiW3Vbx5uCdwvcCf3zLHL+Iv7LtGHLpr+GZV8rHG8tK766FGYBwRbu8pELTt+w==",
        ("js/md5.min.js", "LICENSE.txt"),
    ),
    Package(
        "bootstrap", "3.1.1", "TAzqS8E/ISpVHP29gYhy+1NSV+FJwApDVQhDfgLYsIuUDJiqJzH2DfORN5tiu+Ie2iBLrzEG34t4Rf465cigqg==",
        ("dist/js/bootstrap.min.js", "dist/css/bootstrap.min.css", "LICENSE"),
    ),
]  # fmt: skip
# what asv's page asks for by a name that the package does not have
ALIASES = {"jquery-3.3.1.min.js": "jquery.min.js", **{f"{name[:-3]}.min.js": name for name in FLOT}}
LOADED = re.compile(r"""<(?:script|link)\b[^>]*?\b(?:src|href)=["'](?P<url>https?://[^"']+)["'][^>]*>""")


def stored(package: Package, kept: Path, offline: bool) -> bytes:
    """Return a package's archive, from where it was kept or from the registry. Raises ValueError for a wrong hash."""
    path = kept / f"{package.name}-{package.version}.tgz"
    if path.exists():
        data = path.read_bytes()
    elif offline:
        raise ValueError(f"{path} is not there, and --offline forbids to fetch it from {package.url}")
    else:
        with urllib.request.urlopen(package.url, timeout=TIMEOUT) as answer:
            data = answer.read()
    found = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != package.integrity:
        raise ValueError(f"{package.name} {package.version} has the hash sha512-{found} and not sha512-{package.integrity}")
    if not path.exists():
        kept.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return data


def unpacked(package: Package, data: bytes) -> dict[str, bytes]:
    """Return the wanted files by the name they get; licences by their package's name."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for name in package.files:
            member = archive.extractfile(f"package/{name}")
            if member is None:
                raise ValueError(f"{package.name} {package.version} has no file {name}")
            base = Path(name).name
            found[f"{package.name}.{base}" if base.startswith("LICENSE") else base] = member.read()
    return found


def rewritten(page: str, names: set[str]) -> str:
    """Return asv's page with its scripts and styles taken from `vendor/`. Raises ValueError for one that is not there."""

    def local(tag: re.Match[str]) -> str:
        base = tag["url"].rpartition("/")[2]
        name = ALIASES.get(base, base)
        if name not in names:
            raise ValueError(f"asv's page loads {tag['url']}, which this script does not know: add it to PACKAGES")
        text = tag[0].replace(tag["url"], f"vendor/{name}")
        return re.sub(r"""\s+(?:integrity|crossorigin|referrerpolicy)=["'][^"']*["']""", "", text)

    return LOADED.sub(local, page)


def vendor(html: Path, kept: Path = KEPT, offline: bool = False) -> None:
    """Put what asv's page loads beside it, and let it load that. Raises ValueError, and then changes nothing."""
    files: dict[str, bytes] = {}
    for package in PACKAGES:
        files.update(unpacked(package, stored(package, kept, offline)))
    index = html / "index.html"
    page = rewritten(index.read_text(encoding="utf-8"), set(files))
    folder = html / "vendor"
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    index.write_text(page, encoding="utf-8")


def prune(html: Path) -> None:
    """Take what was never run from asv's list: its page would ask for a graph that is not there, and show an empty frame."""
    path = html / "index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    known = index["benchmarks"]
    index["benchmarks"] = {name: known[name] for name in known if (html / "graphs" / "summary" / f"{name}.json").exists()}
    path.write_text(json.dumps(index), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Publish everything; return the exit status, 1 where something is missing."""
    parser = argparse.ArgumentParser(prog="publish.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--config", type=Path, default=CONFIG, metavar="FILE", help="asv's settings (default: %(default)s)")
    add("--html", type=Path, metavar="FOLDER", help="where to (default: the settings' html_dir)")
    add("--offline", action="store_true", help="fetch nothing: what asv's page needs was fetched before")
    options = parser.parse_args(arguments)
    try:
        config = options.config.resolve()
        settings = json.loads(config.read_text(encoding="utf-8"))
        html = (options.html or config.parent / settings["html_dir"]).resolve()
        command = [sys.executable, "-m", "asv", "publish", "--config", str(config), "--no-pull", "--html-dir", str(html)]
        if subprocess.run(command, cwd=config.parent).returncode:
            raise ValueError("asv publish failed; `asv run` makes the results that it needs")
        vendor(html, offline=options.offline)
        prune(html)
        page = write(config.parent / settings["results_dir"], html)
    except (OSError, ValueError) as error:
        print(f"publish.py: {error}", file=sys.stderr)
        return 1
    print(f"asv's pages: {html / 'index.html'}\ndevices and peers: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
