"""`wengert.nn`'s modules: registration, state dicts, hooks, containers, layers, init, utils; and against PyTorch.

Owns the proof of the package wengert_nn.modules, of wengert_nn.init and wengert_nn.utils. May import wengert's public names
and, in tests marked `parity`, torch; tests/parity/modules.py brings PyTorch's module database.
"""

from __future__ import annotations

import copy
import gc
import importlib
import importlib.util
import math
import pickle
import sys
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wengert
import wengert.optim
from wengert import nn
from wengert.nn import init, utils
from wengert.nn.utils import parametrizations, parametrize, prune
from wengert.nn.utils import rnn as packed

HERE = Path(__file__).parent


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


def array(x: Any) -> Any:
    return x.detach().numpy().copy()


def far(a: Any, b: Any) -> float:
    """The largest difference of two tensors."""
    return float(np.max(np.abs(array(a) - array(b)), initial=0.0))


class Net(nn.Module):
    """A small model as users write them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.scale = nn.Parameter(wengert.ones(4))
        self.register_buffer("seen", wengert.zeros(1), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.norm(self.first(x)) * self.scale


KEYS = [
    "scale", "first.weight", "first.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var",
    "norm.num_batches_tracked",
]  # fmt: skip


# ---- parameters
def test_a_parameter_is_a_tensor_that_requires_grad() -> None:
    data = wengert.ones(2, 2)
    p = nn.Parameter(data)
    assert isinstance(p, nn.Parameter) and isinstance(p, wengert.Tensor) and p.requires_grad and p.is_leaf
    assert repr(p) == "Parameter containing:\ntensor([[1., 1.],\n        [1., 1.]], requires_grad=True)"
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert type(p * 2) is wengert.Tensor
    with wengert.no_grad():
        p.fill_(3)
    assert float(data[0, 0]) == 3, "a parameter is on its data's memory"
    assert nn.Parameter().numel() == 0
    with pytest.raises(RuntimeError):
        nn.Parameter(wengert.ones(2, dtype=wengert.int64))
    with pytest.raises(TypeError):
        nn.Parameter([1.0])  # type: ignore[arg-type]


def test_parameters_copy_and_pickle() -> None:
    p = nn.Parameter(wengert.arange(3.0))
    p.tag = "mine"
    (p * p).sum().backward()
    for q, attributes in ((copy.deepcopy(p), {}), (pickle.loads(pickle.dumps(p)), {"tag": "mine"})):  # as in PyTorch
        assert type(q) is nn.Parameter and q.requires_grad and far(p, q) == 0 and q.__dict__ == attributes
        assert q.grad is None and q.is_leaf
    twice = copy.deepcopy([p, p])
    assert twice[0] is twice[1]


# ---- registration and walks
def test_assignment_registers() -> None:
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "first.weight", "first.bias", "norm.weight", "norm.bias"]
    assert [n for n, _ in net.named_buffers()] == ["seen", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert [n for n, _ in net.named_children()] == ["first", "norm"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "norm"]
    assert [n for n, _ in net.named_parameters("p", recurse=False)] == ["p.scale"]
    net.again = net.first
    assert len([*net.modules()]) == 3 and len([*net.named_modules(remove_duplicate=False)]) == 4
    assert len([*net.parameters()]) == 5
    del net.again
    net.scale = None
    assert "scale" not in net.state_dict() and net.scale is None
    net.first = nn.Identity()
    assert isinstance(net.first, nn.Identity) and list(net._modules) == ["first", "norm"]
    net.held = nn.Buffer(wengert.ones(2), persistent=False)
    assert "held" in dict(net.named_buffers()) and "held" not in net.state_dict()
    assert {"first", "norm", "scale", "seen", "forward"} <= {*dir(net)}


def test_names_that_are_wrong() -> None:
    net = Net()
    with pytest.raises(KeyError, match="attribute 'forward' already exists"):
        net.register_parameter("forward", None)
    with pytest.raises(KeyError, match='t contain "[.]"'):
        net.register_buffer("a.b", None)
    with pytest.raises(KeyError, match='t be empty string ""'):
        net.add_module("", nn.Identity())
    with pytest.raises(TypeError, match="should be a string"):
        net.register_parameter(1, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"cannot assign 'torch.FloatTensor' as parameter 'scale' \(torch.nn.Parameter or None"):
        net.scale = wengert.ones(4)
    with pytest.raises(TypeError, match=r"cannot assign 'int' as child module 'first'"):
        net.first = 3
    with pytest.raises(TypeError, match=r"cannot assign 'int' as buffer 'seen'"):
        net.seen = 3
    with pytest.raises(TypeError, match="is not a Module subclass"):
        net.add_module("x", 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Cannot assign non-leaf Tensor"):
        leaf = nn.Parameter(wengert.ones(2))
        made = leaf * 1
        made.__class__ = nn.Parameter
        net.register_parameter("made", made)
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'nothing'"):
        _ = net.nothing


def test_assigning_before_init_says_so() -> None:
    class Early(nn.Module):
        def __init__(self, value: Any) -> None:
            self.value = value

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\) call"):
        Early(nn.Identity())
    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__\(\) call"):
        Early(nn.Parameter(wengert.ones(1)))
    with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
        nn.Module(x=1)
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(1)


def test_dotted_names() -> None:
    net = nn.Sequential(OrderedDict(a=Net()))
    assert net.get_submodule("a.first") is net.a.first and net.get_submodule("") is net
    assert net.get_parameter("a.first.weight") is net.a.first.weight
    assert net.get_buffer("a.norm.running_mean") is net.a.norm.running_mean
    net.set_submodule("a.first", nn.Identity())
    assert isinstance(net.a.first, nn.Identity)
    for call in (
        lambda: net.get_submodule("a.x"), lambda: net.get_submodule("a.scale"), lambda: net.get_parameter("a.seen"),
        lambda: net.get_buffer("a.scale"),
    ):  # fmt: skip
        with pytest.raises(AttributeError):
            call()


# ---- state dicts
def test_state_dicts_go_back_and_forth() -> None:
    one, two = Net(), Net()
    one(wengert.randn(5, 3))
    state = one.state_dict()
    assert list(state) == KEYS and not any(v.requires_grad for v in state.values())
    assert state._metadata["norm"] == {"version": 2} and list(state._metadata) == ["", "first", "norm"]
    assert one.state_dict(keep_vars=True)["scale"] is one.scale
    held = two.first.weight
    assert repr(two.load_state_dict(state)) == "<All keys matched successfully>"
    assert two.first.weight is held and all(far(a, b) == 0 for a, b in zip(one.state_dict().values(), two.state_dict().values()))
    three = Net()
    three.load_state_dict({k: v.clone() for k, v in state.items()}, assign=True)
    assert isinstance(three.first.weight, nn.Parameter) and three.first.weight.requires_grad
    assert Net().load_state_dict({k: v.numpy() for k, v in state.items()}).missing_keys == []


def test_what_a_state_dict_gets_wrong() -> None:
    net = Net()
    state = net.state_dict()
    del state["scale"]
    state["first.weight"] = wengert.ones(2, 2)
    state["other.x"] = wengert.ones(1)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        'Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "scale". \n\tUnexpected key(s) in state_dict: '
        '"other.x". \n\tsize mismatch for first.weight: copying a param with shape torch.Size([2, 2]) from checkpoint, the shape '
        "in current model is torch.Size([4, 3])."
    )
    state["first.weight"] = wengert.ones(4, 3)
    found = net.load_state_dict(state, strict=False)
    assert found.missing_keys == ["scale"] and found.unexpected_keys == ["other.x"]
    assert float(net.first.weight.sum()) == 12
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([])  # type: ignore[arg-type]


def test_state_dict_hooks_and_extra_state() -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> Any:
            return {"n": 7}

        def set_extra_state(self, state: Any) -> None:
            self.n = state["n"]

    net, calls = nn.Sequential(Extra(2, 2)), []
    assert list(net.state_dict()) == ["0.weight", "0.bias", "0._extra_state"]
    net.register_state_dict_pre_hook(lambda m, prefix, keep: calls.append("pre"))
    net.register_state_dict_post_hook(lambda m, state, prefix, local: state.__delitem__("0.bias"))
    net[0].register_load_state_dict_pre_hook(lambda m, state, prefix, *rest: calls.append(prefix))
    handle = net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    state = net.state_dict()
    assert "0.bias" not in state and net.load_state_dict(state).missing_keys == [] and net[0].n == 7
    assert calls == ["pre", "0."]
    handle.remove()
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(state)


def test_loading_leaves_no_cycles_and_warns_of_nothing_done() -> None:
    net = nn.Sequential(nn.Linear(1, 1))
    state = net.state_dict()
    gc.collect()
    net.load_state_dict(state)
    assert gc.collect() == 0
    with wengert.device("meta"):
        empty = nn.Sequential(nn.Linear(1, 1))
    with pytest.warns(UserWarning, match="no-op.*assign=True"):
        empty.load_state_dict(state)
    norm = nn.Module()
    norm.register_buffer("count", wengert.tensor(1.0))
    norm.load_state_dict({"count": wengert.tensor([2.0])})  # as old checkpoints have numbers
    assert norm.count.shape == () and float(norm.count) == 2
    norm = nn.BatchNorm1d(1).to("meta")
    norm.load_state_dict({}, strict=False, assign=True)
    assert norm.num_batches_tracked.item() == 0


def test_functions_as_attributes_of_a_class(torch: Any) -> None:
    for T in (wengert, torch):

        class Base(T.nn.Module):  # type: ignore[name-defined, misc]
            conv, act, scale = T.conv1d, T.nn.functional.gelu, T.mul

            def forward(self, x: Any) -> Any:
                return self.act(self.scale(self.conv(x, weight=x.new_ones(1, 1, 2), padding=1), 2))

        class Own(Base):
            conv, __call__, to = T.nn.functional.conv1d, T.nn.Module.__call__, T.nn.Module.to
            act = T.relu

        class Short(T.nn.Module):  # type: ignore[name-defined, misc]
            forward = T.neg

        x = T.tensor([[[1.0, -3.0]]])
        assert Own().to("cpu")(x).tolist() == [[[2.0, 0.0, 0.0]]] and Short()(x).tolist() == [[[-1.0, 3.0]]]
        assert Base()(x).shape == (1, 1, 3)


def test_a_class_that_registers_buffers_itself() -> None:
    class Own(nn.Module):
        def register_buffer(self, name: str, tensor: Any) -> None:  # type: ignore[override]
            super().register_buffer(name, tensor)

    net = Own()
    net.held = nn.Buffer(wengert.ones(1))
    assert list(net.state_dict()) == ["held"]


def test_memory_that_processes_share() -> None:
    net = nn.Linear(2, 2)
    assert not net.weight.storage().is_shared() and net.share_memory().weight.storage().is_shared()
    with pytest.raises(RuntimeError, match="share memory on an uninitialized"):
        nn.LazyLinear(2).share_memory()


# ---- conversion, modes
def test_conversion_keeps_parameters() -> None:
    net = Net()
    p = net.first.weight
    net(wengert.randn(5, 3)).sum().backward()
    assert net.double() is net and net.first.weight is p and p.dtype is wengert.float64 and p.grad.dtype is wengert.float64
    assert net.norm.running_mean.dtype is wengert.float64 and net.norm.num_batches_tracked.dtype is wengert.int64
    assert net(wengert.randn(5, 3, dtype=wengert.float64)).dtype is wengert.float64
    assert net.to(wengert.float32).half().first.bias.dtype is wengert.float16
    assert net.to("cpu", wengert.float32).scale.dtype is wengert.float32
    assert net.type(wengert.float64).scale.dtype is wengert.float64 is net.float().to(float).scale.dtype
    with pytest.raises(TypeError, match="only accepts floating point or complex"):
        net.to(wengert.int64)
    for wrong in (("cpu", True), (None, True), ([],), ("cpu", wengert.ones(1))):
        with pytest.raises(TypeError, match="expected a"):
            net.to(*wrong)
    with pytest.raises(TypeError, match="copy"):
        net.to("cpu", copy=True)


def test_modes_and_gradients() -> None:
    net = nn.Sequential(Net(), nn.Dropout(0.9))
    assert net.eval() is net and not any(m.training for m in net.modules())
    x = wengert.randn(4, 3)
    assert far(net(x), net(x)) == 0
    assert all(m.training for m in net.train().modules())
    with pytest.raises(ValueError, match="boolean"):
        net.train(1)  # type: ignore[arg-type]
    net(x).sum().backward()
    net.zero_grad(set_to_none=False)
    assert float(net[0].scale.grad.sum()) == 0
    net.zero_grad()
    assert net[0].scale.grad is None
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    seen: list[str] = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "BatchNorm1d", "Net", "Dropout", "Sequential"]


# ---- hooks
def test_forward_hooks() -> None:
    net, x = nn.Linear(2, 2), wengert.ones(1, 2)
    plain = net(x)
    first = net.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    last = net.register_forward_hook(lambda m, args, out: out * 10)
    assert far(net(x), (plain * 2 - net.bias) * 10) < 1e-5
    first.remove()
    last.remove()
    assert far(net(x), plain) == 0
    order: list[str] = []
    net.register_forward_hook(lambda m, a, o: order.append("b"))
    net.register_forward_hook(lambda m, a, o: order.append("a"), prepend=True)
    net.register_forward_hook(lambda m, a, k, o: order.append(str(k)), with_kwargs=True)
    net(input=x)
    assert order[:2] == ["a", "b"] and "input" in order[2]
    net.register_forward_pre_hook(lambda m, a, k: (a, {"input": k["input"] * 0}), with_kwargs=True)
    assert far(net(input=x)[0], net.bias) == 0


def test_a_hook_that_is_always_called() -> None:
    class Fails(nn.Module):
        def forward(self) -> None:
            raise RuntimeError("on purpose")

    seen = []
    net = Fails()
    net.register_forward_hook(lambda m, a, o: seen.append(o), always_call=True)
    net.register_forward_hook(lambda m, a, o: seen.append("never"))
    with pytest.raises(RuntimeError, match="on purpose"):
        net()
    assert seen == [None]


def test_backward_hooks() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    x = wengert.randn(4, 2, requires_grad=True)
    seen: dict[str, Any] = {}
    net.register_full_backward_pre_hook(lambda m, out: (out[0] * 2,))
    handle = net.register_full_backward_hook(lambda m, i, o: seen.update(i=i, o=o) or (i[0] * 3,))
    net(x).sum().backward()
    got = array(x.grad)
    assert np.all(array(seen["o"][0]) == 2)
    handle.remove()
    net._backward_pre_hooks.clear()
    x.grad = None
    net(x).sum().backward()
    assert np.allclose(got, 6 * array(x.grad)) and np.allclose(array(seen["i"][0]), 2 * array(x.grad))
    net.register_full_backward_hook(lambda m, i, o: seen.update(i=i))
    net(x.detach()).sum().backward()
    assert seen["i"] == (None,), "where no input requires grad"


def test_hooks_of_all_modules() -> None:
    seen: list[str] = []
    with nn.modules.module.register_module_forward_hook(lambda m, a, o: seen.append(type(m).__name__)):
        nn.Sequential(nn.ReLU())(wengert.ones(1))
    nn.ReLU()(wengert.ones(1))
    assert seen == ["ReLU", "Sequential"]


def test_hooks_of_all_registrations() -> None:
    seen: list[str] = []
    module = nn.modules.module
    registers = (
        module.register_module_parameter_registration_hook,
        module.register_module_buffer_registration_hook,
        module.register_module_module_registration_hook,
    )
    handles = [register(lambda m, name, value: seen.append(name)) for register in registers]
    Net()
    for handle in handles:
        handle.remove()
    Net()
    assert seen.count("first") == seen.count("scale") == seen.count("running_mean") == 1
    with module.register_module_parameter_registration_hook(lambda m, name, value: nn.Parameter(value.detach() * 0)):
        net = nn.Module()
        net.register_parameter("none", None)
        net.p = nn.Parameter(wengert.ones(1))
        assert float(net.p) == 0
    seen.clear()
    with registers[1](lambda m, name, value: seen.append(name)), registers[2](lambda m, name, value: seen.append(name)):
        net.register_buffer("b", None)
        net.b = wengert.ones(1)
        net.add_module("c", None)
        net.c = None
    assert seen == ["b", "b", "c", "c"]


@pytest.mark.parity
def test_a_module_may_have_attributes_of_any_name() -> None:
    """Modules have the names that PyTorch's have, and hardly others: a program's own would be in their place."""
    torch = pytest.importorskip("torch")
    assert {*dir(nn.Module)} - {*dir(torch.nn.Module)} <= {"_TABLES", "_SHARED", "__constants__", "_call_with_hooks", "_run_eagerly", "_is_full_backward_hook"}


def test_a_removed_hook_leaves_nothing() -> None:
    net = nn.Identity()
    handle = net.register_forward_hook(lambda m, a, k, o: None, with_kwargs=True, always_call=True)
    assert handle.hooks_dict_ref() is net._forward_hooks
    handle.remove()
    assert not net._forward_hooks_with_kwargs and not net._forward_hooks_always_called


def test_backward_hooks_of_the_older_kind() -> None:
    class Named(nn.Linear):
        def forward(self, x: Any) -> Any:
            return {"out": super().forward(x)}

    seen: list[Any] = []
    net, x = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True)), wengert.ones(1, 2, requires_grad=True)
    net[0].register_backward_hook(lambda m, i, o: seen.append(o[0].shape))
    with pytest.warns(FutureWarning, match="non-full backward hook"):
        net(x).sum().backward()  # the next layer writes to what the hooked one returned
    assert seen == [(1, 3)]
    with pytest.raises(RuntimeError, match="Cannot use both"):
        net[0].register_full_backward_hook(lambda m, i, o: None)
    net = Named(2, 3)
    net.register_backward_hook(lambda m, i, o: seen.append(o[0].shape))
    with pytest.warns(FutureWarning, match="does not return a single Tensor"):
        net(x)["out"].sum().backward()
    assert len(seen) == 2
    net = nn.Sigmoid()
    net.register_backward_hook(lambda m, i, o: i[1:])
    with pytest.warns(FutureWarning), pytest.raises(RuntimeError, match="got 0, but expected 1"):
        net(x).sum().backward()
    net = Named(2, 3)
    net.register_full_backward_hook(lambda m, i, o: None)
    with pytest.warns(UserWarning, match="module output should be a Tensor"):
        net(x)


# ---- copies, text, programs
def test_modules_copy_and_pickle() -> None:
    net = Net()
    net.tied = net.first
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.tied is other.first and other.first.weight is not net.first.weight
        assert all(far(a, b) == 0 for a, b in zip(net.state_dict().values(), other.state_dict().values()))
        other(wengert.randn(4, 3)).sum().backward()
        assert net.first.weight.grad is None


def test_text() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
            self.b = None

        def extra_repr(self) -> str:
            return "x=1"

    assert repr(Two()) == (
        "Two(\n  x=1\n  (a): Sequential(\n    (0): Linear(in_features=1, out_features=2, bias=True)\n    (1): ReLU()\n  )\n)"
    )
    assert repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"


def test_compiled_in_place() -> None:
    net, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), wengert.randn(5, 3)
    plain = net(x)
    net.compile()
    for _ in range(3):
        assert far(net(x), plain) < 1e-6
    assert far(copy.deepcopy(net)(x), plain) < 1e-6
    net(x).sum().backward()
    assert net[0].weight.grad is not None


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.LSTM(3, 4, 2, bidirectional=True), (5, 2, 3)), (lambda: nn.GRU(3, 4), (5, 2, 3)),
        (lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0), (5, 2, 4)),
        (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.GELU()), (2, 2, 8, 8)),
    ],
    ids=["lstm", "gru", "transformer", "convolution"],
)  # fmt: skip
def test_compiled_layers_do_what_they_did(make: Any, shape: Any) -> None:
    compiled = make()
    plain = copy.deepcopy(compiled)
    compiled.compile()
    for _ in range(3):
        x = wengert.randn(shape)
        outs = [out[0] if isinstance(out, tuple) else out for out in (compiled(x), plain(x))]
        for out in outs:
            (out * wengert.arange(out.numel()).reshape(out.shape)).sum().backward()
        assert far(*outs) < 1e-5
    largest = max(float(q.grad.abs().max()) for q in plain.parameters())  # that of a bias before batch_norm is 0, but for rounding
    for p, q in zip(compiled.parameters(), plain.parameters()):
        assert far(p.grad, q.grad) <= 1e-5 * largest
    for a, b in zip(compiled.buffers(), plain.buffers()):
        assert far(a, b) < 1e-5


def test_a_compiled_model_notices_changes_deep_inside() -> None:
    inner, dropout, x = nn.Linear(2, 2), nn.Dropout(0.0), wengert.ones(1, 2)
    net = nn.Sequential(inner, dropout)
    for _ in range(6):
        net = nn.Sequential(net)
    net.compile()

    def settled() -> Any:
        return [net(x) for _ in range(3)][-1]

    settled()
    inner.weight = nn.Parameter(wengert.zeros(2, 2))
    assert far(settled()[0], inner.bias) == 0
    inner.weight.data = wengert.eye(2)
    assert far(settled()[0], inner.bias + 1) < 1e-6
    dropout.p = 1.0
    assert float(settled().abs().sum()) == 0


def test_functional_call_swaps_parameters() -> None:
    net, x = nn.Linear(3, 2), wengert.randn(4, 3)
    zeros = {name: wengert.zeros_like(p) for name, p in net.named_parameters()}
    assert float(wengert.func.functional_call(net, zeros, (x,)).abs().sum()) == 0
    grads = wengert.func.grad(lambda p: wengert.func.functional_call(net, p, (x,)).sum())(dict(net.named_parameters()))
    net(x).sum().backward()
    assert far(grads["weight"], net.weight.grad) < 1e-6


def test_functional_call_writes_what_is_assigned() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", wengert.zeros(1))
            self.factor = 2.0

        def forward(self, x: Any) -> Any:
            self.count = self.count + 1
            return x * self.count

    net, given = Counting(), {"count": wengert.ones(1)}
    held, call = net.count, wengert.func.functional_call
    assert float(call(net, given, wengert.ones(1))) == 2 == float(given["count"]) and net.count is held and float(held) == 0
    for wrong in ({"count": 3.0}, {"factor": wengert.ones(1)}):
        with pytest.raises(TypeError, match="not an instance of torch.Tensor"):
            call(net, wrong, wengert.ones(1))
    net.below = nn.Sequential(net)  # a module below itself
    assert float(call(net, {"below.0.count": wengert.ones(1)}, wengert.ones(1), tie_weights=False)) == 2


def test_functional_call_ties_what_is_one_parameter() -> None:
    net, index = nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 4, bias=False)), wengert.tensor([1, 2])
    net[1].weight = net[0].weight
    call, weight = wengert.func.functional_call, wengert.arange(8.0).reshape(4, 2).requires_grad_()
    expected = (weight[index] @ weight.T).sum()
    (slope,) = wengert.autograd.grad(expected, weight)
    for name in ("0.weight", "1.weight"):
        total = call(net, {name: weight}, (index,)).sum()
        assert float(total) == float(expected) and wengert.autograd.grad(total, weight)[0].equal(slope)
    loose = call(net, {"0.weight": weight, "1.weight": weight * 2}, (index,), tie_weights=False).sum()
    assert float(loose) == 2 * float(expected)
    with pytest.raises(ValueError, match="tied"):
        call(net, {"0.weight": weight, "1.weight": weight * 2}, (index,))
    with pytest.raises(RuntimeError, match="Unexpected key.*'other'"):
        call(net, {"0.weight": weight, "other": weight}, (index,), strict=True)
    with pytest.raises(ValueError, match="multiple dictionaries"):
        call(net, ({"0.weight": weight}, {"0.weight": weight}), (index,))
    assert float(call(net, {"0.weight": weight, "other": weight}, (index,)).sum()) == float(expected)
    assert not hasattr(net, "other") and net[1].weight is net[0].weight is not weight


@pytest.mark.parametrize(
    "path",
    ["modules.module:Module", "parameter:Parameter", "parameter:is_lazy", "modules.batchnorm:_BatchNorm", "modules.conv:_ConvNd", "init:xavier_uniform_",
     "modules.lazy:LazyModuleMixin", "utils.rnn:pad_sequence", "utils.parametrize:cached", "modules.utils:_pair", "init:_calculate_fan_in_and_fan_out"],
)  # fmt: skip
def test_modules_are_where_programs_import_them_from(path: str) -> None:
    module, name = path.split(":")
    assert callable(getattr(importlib.import_module(f"wengert.nn.{module}"), name))


# ---- containers
def test_sequential() -> None:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    net = nn.Sequential(a, b)
    assert net[0] is a and net[-1] is b and len(net) == 2 and [*net] == [a, b]
    assert net.append(c) is net and list(net._modules) == ["0", "1", "2"]
    assert isinstance(net[1:], nn.Sequential) and [*net[1:]] == [b, c]
    net.insert(1, c)
    assert [*net] == [a, c, b, c]
    del net[1]
    assert [*net] == [a, b, c] and list(net._modules) == ["0", "1", "2"]
    assert net.pop(0) is a and [*net.extend([a])] == [b, c, a] and len(net + net) == 6 and len(nn.Sequential(a) * 3) == 3
    named = nn.Sequential(OrderedDict(x=a, y=b))
    assert named.x is a and named[1] is b
    named[1] = c
    assert named.y is c
    with pytest.raises(IndexError):
        _ = net[5]


def test_lists_and_dicts_of_modules() -> None:
    a, b = nn.Linear(1, 1), nn.ReLU()
    row = nn.ModuleList([a])
    row += [b]
    row.insert(0, b)
    assert [*row] == [b, a, b] and row[-2] is a and [*row[1:]] == [a, b] and len([*row.parameters()]) == 2
    row[0] = a
    del row[-1]
    assert [*row] == [a, a] and len(row + [b]) == 3
    held = nn.ModuleDict({"a": a})
    held["b"] = b
    held.update([("c", b)])
    assert list(held) == ["a", "b", "c"] and "a" in held and held.pop("c") is b and [*held.values()] == [a, b]
    with pytest.raises(TypeError):
        held["x"] = 3  # type: ignore[assignment]


def test_lists_and_dicts_of_parameters() -> None:
    row = nn.ParameterList([wengert.ones(2), nn.Parameter(wengert.zeros(1))])
    row.append(3)
    assert isinstance(row[0], nn.Parameter) and row[2] == 3 and len(row) == 3 and len([*row.parameters()]) == 2
    row[0] = wengert.zeros(5)
    assert row[0].shape == (5,) and list(row.state_dict()) == ["0", "1"] and len(row[1:]) == 2
    held = nn.ParameterDict({"a": wengert.ones(2)})
    held["b"] = wengert.ones(1)
    assert list(held.state_dict()) == ["a", "b"] and "a" in held and held.get("x") is None
    assert [k for k, _ in held.items()] == ["a", "b"] and len(held | nn.ParameterDict({"c": wengert.ones(1)})) == 3
    assert held.pop("a").shape == (2,) and len(held) == 1


# ---- what parameters start from
def within(x: Any, bound: float) -> None:
    """Check U(-bound, bound) of a tensor of many elements, by extremes, mean and standard deviation."""
    values, n = array(x).ravel(), x.numel()
    assert np.abs(values).max() <= bound and np.abs(values).max() > bound * (1 - 20 / n)
    assert abs(values.mean()) < 5 * bound / math.sqrt(3 * n)
    assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 5 / math.sqrt(n)


def normal(x: Any, std: float) -> None:
    """Check N(0, std^2) of a tensor of many elements, by mean, standard deviation and kurtosis."""
    values, n = array(x).ravel(), x.numel()
    assert abs(values.mean()) < 5 * std / math.sqrt(n) and abs(values.std() / std - 1) < 5 / math.sqrt(2 * n)
    assert abs(np.mean((values / std) ** 4) / 3 - 1) < 12 / math.sqrt(n)


def test_layers_start_from_what_is_documented() -> None:
    wengert.manual_seed(0)
    linear = nn.Linear(100, 300)
    within(linear.weight, 1 / math.sqrt(100))
    within(linear.bias, 1 / math.sqrt(100))
    within(nn.Bilinear(25, 30, 40).weight, 1 / 5)
    conv = nn.Conv2d(8, 60, 5, groups=2)
    within(conv.weight, 1 / math.sqrt(4 * 25))
    within(nn.ConvTranspose2d(60, 8, 5, groups=2).weight, 1 / math.sqrt(4 * 25))
    normal(nn.Embedding(200, 100).weight, 1)
    assert float(nn.Embedding(5, 3, padding_idx=-1).weight[4].abs().sum()) == 0
    for parameter in nn.LSTM(30, 64, 2, bidirectional=True).parameters():
        within(parameter, 1 / 8)
    attention = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    within(attention.in_proj_weight, math.sqrt(6 / (64 + 192)))
    within(attention.out_proj.weight, 1 / 8)
    assert float(attention.in_proj_bias.abs().sum()) == 0 == float(attention.out_proj.bias.abs().sum())
    within(nn.Transformer(32, 2, 1, 1, 64).encoder.layers[0].linear1.weight, math.sqrt(6 / 96))
    norm = nn.BatchNorm2d(3)
    assert array(norm.weight).tolist() == [1, 1, 1] == array(norm.running_var).tolist()
    assert array(norm.bias).tolist() == [0, 0, 0] == array(norm.running_mean).tolist()
    assert float(nn.PReLU().weight) == 0.25


def test_init_functions() -> None:
    wengert.manual_seed(1)
    w = nn.Parameter(wengert.empty(200, 100))
    assert init.uniform_(w, -2, 2) is w and w.is_leaf and w.grad_fn is None
    within(w, 2)
    normal(init.normal_(w, std=3), 3)
    within(init.xavier_uniform_(w, 2), 2 * math.sqrt(6 / 300))
    normal(init.xavier_normal_(w), math.sqrt(2 / 300))
    within(init.kaiming_uniform_(w, nonlinearity="relu"), math.sqrt(6 / 100))
    normal(init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 200))
    cut = array(init.trunc_normal_(w, std=2, a=-1, b=3))
    assert cut.min() >= -1 and cut.max() <= 3 and 0.6 < cut.mean() < 0.9
    assert array(init.eye_(wengert.empty(2, 3))).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert np.all(array(init.constant_(w, 7)) == 7) and np.all(array(init.ones_(w)) == 1) and not array(init.zeros_(w)).any()
    for shape in ((5, 3), (3, 5), (4, 2, 2)):
        q = array(init.orthogonal_(wengert.empty(shape), gain=2)).reshape(shape[0], -1)
        gram = q @ q.T if q.shape[0] < q.shape[1] else q.T @ q
        assert np.allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)
    sparse = array(init.sparse_(wengert.empty(50, 20), 0.3))
    assert np.all((sparse == 0).sum(0) == 15)
    dirac = init.dirac_(wengert.empty(4, 2, 3), groups=2)
    x = wengert.randn(1, 4, 7)
    assert far(nn.functional.conv1d(x, dirac, padding=1, groups=2), x) < 1e-6
    assert init.calculate_gain("tanh") == 5 / 3 and init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        init.calculate_gain("x")
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        init.xavier_normal_(wengert.empty(3))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"weight": wengert.ones(3)}, r"expected weight shape to be \(2,\), got \(3,\)"),
        ({"label_smoothing": 2.0}, r"expected label_smoothing to be in range \[0, 1\], got 2.0"),
    ],
)
def test_what_a_loss_is_made_of(wrong: Any, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        nn.LinearCrossEntropyLoss(5, 2, **wrong)


# ---- layers
def test_batch_norm_keeps_statistics() -> None:
    norm, x = nn.BatchNorm1d(3, momentum=None), wengert.randn(50, 3) * 2 + 5
    norm(x[:25])
    norm(x[25:])
    assert int(norm.num_batches_tracked) == 2
    halves = array(x).reshape(2, 25, 3)
    assert np.allclose(array(norm.running_mean), halves.mean(1).mean(0), atol=1e-5)
    assert np.allclose(array(norm.running_var), halves.var(1, ddof=1).mean(0), rtol=1e-4)
    expected = (array(x) - array(norm.running_mean)) / np.sqrt(array(norm.running_var) + 1e-5)
    assert np.allclose(array(norm.eval()(x)), expected, atol=1e-5)
    norm.train()
    for refused, kind in ((wengert.ones(1, 3, 1, 1), ValueError), (wengert.ones(1, 3), ValueError), (wengert.ones(2, 4), RuntimeError)):
        with pytest.raises(kind):
            norm(refused)
    assert int(norm.num_batches_tracked) == 2 and np.allclose(array(norm.running_mean), halves.mean(1).mean(0), atol=1e-5)
    old = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    nn.BatchNorm1d(3).load_state_dict(old)


def test_lazy_modules_take_their_sizes_from_the_first_input() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(RuntimeError, match="uninitialized"):
        _ = net[0].weight.shape
    assert repr(net[3]) == "LazyLinear(in_features=0, out_features=2, bias=True)"
    with pytest.raises(ValueError, match="uninitialized"):
        sum(p.numel() for p in net.parameters())
    state = None
    for made in (net, copy.deepcopy(net)):
        made(wengert.randn(2, 3, 5, 5))
        assert [type(m).__name__ for m in made] == ["Conv2d", "BatchNorm2d", "Flatten", "Linear"]
        assert made[0].weight.shape == (4, 3, 3, 3) and made[3].in_features == 36 and type(made[3].weight) is nn.Parameter
        state = made.state_dict()
    fresh = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    fresh.load_state_dict(state)
    assert fresh[0].weight.shape == (4, 3, 3, 3)


def test_what_has_no_size_yet() -> None:
    for norm in (utils.weight_norm, utils.spectral_norm):
        with warnings.catch_warnings(), pytest.raises(ValueError, match="uninitialized parameters"):
            warnings.simplefilter("ignore", FutureWarning)
            norm(nn.LazyLinear(2))
    holder = nn.Module()
    holder.seen = nn.UninitializedBuffer()
    assert [*dict(holder.named_buffers())] == ["seen"]
    holder.seen.materialize(3)
    assert holder.seen.shape == (3,)


def test_attention_without_a_key_to_see_has_no_weights() -> None:
    attention, x = nn.MultiheadAttention(4, 2, batch_first=True), wengert.ones(2, 3, 4)
    hidden = wengert.tensor([[False, False, True], [True, True, True]])
    out, weights = attention(x, x, x, key_padding_mask=hidden)
    for found in (out, weights):
        assert found.isnan().any(2).tolist() == [[False] * 3, [True] * 3]
    rows = wengert.zeros(3, 3).masked_fill(wengert.eye(3)[:, :1] > 0, -math.inf)
    assert attention(x, x, x, attn_mask=rows)[1].isnan().any(2).tolist() == [[True, False, False]] * 2
    assert not attention(x, x, x, key_padding_mask=hidden, need_weights=False)[0].isnan().any()


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_nothing_have_gradients(mode: str) -> None:
    bag, none = nn.EmbeddingBag(4, 2, mode=mode), wengert.zeros(0, dtype=wengert.int64)
    found = bag(none, wengert.zeros(3, dtype=wengert.int64))
    found.sum().backward()
    assert found.tolist() == [[0.0, 0.0]] * 3 and not bag.weight.grad.any()


def test_normalising_long_rows_keeps_digits() -> None:
    x = np.random.default_rng(0).random((1, (1 << 21) + 5))
    made = nn.functional.layer_norm(wengert.tensor(x.astype(np.float32)), x.shape[1:], eps=0.0)
    assert np.abs(array(made) - (x - x.mean()) / x.std()).max() < 1e-6
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.GroupNorm(2, 2)(wengert.ones(1, 2, 1))


def test_similarity_takes_the_common_type() -> None:
    whole, x = wengert.tensor([[3, 4]]), wengert.tensor([[6.0, 8.0]], dtype=wengert.float64)
    found = nn.functional.cosine_similarity(whole, x)
    assert found.dtype is wengert.float64 and found.tolist() == pytest.approx([1.0])


def test_embedding_from_pretrained() -> None:
    table = wengert.randn(5, 3)
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad and far(layer(wengert.tensor([1, 4])), table[wengert.tensor([1, 4])]) == 0
    assert nn.EmbeddingBag.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(AssertionError, match="Padding_idx"):
        nn.Embedding(3, 2, padding_idx=3)


def test_losses_and_attention_refuse_what_does_not_fit() -> None:
    F, x = nn.functional, wengert.randn(5, 2, 3)
    labels, times, lengths = wengert.ones(2, 2, dtype=wengert.int64), wengert.tensor([5, 5]), wengert.tensor([2, 2])
    for wrong in ((x, labels, times.float(), lengths), (x, labels, times, lengths.float()), (x, labels, times, (-1, -1))):
        with pytest.raises(RuntimeError, match="ctc_loss: .*length"):
            F.ctc_loss(*wrong)
    with pytest.raises(NotImplementedError, match="float16"):
        F.ctc_loss(x.half(), labels, times, lengths)
    with pytest.raises(TypeError, match="size to be of whole numbers"):
        F.interpolate(x, size=(1.5,))
    with pytest.raises(RuntimeError, match="differ in shape"):
        F.soft_margin_loss(wengert.ones(3), wengert.ones(3, 1))
    for smoothing in (0.0, 0.1):  # also of a target of probabilities the size is looked at first, then the type
        with pytest.raises(ValueError, match="to match target batch_size"):
            F.cross_entropy(wengert.ones(2, 3), wengert.ones(1, 3), label_smoothing=smoothing)
        with pytest.raises(RuntimeError, match="class numbers"):
            F.cross_entropy(wengert.ones(2, 3), wengert.ones(2), label_smoothing=smoothing)
    with pytest.raises(RuntimeError, match="Output size is too small"):
        F.conv_transpose1d(wengert.ones(1, 1, 1), wengert.ones(1, 1, 1), padding=1)
    for layer in (nn.Linear(3, 3), nn.Linear(3, 3, bias=False)):
        with pytest.raises(RuntimeError, match="the same dtype"):
            layer(x.double())
    with pytest.raises(RuntimeError, match="the same dtype"):
        F.linear(x, wengert.ones(3, 3), wengert.ones(3, dtype=wengert.float64))
    with pytest.raises(AssertionError, match="key_padding_mask must be"):
        nn.MultiheadAttention(3, 1)(x, x, x, key_padding_mask=wengert.ones(3, 5) > 0)
    with pytest.raises(AssertionError, match="shape of the attn_mask"):
        nn.MultiheadAttention(3, 1)(x, x, x, attn_mask=wengert.ones(5) > 0)
    with pytest.raises(RuntimeError, match="same type"):
        F.embedding_bag(labels, wengert.ones(3, 2), mode="sum", per_sample_weights=wengert.ones(2, 2, dtype=wengert.float64))
    assert float(wengert.compile(F.gaussian_nll_loss)(wengert.ones(2), wengert.ones(2), wengert.ones(2))) == 0
    for layer in (nn.Conv2d(1, 1, 2), nn.ZeroPad2d(1), nn.Unfold(2)):
        with pytest.raises(TypeError, match="not NoneType"):
            layer(None)
    for mode in ("reflect", "replicate"):
        with pytest.raises(RuntimeError, match="without that of the batch, have elements"):
            F.pad(wengert.ones(3, 0, 4, 4), (1, 1, 1, 1), mode)
    assert F.pad(wengert.ones(3, 0, 4), (1, 1), "circular").shape == (3, 0, 6)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_sampling_where_no_place_is(mode: str) -> None:
    x, nan, inf = wengert.arange(1.0, 7).reshape(1, 1, 2, 3), math.nan, math.inf
    grid = wengert.tensor([[[[nan, nan], [inf, -inf], [0.0, nan]]]], requires_grad=True)

    def sampled(padding: str) -> Any:
        return nn.functional.grid_sample(x, grid, mode, padding, align_corners=False)

    assert sampled("border").tolist() == [[[[1.0, 3.0, 2.0]]]]
    assert sampled("reflection").isfinite().all()
    sampled("border").sum().backward()
    assert grid.grad.isfinite().all()
    if mode == "nearest":
        assert not sampled("zeros").any()


def test_packed_and_padded_sequences_agree() -> None:
    wengert.manual_seed(0)
    lengths = [3, 5, 1, 4]
    sequences = [wengert.randn(n, 2) for n in lengths]
    for layer in (nn.LSTM(2, 3, 2, bidirectional=True), nn.GRU(2, 3), nn.RNN(2, 3, nonlinearity="relu", bidirectional=True)):
        output, state = layer(packed.pack_sequence(sequences, enforce_sorted=False))
        for i, (own, one) in enumerate(zip(packed.unpack_sequence(output), sequences)):
            alone, last = layer(one)
            assert far(own, alone) < 1e-6
            for a, b in zip(state if isinstance(state, tuple) else (state,), last if isinstance(last, tuple) else (last,)):
                assert far(a[:, i], b) < 1e-6


def test_no_samples_go_through_a_recurrence() -> None:
    for layer in (nn.LSTM(2, 3, 2, bidirectional=True), nn.LSTM(2, 6), nn.GRU(2, 6), nn.RNN(2, 6)):
        output, _ = layer(wengert.zeros(5, 0, 2))
        output.sum().backward()
        assert output.shape == (5, 0, 6)
    table = nn.Embedding(3, 0, sparse=True)  # nor do features there are none of
    table(wengert.tensor([[0, 2]])).sum().backward()
    assert table.weight.grad.is_sparse and table.weight.grad.shape == (3, 0)


def test_packing() -> None:
    padded = packed.pad_sequence([wengert.arange(3.0), wengert.arange(1.0)], batch_first=True, padding_value=9)
    assert array(padded).tolist() == [[0, 1, 2], [0, 9, 9]]
    left = packed.pad_sequence([wengert.arange(3.0), wengert.arange(1.0)], padding_side="left")
    assert array(left).T.tolist() == [[0, 1, 2], [0, 0, 0]]
    made = packed.pack_padded_sequence(padded, [3, 1], batch_first=True)
    assert made.long().data.dtype is wengert.int64 and made.byte().data.dtype is wengert.uint8
    assert array(made.data).tolist() == [0, 0, 1, 2] and made.batch_sizes.tolist() == [2, 1, 1] and made.sorted_indices is None
    back, lengths = packed.pad_packed_sequence(made, batch_first=True, padding_value=9, total_length=4)
    assert array(back).tolist() == [[0, 1, 2, 9], [0, 9, 9, 9]] and lengths.tolist() == [3, 1]
    with pytest.raises(RuntimeError, match="sorted in decreasing order"):
        packed.pack_padded_sequence(padded, [1, 3], batch_first=True)
    with pytest.raises(RuntimeError, match="greater than 0"):
        packed.pack_padded_sequence(padded, [3, 0], batch_first=True)


# ---- utils
def test_clipping() -> None:
    p, q = nn.Parameter(wengert.zeros(2)), nn.Parameter(wengert.zeros(1))
    for kind, total in ((2, 13.0), (1, 19.0), (math.inf, 12.0)):
        p.grad, q.grad = wengert.tensor([3.0, 4.0]), wengert.tensor([12.0])
        assert abs(float(utils.clip_grad_norm_([p, q], 1.0, kind)) - total) < 1e-5
        assert abs(float(utils.get_total_norm([p.grad, q.grad], kind)) - 1) < 1e-5
    utils.clip_grad_norm_([p, q], 100.0)
    p.grad = wengert.tensor([5.0, -5.0])
    utils.clip_grad_value_([p], 2.0)
    assert array(p.grad).tolist() == [2, -2]
    p.grad = wengert.tensor([math.nan, 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert float(utils.clip_grad_norm_([nn.Parameter(wengert.ones(1))], 1.0)) == 0


def test_parameters_as_a_vector() -> None:
    net = nn.Linear(2, 3)
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (9,) and vector.requires_grad
    utils.vector_to_parameters(wengert.arange(9.0), net.parameters())
    assert array(net.weight).tolist() == [[0, 1], [2, 3], [4, 5]] and array(net.bias).tolist() == [6, 7, 8]
    with pytest.raises(RuntimeError):
        utils.vector_to_parameters(wengert.zeros(8), net.parameters())
    assert array(net.weight).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_old_norms() -> None:
    net, x = nn.Linear(3, 4), wengert.randn(2, 3)
    before = net(x)
    with pytest.warns(FutureWarning):
        utils.weight_norm(net)
    assert list(net.state_dict()) == ["bias", "weight_g", "weight_v"] and far(net(x), before) < 1e-6
    net(x).sum().backward()
    assert net.weight_g.grad.shape == (4, 1)
    utils.remove_weight_norm(net)
    assert list(net.state_dict()) == ["bias", "weight"] and far(net(x), before) < 1e-6
    utils.spectral_norm(net)
    assert list(net.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    for _ in range(50):
        net(x)
    assert abs(float(wengert.linalg.svdvals(net.weight.detach())[0]) - 1) < 1e-4
    utils.remove_spectral_norm(net)
    assert isinstance(net.weight, nn.Parameter)


def test_parametrizations() -> None:
    class Symmetric(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.triu() + x.triu(1).mT

        def right_inverse(self, x: Any) -> Any:
            return x.triu()

    net = nn.Linear(3, 3)
    held = net.weight
    parametrize.register_parametrization(net, "weight", Symmetric())
    assert far(net.weight, net.weight.mT) == 0 and list(net.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert net.parametrizations.weight.original is held and isinstance(net, nn.Linear)
    assert parametrize.is_parametrized(net, "weight") and not parametrize.is_parametrized(net, "bias")
    with parametrize.cached():
        assert net.weight is net.weight
    assert net.weight is not net.weight
    wanted = wengert.eye(3) * 2
    net.weight = wanted
    assert far(net.weight, wanted) == 0
    net(wengert.ones(1, 3)).sum().backward()
    assert far(held.grad.tril(-1), wengert.zeros(3, 3)) == 0 and float(held.grad.abs().sum()) > 0
    other = copy.deepcopy(net)
    with wengert.no_grad():
        other.parametrizations.weight.original.zero_()
    assert far(net.weight, wanted) == 0
    parametrize.remove_parametrizations(net, "weight")
    assert type(net) is nn.Linear and net.weight is held and far(held, wanted) == 0
    with pytest.raises(ValueError, match="does not have a parametrization"):
        parametrize.remove_parametrizations(net, "weight")
    with pytest.raises(ValueError, match="may not change the shape"):
        parametrize.register_parametrization(net, "weight", nn.Flatten(0))


def test_a_second_parametrization_comes_on_top() -> None:
    class Twice(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

        def right_inverse(self, x: Any) -> Any:
            return x / 2

    class Other(nn.Module):
        def __init__(self, forward: Any, back: Any) -> None:
            super().__init__()
            self.forward, self.right_inverse = forward, back

    net = nn.Linear(2, 2)
    before = net.weight.detach().clone()
    parametrize.register_parametrization(net, "weight", nn.Identity())
    for forward, back, problem in (
        (lambda x: (x, x), None, "must return a tensor"), (lambda x: x > 0, None, "may not change the dtype"),
        (lambda x: x, lambda x: (x, x), "right_inverse must return a tensor"), (lambda x: x, lambda x: x[:1], "the same shape"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=problem):
            parametrize.register_parametrization(net, "weight", Other(forward, back or (lambda x: x)))
    assert len(net.parametrizations.weight) == 1 and far(net.weight, before) == 0
    parametrize.register_parametrization(net, "weight", Twice())
    assert far(net.weight, before * 2) == 0


def test_norms_as_parametrizations() -> None:
    net, x = nn.Linear(3, 4), wengert.randn(2, 3)
    before = net(x)
    parametrizations.weight_norm(net)
    assert list(net.state_dict())[1:] == ["parametrizations.weight.original0", "parametrizations.weight.original1"]
    assert far(net(x), before) < 1e-6
    with pytest.warns(FutureWarning, match="deprecated"):
        older = utils.weight_norm(nn.Linear(3, 4))
    net.load_state_dict(older.state_dict())
    assert far(net(x), older(x)) < 1e-6
    scaled = parametrizations.spectral_norm(nn.Linear(2, 2, dtype=wengert.complex64))
    assert abs(np.linalg.norm(array(scaled.eval().weight), 2) - 1) < 1e-2
    held = scaled.parametrizations.weight[0]
    u = array(scaled.parametrizations.weight.original) @ array(held._v)
    scaled.train().weight  # noqa: B018  (a step of the power iteration: u first)
    assert np.allclose(array(held._u), u / np.linalg.norm(u), atol=1e-6)
    conv = parametrizations.spectral_norm(nn.ConvTranspose1d(2, 3, 3), n_power_iterations=30)
    conv(wengert.randn(1, 2, 5))
    matrix = array(conv.eval().weight).transpose(1, 0, 2).reshape(3, -1)
    assert abs(np.linalg.norm(matrix, 2) - 1) < 1e-4
    for kind in ("matrix_exp", "cayley", "householder"):
        for n, m in ((3, 5), (5, 3), (4, 4)):
            made = parametrizations.orthogonal(nn.Linear(n, m), orthogonal_map=kind)
            made(wengert.randn(2, n)).square().sum().backward()
            wengert.optim.SGD(made.parameters(), lr=0.1).step()
            w = array(made.weight)
            gram = w @ w.T if m < n else w.T @ w
            assert np.allclose(gram, np.eye(len(gram)), atol=1e-5)
    start = init.orthogonal_(wengert.empty(4, 4))
    made = nn.Linear(4, 4)
    made.weight = nn.Parameter(start)
    assert far(parametrizations.orthogonal(made).weight, start) < 1e-5
    with pytest.raises(ValueError, match="matrices of shape"):
        made.weight = wengert.eye(5)


def test_pruning() -> None:
    wengert.manual_seed(0)
    net, x = nn.Linear(4, 3), wengert.randn(2, 4)
    original = array(net.weight)
    prune.l1_unstructured(net, "weight", 0.5)
    assert list(net.state_dict()) == ["bias", "weight_orig", "weight_mask"] and prune.is_pruned(net)
    cut = np.sort(np.abs(original), axis=None)[6]
    assert np.array_equal(array(net.weight), np.where(np.abs(original) >= cut, original, 0))
    prune.ln_structured(net, "weight", 1, 2, 0)
    assert ((array(net.weight) == 0).all(1)).sum() == 1 and float(net.weight_mask.sum()) < 6
    net(x).sum().backward()
    assert np.array_equal(array(net.weight_orig.grad) == 0, array(net.weight_mask) == 0)
    masked = array(net.weight)
    prune.remove(net, "weight")
    assert np.array_equal(array(net.weight), masked) and list(net.state_dict()) == ["bias", "weight"]
    other = nn.Linear(4, 3)
    prune.global_unstructured([(net, "weight"), (other, "weight")], prune.RandomUnstructured, amount=24)
    assert not array(net.weight).any() and not array(other.weight).any()
    prune.random_structured(nn.Linear(4, 3), "weight", 2, 1)
    container, least = prune.PruningContainer(), prune.L1Unstructured(1)
    container._tensor_name = least._tensor_name = "weight"
    container.add_pruning_method(least)
    mask = container.compute_mask(wengert.tensor([3.0, 1.0, 2.0]), wengert.tensor([1, 0, 1]))
    assert mask.dtype is wengert.float32 and mask.tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="has to be pruned"):
        prune.remove(nn.Linear(1, 1), "weight")


def test_fusion() -> None:
    for conv, x in ((nn.Conv2d(3, 4, 3), (2, 3, 5, 5)), (nn.ConvTranspose2d(3, 4, 3), (2, 3, 5, 5))):
        norm = nn.BatchNorm2d(4)
        init.uniform_(norm.weight)
        norm(conv(wengert.randn(x)))
        y = wengert.randn(x)
        transposed = isinstance(conv, nn.ConvTranspose2d)
        assert far(utils.fuse_conv_bn_eval(conv.eval(), norm.eval(), transposed)(y), norm(conv(y))) < 1e-5
    linear, norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
    norm(linear(wengert.randn(9, 3)))
    y = wengert.randn(2, 3)
    assert far(utils.fuse_linear_bn_eval(linear.eval(), norm.eval())(y), norm(linear(y))) < 1e-5


# ---- against PyTorch
def database() -> Any:
    """PyTorch's module database and the checks on it; None without PyTorch."""
    if importlib.util.find_spec("torch") is None:
        return None
    name = "parity_modules"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / "parity" / "modules.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
    return sys.modules[name]


