"""Operations by a schema: `Library`, `define` and `impl` of PyTorch's module `library`, which shows them.

Owns: the reading of a schema, and what a defined operation does with the functions it is given: one for a device, one for all,
one above the tape. May import: library, tensor, modes. Must not know: any op, any device.
A function is called with tensors as they are, and the tape sees what it does to them. An operation becomes a record, as a
`custom_op` is one, where it is given a backward, a rule for batches, or a fake (which is asked for in a capture).
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

from wengert import library
from wengert._tensor import Tensor
from wengert.modes import state

__all__ = ["Definition", "Library", "define", "impl", "scoped"]

TYPES: dict[str, Any] = {
    "Tensor": Tensor, "Tensor?": Tensor | None, "Tensor[]": list[Tensor], "Tensor?[]": list[Tensor | None],
    **dict.fromkeys(
        ("int", "float", "bool", "str", "Scalar", "SymInt", "complex", "number", "Device", "ScalarType", "Layout",
         "MemoryFormat", "Generator", "Any"), object,
    ),
}  # fmt: skip
ABOVE = ("Autograd", "AutogradCPU", "AutogradCUDA")
EVERYWHERE = ("default", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional")
COMPOSITE = ("", "CompositeImplicitAutograd")
DEVICE = re.compile(r"[a-z]\w*|CPU|CUDA|XPU|MPS|OpenCL")
BUILT_IN = ("aten", "prim", "prims")


# ---- schemas
def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no brackets and no text."""
    return [p.strip() for p in re.findall(r"""(?:\([^)]*\)|\[[^]]*\]|'[^']*'|"[^"]*"|[^,])+""", text) if p.strip()]


def _type(schema: str, text: str) -> Any:
    """Return the annotation that a type of a schema means."""
    bare = re.sub(r"\[\d+\]", "[]", re.sub(r"\([^)]*\)", "", text))
    hint = TYPES.get(bare, TYPES.get(re.sub(r"[\[\]?]", "", bare)))
    if hint is None:
        raise RuntimeError(f"schema {schema!r}: unknown type {text!r}; there are {', '.join(TYPES)}, and [] and ? of these")
    return hint if bare in TYPES or hint is object else list[Tensor | None]


def read(schema: str) -> tuple[str, inspect.Signature, tuple[str, ...]]:
    """Return name, signature and the parameters written to. Raises RuntimeError for what is no schema."""
    found = re.fullmatch(r"\s*([\w.]+)\s*\((.*)\)\s*->\s*(.+?)\s*", schema, re.S)
    if found is None:
        raise RuntimeError(f"schema {schema!r}: expected 'name(Tensor x, int n=1, *, float s=1.0) -> Tensor'")
    name, arguments, results = found.groups()
    parameters: list[inspect.Parameter] = []
    mutated: list[str] = []
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    for part in _parts(arguments):
        if part == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
            continue
        said = re.fullmatch(r"(\w+(?:\([^)]*\))?[\[\]\d?]*)\s+([A-Za-z_]\w*)(?:\s*=\s*(.+))?", part)
        if said is None:
            raise RuntimeError(f"schema {schema!r}: expected 'type name' or 'type name=default', but found {part!r}")
        try:
            default = inspect.Parameter.empty if said[3] is None else ast.literal_eval(said[3])
        except (ValueError, SyntaxError):
            raise RuntimeError(f"schema {schema!r}: the default of {said[2]!r} is no number, text, list or None") from None
        parameters.append(inspect.Parameter(said[2], kind, default=default, annotation=_type(schema, said[1])))
        if "!" in said[1]:
            mutated.append(said[2])
    several = results.startswith("(") and results.endswith(")")
    made = tuple(_type(schema, p.split()[0]) for p in _parts(results[1:-1] if several else results))
    returned: Any = (tuple.__class_getitem__(made) if several else made[0]) if made else None
    try:
        return name, inspect.Signature(parameters, return_annotation=returned), tuple(mutated)
    except ValueError as error:
        raise RuntimeError(f"schema {schema!r}: {error}") from None


