"""`torch.utils._pytree`: functions over nested containers, which programs take from there although its name is private.

Owns: the functions, and the table of containers. May import: the standard library. Must not know: tensors.
A leaf is what is no list, tuple, named tuple, dict, OrderedDict, defaultdict, deque or registered type; None is one.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

PyTree = Context = Any
Flatten = Callable[[Any], tuple[Iterable[Any], Any]]  # container -> (children, context)
Unflatten = Callable[[Iterable[Any], Any], Any]  # (children, context) -> container


class NodeDef(NamedTuple):
    """How a container comes apart, and together again."""

    flatten_fn: Flatten
    unflatten_fn: Unflatten


_PLAIN: dict[Any, tuple[Flatten, Unflatten]] = {
    list: (lambda x: (x, None), lambda children, _: list(children)),
    tuple: (lambda x: (x, None), lambda children, _: tuple(children)),
    dict: (lambda x: (x.values(), list(x)), lambda children, keys: dict(zip(keys, children, strict=True))),
    OrderedDict: (lambda x: (x.values(), list(x)), lambda children, keys: OrderedDict(zip(keys, children, strict=True))),
    defaultdict: (
        lambda x: (x.values(), (x.default_factory, list(x))),
        lambda children, context: defaultdict(context[0], zip(context[1], children, strict=True)),
    ),
    deque: (lambda x: (x, x.maxlen), lambda children, maxlen: deque(children, maxlen)),
    namedtuple: (lambda x: (x, type(x)), lambda children, kind: kind(*children)),
}
SUPPORTED_NODES = {kind: NodeDef(*functions) for kind, functions in _PLAIN.items()}


_STEPS: dict[Any, Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]]] = {}  # ((step, child), ...), context
_MAPPINGS = (dict, OrderedDict, defaultdict)


def register_pytree_node(
    cls: type, flatten_fn: Flatten, unflatten_fn: Unflatten, *, flatten_with_keys_fn: Any = None, **names: Any
) -> None:
    """Enter a type: flatten_fn(x) gives (children, context), unflatten_fn(children, context) the container again,
    flatten_with_keys_fn(x) what flatten_fn does with each child as (step, child). Raises ValueError for a known type."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn)
    if flatten_with_keys_fn is not None:
        _STEPS[cls] = flatten_with_keys_fn


_register_pytree_node = register_pytree_node


def _get_node_type(tree: Any) -> Any:
    """Return what a container is entered by: its type, of named tuples `namedtuple`."""
    named = type(tree) not in SUPPORTED_NODES and isinstance(tree, tuple) and hasattr(tree, "_fields")
    return namedtuple if named else type(tree)


def tree_is_leaf(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Say whether an object is no container, or is_leaf holds for it."""
    return _get_node_type(tree) not in SUPPORTED_NODES or (is_leaf is not None and is_leaf(tree))


def is_structseq_instance(obj: Any) -> bool:
    """Say whether an object is of the types that C code makes like named tuples: none are made here."""
    return False


@dataclass(frozen=True, repr=False)
class TreeSpec:
    """The structure of a tree: its container and that of each child, without its leaves."""

    type: Any  # None: a leaf
    context: Any
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        """How many leaves the tree has."""
        return 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)

    def is_leaf(self) -> bool:
        """Say whether the tree is one leaf."""
        return self.type is None

    @property
    def num_nodes(self) -> int:
        """How many leaves and containers the tree has."""
        return 1 + sum(child.num_nodes for child in self.children_specs)

    @property
    def num_children(self) -> int:
        """How many children the outermost container has."""
        return len(self.children_specs)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """Return the tree of these leaves."""
        return tree_unflatten(leaves, self)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """Return what another tree has at the places of the leaves. Raises ValueError where its containers are others."""
        if self.type is None:
            return [tree]
        kind = _get_node_type(tree)
        if kind is not self.type and not (kind in _MAPPINGS and self.type in _MAPPINGS):
            raise ValueError(f"the trees are of different structures: {self} has no {type(tree).__name__} where it is a node")
        if self.type in _MAPPINGS:
            keys = self.context[1] if self.type is defaultdict else self.context
            if set(keys) != set(tree):
                raise ValueError(f"the trees are of different structures: the keys of {self} are not {list(tree)}")
            children: Any = [tree[key] for key in keys]
        else:
            children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
            children = list(children)
            if len(children) != len(self.children_specs) or (context != self.context and self.type is not deque):
                raise ValueError(f"the trees are of different structures: {self}, and {len(children)} children of {context}")
        return [x for child, spec in zip(children, self.children_specs, strict=True) for x in spec.flatten_up_to(child)]

    def __repr__(self) -> str:
        inner = ",\n".join([repr(child) for child in self.children_specs]).replace("\n", "\n  ")
        return f"TreeSpec({getattr(self.type, '__name__', self.type)}, {self.context}, [{inner}])"


@dataclass(frozen=True)
class MappingKey:
    """A step into a mapping."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, container: Any) -> Any:
        """Return what this step leads to."""
        return container[self.key]


@dataclass(frozen=True)
class SequenceKey:
    """A step into a sequence."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, container: Any) -> Any:
        """Return what this step leads to."""
        return container[self.idx]


@dataclass(frozen=True)
class GetAttrKey:
    """A step to an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, container: Any) -> Any:
        """Return what this step leads to."""
        return getattr(container, self.name)