NAMES = [info.module_cls.__name__ for info in database().module_db] if database() else ["without PyTorch"]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_every_sample_agrees_with_pytorch(name: str) -> None:
    tools = database()
    info = next(info for info in tools.module_db if info.module_cls.__name__ == name)
    for dtype in tools.DTYPES:
        for what, outcome in tools.check(info, dtype).items():
            assert not outcome.failures, (what, dtype, outcome.failures[:3])


def convolutional(T: Any) -> Any:
    return T.nn.Sequential(
        T.nn.Conv2d(3, 8, 3, padding=1), T.nn.BatchNorm2d(8), T.nn.ReLU(), T.nn.MaxPool2d(2), T.nn.Flatten(), T.nn.Linear(128, 5)
    )


def recurrent(T: Any) -> Any:
    class Model(T.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.table, self.out = T.nn.Embedding(10, 6), T.nn.Linear(14, 10)
            self.layer = T.nn.LSTM(6, 7, 2, batch_first=True, bidirectional=True)

        def forward(self, x: Any) -> Any:
            return self.out(self.layer(self.table(x))[0])

    return Model()


def transformer(T: Any) -> Any:
    return T.nn.TransformerEncoder(T.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 2)


RNG = np.random.default_rng(0)
TRAININGS: list[tuple[Any, Any, Any, str, float]] = [
    (convolutional, RNG.normal(size=(8, 3, 8, 8)),
     lambda T, y: T.nn.CrossEntropyLoss()(y, T.tensor([0, 1, 2, 3, 4, 0, 1, 2])), "SGD", 0.1),
    (recurrent, RNG.integers(0, 10, (4, 9)), lambda T, y: y.logsumexp(-1).mean() - y[..., 0].mean(), "Adam", 0.01),
    (transformer, RNG.normal(size=(2, 5, 8)), lambda T, y: y.sin().mean(), "SGD", 0.1),
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("make", "x", "loss", "optimizer", "rate"), TRAININGS, ids=lambda v: getattr(v, "__name__", ""))
def test_twenty_steps_of_training_agree_with_pytorch(torch: Any, make: Any, x: Any, loss: Any, optimizer: str, rate: float) -> None:
    torch.manual_seed(0)
    theirs, mine = make(torch).double(), make(wengert).double()
    assert repr(theirs) == repr(mine)
    mine.load_state_dict(theirs.state_dict())
    for T, model in ((torch, theirs), (wengert, mine)):
        stepping = getattr(T.optim, optimizer)(model.parameters(), lr=rate)
        for _ in range(20):
            stepping.zero_grad()
            loss(T, model(T.tensor(x))).backward()
            stepping.step()
    for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values()):
        assert np.allclose(array(a), array(b), rtol=1e-7, atol=1e-9), name


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_signatures_are_pytorchs(torch: Any) -> None:
    """Constructors take PyTorch's arguments, in its order, with its defaults."""
    import inspect

    checked = 0
    for name in dir(torch.nn):
        theirs, mine = getattr(torch.nn, name), getattr(nn, name, None)
        if not (isinstance(theirs, type) and issubclass(theirs, torch.nn.Module)) or mine is None:
            continue
        want = inspect.signature(theirs.__init__).parameters
        got = inspect.signature(mine.__init__).parameters
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in (*want.values(), *got.values())):
            continue
        checked += 1
        assert list(want) == list(got), name
        for parameter in want.values():
            if not callable(parameter.default) or parameter.default is inspect.Parameter.empty:
                assert got[parameter.name].default == parameter.default, (name, parameter.name)
                assert got[parameter.name].kind == parameter.kind, (name, parameter.name)
    assert checked > 100


