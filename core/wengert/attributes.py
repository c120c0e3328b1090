"""The attributes that a program puts on tensors: what `x.__dict__` shows of all that a tensor has.

Owns: `Whole`, whose objects have all, `Held`, whose objects show a part, `hide`, `Attributes`, that part. Must not know:
tensors. Programs copy attributes from one tensor to another (`y.__dict__ = x.__dict__.copy()`), and not the memory.
"""

from __future__ import annotations

from typing import Any


class Whole:
    """An object with attributes."""


whole = vars(Whole)["__dict__"]  # the descriptor of all that an object has


class Held(Whole):
    """An object some of whose attributes are nobody else's: those named in `_inside` are not in its `__dict__`."""

    _inside: frozenset[str] = frozenset()

    @property
    def __dict__(self) -> dict[str, Any]:
        return Attributes(whole.__get__(self), self._inside)

    @__dict__.setter
    def __dict__(self, new: dict[str, Any]) -> None:
        new = {**new}
        shown = Attributes(whole.__get__(self), self._inside)
        shown.clear()
        shown.update(new)


def hide(cls: type) -> None:
    """Let a class whose first bases are others than `Held` show the same part: theirs would show all."""
    if next(c for c in cls.__mro__ if "__dict__" in vars(c)) in (Held, cls):
        return
    cls.__bases__ = (type("Shown", (), {"__dict__": vars(Held)["__dict__"]}), *cls.__bases__)


class Attributes(dict[str, Any]):
    """Attributes by name, beside those inside; what is written here is written to the object. Copies are plain dicts."""

    def __init__(self, held: dict[str, Any], inside: frozenset[str]) -> None:
        super().__init__({name: value for name, value in held.items() if name not in inside})
        self.held = held

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self.held[name] = value

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        del self.held[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set the attributes of a mapping, or of pairs."""
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other: Any) -> Attributes:  # type: ignore[override,misc]
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return an attribute, set to the default where there is none."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        """Take an attribute away and return it."""
        found = super().pop(name, *default)
        self.held.pop(name, None)
        return found

    def popitem(self) -> tuple[str, Any]:
        """Take the last attribute away and return it with its name."""
        name, value = super().popitem()
        del self.held[name]
        return name, value

    def clear(self) -> None:
        """Take all away."""
        for name in [*self]:
            del self[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
