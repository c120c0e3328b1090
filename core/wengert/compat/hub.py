"""`wengert.hub`: models from the internet, which are not loaded: they are programs of others.

Owns: the refusal. Must not know: anything else.
"""

from __future__ import annotations

from typing import Any, NoReturn


def load(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise RuntimeError that says what to do instead."""
    raise RuntimeError(
        "hub: wengert fetches no programs from the internet; fetch the repository yourself, import its model, and load its "
        "weights with wengert.load() or wengert.utils.safetensors"
    )


list = help = load_state_dict_from_url = load_url = download_url_to_file = load