@pytest.mark.parity
@pytest.mark.parametrize("name", ["elu", "celu", "selu"])
def test_second_derivatives_at_the_bend_are_pytorchs(torch: Any, name: str) -> None:
    curves = []
    for library in (wengert, torch):
        x = library.tensor([-1.0, 0.0, 1.0], requires_grad=True)
        (slope,) = library.autograd.grad(getattr(library.nn.functional, name)(x).sum(), x, create_graph=True)
        curves.append(library.autograd.grad(slope.sum(), x)[0].numpy())
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-6)


def test_a_margin_makes_floats() -> None:
    whole = wengert.tensor([3, 1])
    assert nn.functional.margin_ranking_loss(whole, whole.flip(0), wengert.tensor([1, 1]), reduction="sum").dtype is wengert.float32


# ---- what may be written to after a call
@pytest.mark.parametrize(
    "name", ["gelu", "silu", "max_pool1d", "max_pool2d", "adaptive_max_pool2d", "hardswish", "mish", "softplus", "leaky_relu"]
)
def test_results_may_be_written_to_where_pytorch_keeps_none(name: str) -> None:
    """As in `nn.Sequential(nn.MaxPool2d(2), nn.ReLU(inplace=True))`."""
    f = getattr(wengert.nn.functional, name)
    sizes = {"max_pool1d": (3,), "max_pool2d": (2,), "adaptive_max_pool2d": (2,)}.get(name, ())
    x = wengert.tensor(np.random.default_rng(0).normal(size=(1, 2, 6, 6) if name != "max_pool1d" else (2, 3, 9)), requires_grad=True)
    y = f(x, *sizes)
    (expected,) = wengert.autograd.grad((y**2).sum(), x)
    y = f(x, *sizes)
    weights = 2 * y.detach().clone()
    y.mul_(3)
    (found,) = wengert.autograd.grad((y * weights).sum() / 3, x)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9)