# ---- operations
class Definition:
    """An operation that has a schema, and functions by where they are for; called as the schema says. One that is only the
    name of its overloads has neither."""

    def __init__(self, name: str) -> None:
        self.name, self.schema = name, ""
        self.signature: inspect.Signature | None = None
        self.mutated: tuple[str, ...] = ()
        self.functions: dict[str, Callable[..., Any]] = {}  # by device, "*" for all, "" for a composite, "Autograd"
        self.fake: Callable[..., Any] | None = None
        self._custom: library.CustomOp | None = None
        self._within = threading.local()

    def __repr__(self) -> str:
        return f"<op {self.schema or self.name}>"

    @property
    def default(self) -> Definition:
        """The op itself: PyTorch's `torch.ops.namespace.name.default`."""
        return self

    def __getattr__(self, name: str) -> Any:
        found = library.defined.get(f"{self.name}.{name}") if not name.startswith("_") else None
        if found is None:
            raise AttributeError(f"{self.name} has no overload {name!r}")
        return found

    def define(self, schema: str, signature: inspect.Signature, mutated: tuple[str, ...]) -> None:
        """Take a schema; one taken before goes, with what was made of it."""
        self.schema, self.signature, self.mutated, self._custom = schema, signature, mutated, None

    def impl(self, key: str, fn: Callable[..., Any]) -> None:
        """Take a function for a dispatch key, or for a type of device."""
        if not callable(fn):
            raise TypeError(f"{self.name}: an implementation is a function, not {fn!r}")
        if key == "Meta":
            self.register_fake(fn)
        elif key in ABOVE:
            self.functions["Autograd"] = fn
        elif key in EVERYWHERE or key in COMPOSITE:
            self.functions["*" if key in EVERYWHERE else ""] = fn
        elif DEVICE.fullmatch(key):
            self.functions[key.lower()] = fn
        else:
            known = ", ".join((*ABOVE, *EVERYWHERE[1:], COMPOSITE[1], "Meta", "CPU", "CUDA"))
            raise RuntimeError(f"could not parse dispatch key {key!r}: there are {known}, and the names of devices")

    def register_fake(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Say what shape and type the results have, by a function that makes them of any values; returns it."""
        self.fake = fn
        if self._custom is not None:
            self._custom.fake = fn
        return fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.signature is None:
            return self._overload(args, kwargs)(*args, **kwargs)
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        above = self.functions.get("Autograd")
        if above is not None and not getattr(self._within, "active", False):
            self._within.active = True  # what this calls by the op's name is what lies below it
            try:
                return above(*bound.args, **bound.kwargs)
            finally:
                self._within.active = False
        captured = state.recorder is not None and self.fake is not None and "" not in self.functions
        if self._custom is not None or captured:
            return self.custom(*bound.args, **bound.kwargs)
        return self._run(*bound.args, **bound.kwargs)

    def _bound(self) -> inspect.Signature:
        if self.signature is None:
            raise RuntimeError(f"{self.name} was given functions, but no schema: define() it first")
        return self.signature

    def _overload(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Definition:
        """Return the first overload that takes these arguments, tensors where it has tensors."""
        known = [op for name, op in library.defined.items() if name.startswith(f"{self.name}.") and op.schema]
        for op in known:
            with contextlib.suppress(TypeError):
                given = op.signature.bind(*args, **kwargs).arguments
                if all((op.signature.parameters[n].annotation is Tensor) == isinstance(v, Tensor) for n, v in given.items()):
                    return op  # type: ignore[no-any-return]
        raise RuntimeError(f"{self.name}: no schema takes these arguments; there are {[op.schema for op in known]}")

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function for the device of the tensors."""
        device = next((v.device.type for v in (*args, *kwargs.values()) if isinstance(v, Tensor)), "cpu")
        if device == "meta" and self.fake is not None:
            return self.fake(*args, **kwargs)
        for key in (device, "*", ""):
            if key in self.functions:
                return self.functions[key](*args, **kwargs)
        given = ", ".join(repr(k) for k in self.functions) or "none"
        raise NotImplementedError(f"Could not run '{self.name}' on device {device!r}: it has functions for {given}; impl() one")

    @property
    def custom(self) -> library.CustomOp:
        """The operation as a record."""
        if self._custom is None:
            signature = self._bound()

            def run(*args: Any, **kwargs: Any) -> Any:
                return self._run(*args, **kwargs)

            run.__name__ = run.__qualname__ = self.name.rpartition("::")[2].replace(".", "_")
            run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
            run.__annotations__["return"] = signature.return_annotation
            run.__dict__["__signature__"] = signature
            self._custom = library.custom_op(self.name.replace(".", "_"), run, mutates_args=self.mutated)
            self._custom.fake = self.fake
        return self._custom


def _definition(name: str) -> Definition:
    """Return the definition of a name, a new one if there is none yet: functions may come before the schema."""
    if re.fullmatch(r"\w+::\w+(\.\w+)?", name) is None:
        raise ValueError(f"expected a name of the form 'namespace::name', but got {name!r}")
    if name.partition("::")[0] in BUILT_IN:
        raise NotImplementedError(f"{name}: operations of PyTorch's own cannot be replaced; define() one in another namespace")
    return library.defined.setdefault(name, Definition(name))  # type: ignore[no-any-return]


def _tagged(name: str, schema: str) -> str:
    bare, signature, mutated = read(schema)
    _definition(f"{name}::{bare}").define(schema.strip(), signature, mutated)
    _definition(f"{name}::{bare.partition('.')[0]}")  # what has the overloads
    return bare.partition(".")[0]


# ---- PyTorch's names
class Library:
    """Operations of a namespace: `Library("ns", "DEF")` defines them, "FRAGMENT" more of them, "IMPL" gives functions."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("DEF", "IMPL", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind!r}; there are 'DEF', 'FRAGMENT' and 'IMPL'")
        if ns in BUILT_IN and kind == "DEF":
            raise ValueError(f"{ns} is a namespace of PyTorch's own")
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key
        self.names: set[str] = set()

    def __repr__(self) -> str:
        return f"Library(kind={self.kind}, ns={self.ns}, dispatch_key={self.dispatch_key})"

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Define an operation, by 'name(Tensor x, float s=1.0) -> Tensor'; returns its name. alias_analysis, tags: accepted."""
        self.names.add(f"{self.ns}::{read(schema)[0]}")
        return _tagged(self.ns, schema)

    def impl(self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", *, with_keyset: bool = False) -> None:
        """Give an operation a function for a dispatch key; without one for every device, differentiated through."""
        if with_keyset:
            raise NotImplementedError("with_keyset: there are no sets of dispatch keys to give to the function")
        name = op_name if isinstance(op_name, str) else op_name.name
        _give(name if "::" in name else f"{self.ns}::{name}", dispatch_key or self.dispatch_key, fn)

    def _register_fake(self, op_name: str, fn: Callable[..., Any], *_: Any, **__: Any) -> None:
        library.register_fake(f"{self.ns}::{op_name}", fn)

    def _destroy(self) -> None:
        """Forget what was defined here."""
        for name in self.names:
            library.defined.pop(name, None)
        self.names.clear()


def _give(name: str, key: str, fn: Callable[..., Any]) -> None:
    made = library.defined.get(name) or library._owner(name.replace("::", "_"))
    if isinstance(made, library.CustomOp):  # of a custom_op
        made.register_kernel("*" if key in (*EVERYWHERE, *COMPOSITE) else key.lower(), fn)
    else:
        _definition(name).impl(key, fn)


def define(qualname: Any, schema: str, *, lib: Library | None = None, tags: Any = ()) -> Any:
    """Define an operation: `define("ns::name", "(Tensor x) -> Tensor")`; (lib, schema) decorates its function."""
    if isinstance(qualname, Library):

        def wrap(fn: Callable[..., Any]) -> Callable[..., Any]:
            qualname.impl(qualname.define(schema), fn)
            return fn

        return wrap
    namespace, _, name = qualname.partition("::")
    if not name:
        raise ValueError(f"expected a name of the form 'namespace::name', but got {qualname!r}")
    _tagged(namespace, name + schema)
    return None


def impl(qualname: Any, types: Any, func: Any = None, *, lib: Library | None = None) -> Any:
    """Give an operation a function for types of devices or dispatch keys; a decorator without one. (lib, name, key) too."""
    if isinstance(qualname, Library):
        name, key = f"{qualname.ns}::{types}", func or qualname.dispatch_key
        keys = [key]
        func = None
    else:
        name, keys = str(qualname), [types] if isinstance(types, str) else list(types)
    if func is None:

        def wrap(fn: Callable[..., Any]) -> Callable[..., Any]:
            for key in keys:
                _give(name, key, fn)
            return fn

        return wrap
    for key in keys:
        _give(name, key, func)
    return None


@contextlib.contextmanager
def scoped(*args: Any) -> Iterator[Library]:
    """Make a Library that forgets what it defined at the end."""
    made = Library(*args)
    try:
        yield made
    finally:
        made._destroy()