KeyPath = tuple[Any, ...]


def _dict_flatten(d: dict[Any, Any]) -> tuple[list[Any], list[Any]]:
    return list(d.values()), list(d)


def _dict_unflatten(values: Iterable[Any], context: Any) -> dict[Any, Any]:
    return dict(zip(context, values, strict=True))


def _dict_flatten_with_keys(d: dict[Any, Any]) -> tuple[list[tuple[MappingKey, Any]], list[Any]]:
    return [(MappingKey(key), value) for key, value in d.items()], list(d)


class LeafSpec(TreeSpec):
    """The structure of a tree that is one leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, ())

    def __repr__(self) -> str:
        return "*"


_LEAF = LeafSpec()


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """Return the leaves, and the structure that `tree_unflatten` builds a tree by."""
    if tree_is_leaf(tree, is_leaf):
        return [tree], _LEAF
    kind = _get_node_type(tree)
    children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    parts = [tree_flatten(child, is_leaf) for child in children]
    return [leaf for leaves, _ in parts for leaf in leaves], TreeSpec(kind, context, tuple(s for _, s in parts))


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """Return the tree of a structure with these leaves. Raises ValueError for another number of them."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(f"tree_unflatten: the tree has {treespec.num_leaves} leaves, got {len(leaves)}")
    return _built(iter(leaves), treespec)


def _built(leaves: Iterator[Any], spec: TreeSpec) -> Any:
    if spec.type is None:
        return next(leaves)
    unflatten = SUPPORTED_NODES[spec.type].unflatten_fn
    return unflatten([_built(leaves, child) for child in spec.children_specs], spec.context)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """Return the leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """Return the structure."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Return the tree with func of each leaf, and of what is at its place in other trees of the same structure up to there."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [spec.flatten_up_to(rest) for rest in rests]
    return tree_unflatten([func(*values) for values in zip(leaves, *others, strict=True)], spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Call func with each leaf, and return the tree as it is."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Return the tree with func of each leaf of a type (or types), or for which a function holds."""
    wanted = (lambda x: isinstance(x, kind)) if isinstance(kind, type | tuple) else kind
    return tree_map(lambda x: func(x) if wanted(x) else x, tree, is_leaf=is_leaf)


def tree_map_only_(kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Call func with each leaf of a type (or types), or for which a function holds, and return the tree as it is."""
    tree_map_only(kind, func, tree, is_leaf)
    return tree


def tree_iter(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Iterator[Any]:
    """Go through the leaves."""
    return iter(tree_leaves(tree, is_leaf))


# ---- with the way to each leaf
def _children_by_step(kind: Any, tree: Any) -> list[tuple[Any, Any]]:
    if kind in _STEPS:
        return list(_STEPS[kind](tree)[0])
    if kind in _MAPPINGS:
        return [(MappingKey(key), value) for key, value in tree.items()]
    if kind is namedtuple:
        return [(GetAttrKey(name), getattr(tree, name)) for name in tree._fields]
    if kind in (list, tuple, deque):
        return [(SequenceKey(i), value) for i, value in enumerate(tree)]
    raise ValueError(f"Did not find a flatten_with_keys_fn for type: {kind}. Please pass a flatten_with_keys_fn argument to "
                     "register_pytree_node.")  # fmt: skip


def _walked(tree: Any, is_leaf: Callable[[Any], bool] | None, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    for step, child in _children_by_step(_get_node_type(tree), tree):
        yield from _walked(child, is_leaf, (*path, step))


def tree_leaves_with_path(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[KeyPath, Any]]:
    """Return (path, leaf) for each leaf: the path is the steps that lead to it."""
    return list(_walked(tree, is_leaf, ()))


def tree_flatten_with_path(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """Return (path, leaf) for each leaf, and the structure that `tree_unflatten` builds a tree by."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """Return the tree with func(path, leaf, ...) of each leaf, and of what is at its place in other trees."""
    leaves, spec = tree_flatten_with_path(tree, is_leaf)
    others = [spec.flatten_up_to(rest) for rest in rests]
    return tree_unflatten([func(path, x, *more) for (path, x), *more in zip(leaves, *others, strict=True)], spec)


def keystr(kp: KeyPath) -> str:
    """Return a path as it is written in Python, such as "[0].weight"."""
    return "".join([str(step) for step in kp])


def key_get(obj: Any, kp: KeyPath) -> Any:
    """Return what a path leads to."""
    for step in kp:
        obj = step.get(obj)
    return obj


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Say whether pred holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Say whether pred holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(kind: Any, pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Say whether pred holds for all leaves of a type."""
    return all(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, kind))


def tree_any_only(kind: Any, pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Say whether pred holds for a leaf of a type."""
    return any(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, kind))