def test_what_pytorch_keeps_may_not_be_written_to() -> None:
    x = wengert.ones(3, requires_grad=True)
    for f in (wengert.exp, wengert.tanh, wengert.sigmoid, lambda x: wengert.softmax(x, 0)):
        y = f(x)
        y.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


# ---- a compiled module is a module
def test_a_compiled_module_is_a_module() -> None:
    wengert.manual_seed(0)
    model = wengert.nn.Sequential(wengert.nn.Linear(3, 4), wengert.nn.Dropout(0.5), wengert.nn.Linear(4, 1))
    compiled = wengert.compile(model)
    assert isinstance(compiled, wengert.nn.Module) and compiled._orig_mod is model
    assert compiled.get_submodule("_orig_mod.0") is model[0] and compiled.append.__self__ is model
    assert list(compiled.state_dict()) == [f"_orig_mod.{k}" for k in model.state_dict()]
    assert [*compiled.parameters()] == [*model.parameters()]
    compiled.eval()
    assert not model.training and not model[1].training
    x = wengert.ones(2, 3)
    for _ in range(3):  # eager, captured, run
        assert wengert.allclose(compiled(x), model(x))
    compiled.train()
    optimizer = wengert.optim.SGD(compiled.parameters(), lr=0.1)
    before = model[0].weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        compiled(x).sum().backward()
        optimizer.step()
    assert not wengert.equal(before, model[0].weight)
    with pytest.raises(AttributeError, match="nothing_such"):
        compiled.nothing_such  # noqa: B018
    other = pickle.loads(pickle.dumps(compiled))  # compiled as this one
    assert type(other) is type(compiled) and other._orig_mod is not model and not other.eval()._orig_mod[1].training
    compiled.eval()
    assert [wengert.equal(other(x), compiled(x)) for _ in range(3)] == [True] * 3


