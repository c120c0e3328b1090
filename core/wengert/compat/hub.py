"""`wengert.hub`: weights from the internet, and models, which are not loaded: they are programs of others.

Owns: where downloads lie, the downloading of weights, the refusal of programs. May import: serialization, late.
Must not know: what the weights are of.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlparse

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # in resnet18-bf5a0894.pth: the beginning of the file's SHA-256
_dir: str | None = None


def load(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise RuntimeError that says what to do instead."""
    raise RuntimeError(
        "hub: wengert fetches no programs from the internet; fetch the repository yourself, import its model, and load its "
        "weights with wengert.load() or wengert.utils.safetensors"
    )


list = help = load


def _get_torch_home() -> str:
    """Return the folder of PyTorch's downloads: $TORCH_HOME, or `torch` below $XDG_CACHE_HOME or ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """Return the folder of the hub's downloads."""
    return _dir or os.path.join(_get_torch_home(), "hub")


def set_dir(d: Any) -> None:
    """Set the folder of the hub's downloads."""
    global _dir
    _dir = os.path.expanduser(d)


def download_url_to_file(url: str, dst: Any, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Write what is at an address to a file, which is there whole or not at all.

    Raises RuntimeError where its SHA-256 does not begin with hash_prefix.
    """
    from urllib.request import Request, urlopen

    target = Path(dst).expanduser()
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        with urlopen(Request(url, headers={"User-Agent": "wengert.hub"})) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file)
        found = hashlib.sha256(part.read_bytes()).hexdigest()
        if hash_prefix and not found.startswith(hash_prefix):
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{found}")')
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def load_state_dict_from_url(
    url: str, model_dir: Any = None, map_location: Any = None, progress: bool = True, check_hash: bool = False,
    file_name: str | None = None, weights_only: bool = True,
) -> Any:  # fmt: skip
    """Return `wengert.load` of the file at an address, which is kept in `get_dir()/checkpoints` for the next time.

    check_hash: the name says how the file's SHA-256 begins, as in name-0123abcd.pth.
    """
    from wengert.serialization import load as load_file

    folder = Path(model_dir or os.path.join(get_dir(), "checkpoints"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (file_name or os.path.basename(urlparse(url).path))
    if not path.exists():
        if progress:
            print(f'Downloading: "{url}" to {path}', file=sys.stderr)
        match = HASH_REGEX.search(path.name) if check_hash else None
        download_url_to_file(url, path, match[1] if match else None)
    return load_file(path, map_location=map_location, weights_only=weights_only)


load_url = load_state_dict_from_url


def __getattr__(name: str) -> Any:
    if name != "tqdm":
        raise AttributeError(f"module 'wengert.hub' has no attribute {name!r}")
    try:
        return importlib.import_module("tqdm").tqdm  # that of tqdm.auto iterates twice
    except ImportError as error:
        raise AttributeError("hub.tqdm: the package tqdm is not installed; pip install tqdm") from error
