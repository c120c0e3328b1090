"""What becomes of values that are kept for backward while somebody wants a say in it.

Owns: the node that keeps packed values, and the maker of nodes that stands in `record.make_node` while hooks on saved
tensors or anomaly mode are on, on any thread. May import: tape, record, tensor, modes. Must not know: any op, and what
the hooks do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from wengert import errors, record, tape
from wengert._tensor import Tensor, wrap
from wengert.modes import no_grad, state
from wengert.tape import AccumulateGrad, Node

_lock = threading.Lock()
_users = 0


def want(count: int) -> None:
    """Note that someone wants (1), or no longer wants (-1), nodes to be made here."""
    global _users
    with _lock:
        _users += count
        record.make_node = make if _users else tape.node


def make(plan: Any, edges: tuple[Any, ...], saved: tuple[Any, ...], shapes: Any, guards: tuple[Any, ...] = ()) -> Node:
    """Return the node of a call, with its values packed and its origin noted if that is asked for on this thread."""
    node = tape.node(plan, edges, saved, shapes, guards)
    if state.packing and plan.keeps_arrays:
        PackedNode.pack(node)
    if tape.anomaly is not None:
        tape.anomaly.note(node)
    return node


Hooks = tuple[Callable[[Any], Any], Callable[[Any], Any]]  # (pack, unpack)
_UNCHANGED: Hooks = (lambda value: value, lambda value: value)


class Packed:
    """One value as the innermost hooks packed it.

    result: it is the node's own result, which hooks see with its history. It is kept without: with it, it would keep the
    node alive that keeps it.
    """

    __slots__ = ("value", "unpack", "shape", "bare")
    unpack: Callable[[Any], Any]

    def __init__(self, tensor: Tensor, own: Hooks | None = None, result: bool = False) -> None:
        hooks, state.packing = state.packing, ()
        version, self.shape = tensor.version_box()[0], tensor._array.shape
        pack, self.unpack = own or hooks[-1]
        try:
            with no_grad():
                self.value = pack(tensor)
        finally:
            state.packing = hooks
            if result:
                tensor._edge = None
        self.bare = result and self.value is tensor
        if tensor.version_box()[0] != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot be "
                "modified by in-place operations as this can lead to unexpected side-effects; change a clone() instead."
            )

    def open(self, node: Node | None = None) -> Any:
        """Return the raw array that the hooks give for the value of a node. Raises TypeError for what is no tensor,
        RuntimeError for one of another shape."""
        if self.bare:
            self.value._edge = node
        try:
            tensor = self.unpack(self.value)
        finally:
            if self.bare:
                self.value._edge = None
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(tensor).__name__}"
            )
        if tensor._array.shape != self.shape:
            raise RuntimeError(
                f"Output of saved tensor unpack_hook has shape {list(tensor.shape)}, what was packed had {list(self.shape)}"
            )
        return tensor._array


_NEVER = [0]  # the write counter of packed values: nobody can write to them


class PackedNode(Node):
    """A node whose kept values are what hooks made of them."""

    __slots__ = ()

    @classmethod
    def pack(cls, node: Node, hooks: dict[int, Hooks] | None = None) -> None:
        """Pack the values of a node, and make it one of this kind; hooks: those of each place, where they are not the
        innermost of this thread."""
        assert node.saved is not None
        whole, packed = node.tensors(node.saved), list(node.saved)
        for place in cls.kept(node):
            value, raw = whole[place], packed[place]
            own = None if hooks is None else hooks.get(place, _UNCHANGED)
            result = place == len(node.plan.op.inputs)
            if isinstance(value, tuple):
                values = [v._bare() if v is not None and result else v for v in value]
                packed[place] = tuple([cls.packed(v, r, own) for v, r in zip(values, raw, strict=True)])
            else:
                packed[place] = cls.packed(value, raw, own, result)
        node.__class__, node.saved, node.guards = cls, tuple(packed), ((_NEVER, 0),)

    @staticmethod
    def kept(node: Node) -> list[int]:
        """Return the places of what is kept, in the order of PyTorch's names for it: `other` comes before `self`."""
        op, inputs = node.plan.op, node.plan.inputs
        two = op.inputs == ("x", "y") and op.broadcasts and not op.params
        return [*(reversed(inputs) if two else inputs), *([len(op.inputs)] if node.plan.out else [])]

    @staticmethod
    def packed(value: Tensor | None, raw: Any, hooks: Hooks | None, result: bool = False) -> Any:
        """Pack a tensor: a leaf as itself; a number stays as it is."""
        if value is None or (value._edge is None and value._box is None and not raw.ndim):
            return raw
        edge = value._edge
        if type(edge) is AccumulateGrad:
            leaf = edge.variable
            if leaf is not None and leaf._array is raw:
                return Packed(leaf, hooks)
        return Packed(value, hooks, result)

    def check_saved(self) -> tuple[Any, ...]:
        if self.saved is None:
            raise errors.freed(self.name())
        values = list(self.saved)
        for place in self.kept(self):
            value = values[place]
            values[place] = tuple([opened(v) for v in value]) if isinstance(value, tuple) else opened(value, self)
        return tuple(values)

    def tensors(self, saved: tuple[Any, ...], g: Any = None) -> tuple[Any, ...]:
        op, values = self.plan.op, list(saved)
        last = len(op.inputs) - 1
        for i in self.plan.inputs:
            if op.variadic and i == last:
                values[i] = tuple([wrap(a, e) for a, e in zip(saved[i], self.edges[i:], strict=True)])
            elif isinstance(self.saved[i], Packed):  # type: ignore[index]
                values[i] = wrap(saved[i], self.edges[i])
            else:
                values[i] = tape.number(saved[i], g)
        if self.plan.out and op.outputs > 1:
            made = enumerate(saved[last + 1])
            values[last + 1] = tuple([a if a is None else wrap(a, self.end(n, a)) for n, a in made])
        elif self.plan.out:
            values[last + 1] = wrap(saved[last + 1], self)
        return tuple(values)


class SavedTensor:
    """One value that a node keeps, as `grad_fn._raw_saved_self` and its kin give it."""

    def __init__(self, node: Node, place: int) -> None:
        self._node, self._place = node, place

    def register_hooks(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        """Keep pack_hook(value) in the place of the value, and read it by unpack_hook.

        Raises RuntimeError where the value was freed, or is packed already.
        """
        node, place, hooks = self._node, self._place, (pack_hook, unpack_hook)
        if not isinstance(node, PackedNode):
            node.check_saved()
            PackedNode.pack(node, {place: hooks})
            return
        value = None if node.saved is None else node.saved[place]
        if node.saved is None or not isinstance(value, Packed) or value.unpack is not _UNCHANGED[1]:
            raise RuntimeError("register_hooks: this saved tensor is freed, has hooks already, or is one of several")
        node.saved = (*node.saved[:place], Packed(value.value, hooks), *node.saved[place + 1 :])


def opened(value: Any, node: Node | None = None) -> Any:
    return value.open(node) if isinstance(value, Packed) else value