# ---- what PyTorch has at the top of `torch`, and beside
def _weights(mode: str, layers: int, directions: int) -> list[tuple[int, ...]]:
    gates, shapes = {"lstm": 4, "gru": 3}.get(mode, 1) * 4, list[tuple[int, ...]]()
    for layer in range(layers):
        shapes += [(gates, 4 * directions if layer else 3), (gates, 4), (gates,), (gates,)] * directions
    return shapes


def _signs(T: Any) -> Any:
    return T.tensor([1, -1, 1])


TOP: dict[str, tuple[Any, list[tuple[int, ...]]]] = {
    "conv_tbc": (lambda T, x, w, b: T.nn.functional.conv_tbc(x, w, b, 1), [(7, 2, 3), (3, 3, 5), (5,)]),
    "convolution": (lambda T, x, w, b: T.convolution(x, w, b, [2, 1], [1, 1], [1, 1], False, [0, 0], 1), [(2, 3, 6, 6), (4, 3, 3, 3), (4,)]),
    "convolution transposed": (
        lambda T, x, w: T.convolution(x, w, None, [2, 1], [1, 1], [1, 1], True, [1, 0], 1), [(2, 4, 6, 6), (4, 3, 3, 3)]
    ),
    "adaptive_max_pool2d_with_indices": (lambda T, x: T.nn.functional.adaptive_max_pool2d_with_indices(x, (2, 3)), [(2, 3, 7, 7)]),
    "adaptive_max_pool3d_with_indices": (lambda T, x: T.nn.functional.adaptive_max_pool3d_with_indices(x, 2), [(1, 2, 5, 4, 5)]),
    "fractional_max_pool2d_with_indices": (
        lambda T, x: T.nn.functional.fractional_max_pool2d_with_indices(
            x, 2, output_size=3, _random_samples=T.full((1, 2, 2), 0.4, dtype=T.float64)), [(1, 2, 8, 8)],
    ),
    "affine_grid_generator": (lambda T, x: T.affine_grid_generator(x, (1, 1, 3, 3), False), [(1, 2, 3)]),
    **{
        f"{mode}{'' if train else ' packed'}": (
            (lambda T, x, h, c, *p, mode=mode: getattr(T, mode)(
                x, (h, c) if mode == "lstm" else h, list(p), True, 2, 0.0, True, True, True)) if train else
            (lambda T, x, h, c, *p, mode=mode: getattr(T, mode)(
                x, T.tensor([2, 2, 1]), (h, c) if mode == "lstm" else h, list(p), True, 1, 0.0, True, False)),
            [(2, 5, 3), (4, 2, 4), (4, 2, 4), *_weights(mode, 2, 2)] if train else
            [(5, 3), (1, 2, 4), (1, 2, 4), *_weights(mode, 1, 1)],
        )
        for mode in ("lstm", "gru", "rnn_tanh", "rnn_relu") for train in (True, False)
    },
    **{
        f"{mode}_cell": (lambda T, x, h, c, *p, mode=mode: getattr(T, f"{mode}_cell")(x, (h, c) if mode == "lstm" else h, *p),
                         [(2, 3), (2, 4), (2, 4), *_weights(mode, 1, 1)])
        for mode in ("lstm", "gru", "rnn_tanh", "rnn_relu")
    },
    **{
        f"{name} {n}": (lambda T, *x, f=f, n=n: f(T, n, *x), shapes)
        for n in (0, 1, 2)
        for name, (f, shapes) in {
            "binary_cross_entropy_with_logits": (
                lambda T, n, x, y: T.binary_cross_entropy_with_logits(x, y.detach().sigmoid(), None, None, n), [(3, 2), (3, 2)]),
            "cosine_embedding_loss": (lambda T, n, x, y: T.cosine_embedding_loss(x, y, _signs(T), 0.2, n), [(3, 2), (3, 2)]),
            "hinge_embedding_loss": (lambda T, n, x: T.hinge_embedding_loss(x, _signs(T), 1.2, n), [(3,)]),
            "kl_div": (lambda T, n, x, y: T.kl_div(x.log_softmax(-1), y.detach().softmax(-1), n), [(3, 2), (3, 2)]),
            "margin_ranking_loss": (lambda T, n, x, y: T.margin_ranking_loss(x, y, _signs(T), 0.2, n), [(3,), (3,)]),
            "poisson_nll_loss": (lambda T, n, x: T.poisson_nll_loss(x, T.ones(3, dtype=T.float64), True, False, 1e-8, n), [(3,)]),
            "triplet_margin_loss": (lambda T, n, x, y, z: T.triplet_margin_loss(x, y, z, reduction=n), [(3, 4)] * 3),
            "ctc_loss": (
                lambda T, n, x: T.ctc_loss(x.log_softmax(-1), T.tensor([[1, 2], [2, 1]]), (5, 5), (2, 2), 0, n), [(5, 2, 4)]),
        }.items()
    },
}  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("name", TOP)
def test_what_is_at_the_top_equals_pytorchs(torch: Any, name: str) -> None:
    call, shapes = TOP[name]
    made = []
    for T in (wengert, torch):
        given = [T.tensor(np.cos(np.arange(math.prod(s)) * 1.7 + i).reshape(s), requires_grad=True) for i, s in enumerate(shapes)]
        found = call(T, *given)
        found = found if isinstance(found, tuple) else (found,)
        sum((v * T.arange(v.numel(), dtype=T.float64).reshape(v.shape).cos()).sum() for v in found if v.dtype is T.float64).backward()
        made.append([array(v) for v in found] + [array(x.grad) for x in given if x.grad is not None])
    assert len(made[0]) == len(made[1])
    for mine, theirs in zip(*made, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-9, 1e-9)


def test_neighbouring_channels_are_as_many_before_as_behind() -> None:
    x = wengert.arange(1.0, 8.0).reshape(1, 7, 1, 1)
    for size, around in ((1, 0), (2, 0), (3, 1), (4, 1), (5, 2)):
        made = nn.CrossMapLRN2d(size, 0.5, 1.0, 2.0)(x)
        sums = [sum((i + 1) ** 2 for i in range(7) if abs(i - c) <= around) for c in range(7)]
        np.testing.assert_allclose(made.reshape(-1).numpy(), [(c + 1) / (2 + 0.5 / size * n) for c, n in enumerate(sums)], 1e-6)
    assert repr(nn.CrossMapLRN2d(3)) == "CrossMapLRN2d(3, alpha=0.0001, beta=0.75, k=1)"


def test_cross_entropy_of_logits_that_lie_in_columns() -> None:
    x, y = wengert.randn(7, 5, dtype=wengert.float64), wengert.tensor([0, 1, 2, 3, 4, 0, -100])

    def slope(logits: Any) -> Any:
        return wengert.autograd.grad(nn.functional.cross_entropy(logits * 2, y), logits)[0]

    rows, columns, compiled = x.clone().requires_grad_(), x.t().contiguous().t().requires_grad_(), wengert.compile(slope)
    for given in (columns, rows, columns, rows, columns):
        assert far(slope(given), slope(rows)) < 1e-12 and far(compiled(given), slope(rows)) < 1e-12


@pytest.mark.parametrize("reduction", [7, -1, "mean"])
def test_reductions_at_the_top_are_three_numbers(reduction: Any) -> None:
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        wengert.kl_div(wengert.ones(2), wengert.ones(2), reduction)


def test_what_rare_names_refuse() -> None:
    with pytest.raises(RuntimeError, match="input of 3 dims"):
        wengert.conv_tbc(wengert.ones(3, 2), wengert.ones(2, 2, 2), wengert.ones(2))
    with pytest.raises(ValueError, match="7 solutions"):
        wengert.lobpcg(wengert.eye(3), k=7)
