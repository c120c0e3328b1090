"""Compiled functions and what varies from call to call: leading sizes, Python floats, counters.

Owns: the proofs that a graph for any size or float gives what eager gives, and is made only where it does. May import: wengert,
the case table, NumPy. Must not know: how captures are compared.
"""

from __future__ import annotations

import fractions
import io
import math
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from test_compile import fits
from wengert.testing.cases import FUNCTIONS
from wengert.testing.ops import call, flat

F = torch.nn.functional
SIZES = (8, 12, 16, 32, 7, 100, 65, 64, 5, 3, 2, 300, 16)
torch.manual_seed(0)
WEIGHT = torch.randn(3, 4, requires_grad=True)


def grad(loss: Callable[[Any], Any]) -> Any:
    return torch.autograd.grad(loss(WEIGHT), WEIGHT)[0]


ANY_SIZE: dict[str, Callable[[Any], Any]] = {
    "mean": lambda x: x.mean(),
    "reshape": lambda x: x.reshape(x.shape[0], -1, 1),
    "view": lambda x: x.view(-1),
    "pairs": lambda x: ((x[:, None] - x[None]) ** 2).sum(-1).reshape(-1),
    "arange": lambda x: torch.arange(x.shape[0]) + x[:, 0],
    "len": lambda x: torch.arange(len(x)).float() / len(x),
    "expand": lambda x: x[0].expand(x.shape[0], 3),
    "half": lambda x: x[: x.shape[0] // 2].sum() + x[x.size(0) - 1],
    "numbers": lambda x: x * x.size(0) + x.numel() + x.shape[0] / 7,
    "power": lambda x: x * x.shape[0] ** -0.5 + math.sqrt(x.shape[0]) + math.log(x.size(0)),
    "rounded": lambda x: x * round(x.shape[0] / 3) + math.floor(x.shape[0] / 3) + divmod(x.shape[0], 3)[1],
    "of another dim": lambda x: x / float(x.shape[1]) + int(x.shape[1]),
    "assertion": lambda x: x * (1 if x.shape[1] == 3 and x.dim() == 2 else 2),
    "returned": lambda x: (x, x.shape[0], x.shape),
    "number made a tensor": lambda x: x * torch.tensor(x.shape[0]),
    "ones": lambda x: torch.ones(x.shape[0] // 2, 3).sum(0) + torch.full((x.shape[0],), 1.5) @ x,
    "mask": lambda x: (x @ x.t()).masked_fill(torch.triu(torch.ones(len(x), len(x)), 1) == 1, 0.0),
    "cat": lambda x: torch.cat([x, x * 2]).mean(0),
    "chunk": lambda x: x.chunk(2)[0],
    "softmax": lambda x: x.softmax(0) + x.t().softmax(-1).t(),
    "sort": lambda x: x.sort(0)[0] + x.topk(2, 0)[0].sum(),
    "cumsum": lambda x: x.cumsum(0).flip(0),
    "pool": lambda x: F.max_pool1d(x.t()[None], 2)[0],
    "gradient of mean": lambda x: grad(lambda w: ((x @ w) ** 2).mean()),
    "gradient of var": lambda x: grad(lambda w: (x @ w).var() + (x @ w).std() + (x @ w).var(0).sum()),
    "gradient of losses": lambda x: grad(
        lambda w: F.cross_entropy(x @ w, torch.arange(x.shape[0]) % 4)
        + F.mse_loss(x @ w, torch.ones(x.shape[0], 4))
        + F.smooth_l1_loss(x @ w, (x @ w).detach() * 2)
        + F.kl_div(F.log_softmax(x @ w, 1), F.softmax(x @ w.detach(), 1), reduction="batchmean")
    ),
    "gradient of batch_norm": lambda x: grad(lambda w: (F.batch_norm(x @ w, None, None, training=True) ** 3).mean()),
}  # fmt: skip
ITS_OWN: dict[str, tuple[Callable[[Any], Any], str]] = {  # what must be captured for each size, and why
    "int": (lambda x: x * 3 if int(x.shape[0]) == 16 else x, "out of sight"),
    "float": (lambda x: x * float(x.shape[0]), "out of sight"),
    "hash": (lambda x: x * {16: 2, 8: 3}.get(x.shape[0], 1), "out of sight|another way"),
    "repeated list": (lambda x: x * 3 if len([0] * x.shape[0]) == 16 else x, "out of sight"),
    "numpy": (lambda x: x * np.sqrt(x.shape[0]), "out of sight"),
    "index of a list": (lambda x: x * [1, 2, 3, 4, 5, 6, 7][x.shape[0] % 7], "out of sight"),
    "linspace": (lambda x: torch.linspace(0, 1, x.shape[0]) @ x, "makes data"),
    "loop": (lambda x: sum(x[i] for i in range(x.shape[0])), "loops over the size"),
    "rows": (lambda x: sum(row * 2 for row in x), "loops over the size"),
    "vmap": (lambda x: torch.func.vmap(lambda r: r * 2 if r.shape[0] > 64 else r, 1)(x), "transforms of func|another way"),
}
BRANCHES: dict[str, tuple[Callable[[Any], Any], int]] = {  # decisions on the size, and the graphs they lead to
    "larger": (lambda x: x * 2 if x.shape[0] > 64 else x - 1, 2),
    "len": (lambda x: x * 2 if len(x) > 64 else x - 1, 2),
    "beside a float": (lambda x: x * 2 if 0.5 * x.shape[0] > 32 else x - 1, 2),
    "a float over it": (lambda x: x * 2 if 64.0 / x.shape[0] < 1 else x - 1, 2),
    "even": (lambda x: x.reshape(2, -1, 3) if x.shape[0] % 2 == 0 else x, 2),
    "max": (lambda x: x * max(x.shape[0], 10), 2),
    "of a result": (lambda x: x * 2 if (x @ x.t())[1:].shape[0] >= 64 else x, 2),
}


RARE: dict[str, Callable[[Any], Any]] = {  # what no size that is tried decides otherwise
    "a float times it": lambda x: x * 2 if 1e-3 * x.shape[0] > 3 else x,
    "a float plus it": lambda x: x * 2 if 1.0 + x.shape[0] > 3000 else x,
    "a float is it": lambda x: x * 2 if 17.0 == x.shape[0] else x,
    "the smaller": lambda x: x * min(3000.0, x.shape[0]),
    "complex": lambda x: x * 2 if abs(x.shape[0] + 0j) > 3000 else x,
    "a fraction": lambda x: x * 2 if fractions.Fraction(x.shape[0], 3000) > 1 else x,
    "a range": lambda x: x * 2 if len(range(x.shape[0])) > 3000 else x,
    "a number of NumPy's": lambda x: x * 2 if np.float64(1) * x.shape[0] > 3000 else x,
    "a stride": lambda x: x * 2 if x.reshape(1, -1).stride(0) > 3000 else x,
    "a floor": lambda x: x * math.floor(x.shape[0] / 3000),
    "its type": lambda x: x * 2 if type(x.shape[0]) is int else x,
}


def ran(function: Callable[[Any], Any]) -> tuple[Callable[[Any], Any], Callable[[], int]]:
    """Return a function, and another that says how often its Python ran."""

    runs = io.StringIO()  # a file is no state that a function reads

    def f(x: Any) -> Any:
        runs.write(".")
        return function(x)

    return f, lambda: len(runs.getvalue())


def same(ours: Any, theirs: Any) -> None:
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert type(a) is type(b)
        if isinstance(b, torch.Tensor):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-5, 1e-6)
        else:
            assert a == b


@pytest.mark.parametrize("name", ANY_SIZE)
def test_a_function_of_any_size_is_captured_once(name: str) -> None:
    f, runs = ran(ANY_SIZE[name])
    compiled, counts = torch.compile(f, dynamic=True), []
    for n in SIZES:
        x = torch.randn(n, 3)
        same(compiled(x), ANY_SIZE[name](x))
        counts.append(runs())
    assert counts[1:] == [counts[1]] * (len(SIZES) - 1), compiled.explanation()
    assert "any leading size: 1 graphs" in compiled.explanation()


@pytest.mark.parametrize("name", ITS_OWN)
def test_a_size_that_goes_out_of_sight_is_captured_of_its_own(name: str) -> None:
    function, why = ITS_OWN[name]
    compiled = torch.compile(lambda x: function(x), dynamic=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in SIZES:
            x = torch.randn(n, 3)
            for _ in range(3):
                same(compiled(x), function(x))
    assert re.search(f"a leading size of its own: .*({why})", compiled.explanation()), compiled.explanation()
    assert not any(family.general for family in compiled.families.values())


@pytest.mark.parametrize("name", RARE)
def test_a_size_beyond_all_that_are_tried_is_computed_as_eager_code_does(name: str) -> None:
    compiled = torch.compile(RARE[name], dynamic=True)
    for n in (40, 40, 41, 60, 5000, 17, 17):
        x = torch.ones(n)
        same(compiled(x), RARE[name](x))


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_on_the_size_is_a_graph_of_its_own(name: str) -> None:
    function, graphs = BRANCHES[name]
    f, runs = ran(function)
    compiled = torch.compile(f, dynamic=True)
    for _ in range(2):
        for n in SIZES:
            x = torch.randn(n, 3)
            same(compiled(x), function(x))
    before = runs()
    for n in (9, 10, 11, 63, 66, 67, 200, 999):
        x = torch.randn(n, 3)
        same(compiled(x), function(x))
    assert runs() == before and f"any leading size: {graphs} graphs" in compiled.explanation()


@pytest.mark.parametrize("test", [lambda n: n == 16, lambda n: n in (16, 32), lambda n: (n, 3) == (16, 3), lambda n: not n - 16])
def test_one_size_that_is_another_case(test: Callable[[Any], bool]) -> None:
    def f(x: Any) -> Any:
        return x * 3 if test(x.shape[0]) else x + 1

    compiled = torch.compile(f, dynamic=True)
    for n in (*SIZES, *SIZES):
        x = torch.randn(n, 3)
        same(compiled(x), f(x))
    assert "any leading size: 1 graphs" in compiled.explanation()


def test_data_made_in_python_are_made_anew_for_larger_sizes() -> None:
    compiled = torch.compile(lambda x: torch.arange(x.shape[0]) * x, dynamic=True)
    for n in (10, 20, 30, 6000, 7000, 5500):
        same(compiled(torch.ones(n)), torch.arange(n) * 1.0)


def test_sizes_of_no_or_one_row_are_their_own() -> None:
    compiled = torch.compile(lambda x: (x - x.mean(0)).sum(0) + x.shape[0], dynamic=True)
    for n in (4, 6, 1, 0, 1, 9, 0, 1):
        same(compiled(torch.ones(n, 2)), torch.full((2,), float(n)) if n else torch.full((2,), 0.0))


@pytest.mark.parametrize("part", range(6))
def test_the_case_table_with_other_sizes(part: int) -> None:
    """Run the cases that a capture has with first arguments of other sizes: where eager runs, the same comes out."""
    general = 0
    warnings.simplefilter("ignore")  # what cannot be captured runs eagerly, and says so
    for case in list(FUNCTIONS.values())[part::24]:
        for sample in case.samples if fits(case) else ():
            arrays = sample.arrays(case.name)
            if not arrays or any(a.dtype == bool for a in arrays) or not arrays[0].ndim or arrays[0].shape[0] < 2:
                continue

            def run(*values: Any, case: Any = case, sample: Any = sample) -> Any:
                inputs = [(v * 1.5).detach().requires_grad_() if v.is_floating_point() else v for v in values]
                made = flat(call(torch, case, sample, [v * 1 if v.requires_grad else v for v in inputs]))
                made = [r for r in made if isinstance(r, torch.Tensor)]
                terms = [(r * r).sum() for r in made if r.requires_grad and r.is_floating_point()]
                wanted = [v for v in inputs if v.requires_grad]
                grads = torch.autograd.grad(sum(terms), wanted, allow_unused=True) if terms and wanted else ()
                return [r.detach() for r in made], [g for g in grads if g is not None]

            lead = arrays[0].shape[0]
            compiled = torch.compile(run, dynamic=True, fallback="eager")
            for n in (lead, lead, lead + 1, 2, 7, 16):
                given = [np.resize(a, (n, *a.shape[1:])) if a.ndim and a.shape[0] == lead else a for a in arrays]
                try:
                    expected = run(*[torch.from_numpy(a.copy()) for a in given])
                except Exception as error:
                    with pytest.raises((type(error), IndexError)):  # a captured scatter's indices are judged by its kernel
                        compiled(*[torch.from_numpy(a.copy()) for a in given])
                    continue
                made = compiled(*[torch.from_numpy(a.copy()) for a in given])
                assert len(made[0]) == len(expected[0]) and len(made[1]) == len(expected[1])
                for a, b in zip((*made[0], *made[1]), (*expected[0], *expected[1]), strict=True):
                    assert a.shape == b.shape and a.dtype == b.dtype
                    np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9, 1e-9, err_msg=f"{case.name}{sample} for {n}")
            general += any(family.general for family in compiled.families.values())
    assert general > 5


# ---- training
def trained(
    optimizer: str, sizes: tuple[int, ...], compiled: bool, dynamic: bool | None, schedule: Any = None, device: str = "cpu"
) -> Any:
    """Return losses, the module's tensors, and the function, after a step for each size."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 8, bias=False), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(8, 3)
    ).to(device)
    update = getattr(torch.optim, optimizer)(model.parameters(), lr=0.05)
    scheduler = schedule and schedule(update)

    runs = io.StringIO()

    def step(x: Any, y: Any) -> Any:
        runs.write(".")
        update.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        update.step()
        return loss

    function, losses, counts = torch.compile(step, dynamic=dynamic) if compiled else step, [], []
    for i, n in enumerate(sizes):
        x = torch.linspace(-1, 1, n * 5).reshape(n, 5).sin().to(device)
        torch.manual_seed(i)
        losses.append(function(x, (torch.arange(n) % 3).to(device)).item())
        counts.append(len(runs.getvalue()))
        if scheduler is not None:
            scheduler.step()
    return losses, [t.detach().cpu().numpy() for t in model.state_dict().values()], counts, function


def compare(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours[0], theirs[0], 2e-4, 1e-5)
    for a, b in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(a, b, 2e-3, 2e-4)


BATCHES = (16, 16, 8, 24, 7, 33, 16, 100, 5, 12)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_training_step_of_any_batch_is_captured_once(optimizer: str) -> None:
    ours = trained(optimizer, BATCHES, True, True)
    compare(ours, trained(optimizer, BATCHES, False, True))
    assert len(set(ours[2][1:])) == 1 and not ours[3].recaptures  # no Python after the capture


class Attention(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = torch.nn.Embedding(11, 8), torch.nn.LayerNorm(8)
        self.attend, self.out = torch.nn.MultiheadAttention(8, 2, batch_first=True), torch.nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        b, t = x.shape
        h = self.embed(x) + (torch.arange(t) / 10).sin()[None, :, None]
        mask = torch.triu(torch.ones(t, t), 1) == 1
        h = self.norm(h + self.attend(h, h, h, attn_mask=mask)[0])
        return self.out(h.reshape(b * t, -1)).view(b, t, 3).mean(1)


MODULES: dict[str, tuple[Callable[[], Any], Callable[[int], Any]]] = {
    "attention": (Attention, lambda n: torch.arange(n * 6).reshape(n, 6) % 11),
    "gru": (lambda: torch.nn.GRU(5, 4, batch_first=True), lambda n: torch.randn(n, 3, 5)),
    "convolution": (
        lambda: torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten()),
        lambda n: torch.randn(n, 1, 8, 8),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_takes_any_batch(name: str) -> None:
    make, data = MODULES[name]
    torch.manual_seed(0)
    model = make()
    compiled = torch.compile(lambda x: model(x), dynamic=True)
    for n in (8, 8, 4, 16, 2, 33, 1, 8):
        x, made = data(n), []
        for function in (compiled, model):
            model.zero_grad()
            y = flat(function(x))[0]
            y.pow(2).mean().backward()
            made.append([y.detach(), *(p.grad for p in model.parameters())])
        for a, b in zip(*made, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-3, 1e-5)
    assert "any leading size: 1 graphs" in compiled.explanation() and len(compiled.entries) == 6


def test_a_loss_of_any_batch_is_differentiated_outside() -> None:
    w, b = torch.randn(5, 4, requires_grad=True), torch.zeros(4, requires_grad=True)

    def loss(x: Any, y: Any) -> Any:
        return ((x @ w + b).tanh() - y).pow(2).mean() + (x @ w).var()

    f, runs = ran(lambda pair: loss(*pair))
    compiled, counts = torch.compile(lambda x, y: f((x, y)), dynamic=True), []
    for n in SIZES:
        x, y, made = torch.randn(n, 5, requires_grad=True), torch.randn(n, 4), []
        for function in (compiled, loss):
            for t in (w, b, x):
                t.grad = None
            value = function(x, y)
            value.backward()
            made.append([value.detach(), *(t.grad for t in (w, b, x))])
        same(*made)
        counts.append(runs())
    assert len(set(counts[1:])) == 1


def test_sizes_become_open_by_themselves_after_some() -> None:
    for dynamic, runs in ((None, 2), (False, 2 * 9)):
        f, count = ran(lambda x: (x * 2).mean(0) + x.shape[0])
        compiled = torch.compile(f, dynamic=dynamic)
        for n in (4, 4, 5, 5):
            same(compiled(torch.ones(n, 2)), torch.full((2,), 2.0 + n))
        assert count() == 4
        for n in (6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14):
            same(compiled(torch.ones(n, 2)), torch.full((2,), 2.0 + n))
        assert count() == 4 + runs if dynamic is False else count() <= 4 + 8
        before = count()
        if dynamic is None:
            for n in range(20, 40):
                compiled(torch.ones(n, 2))
            assert count() == before and not compiled.crowded


def test_captures_for_other_sizes_leave_nothing_behind() -> None:
    total, weight = torch.zeros(3), torch.ones(3, requires_grad=True)
    state = {"calls": 0}

    def f(x: Any) -> Any:
        state["calls"] += 1
        total.add_(x.sum(0))
        weight.grad = None
        (weight * x).sum().backward()
        x.mul_(2)
        return x.mean()

    compiled = torch.compile(f, dynamic=True)
    for i, n in enumerate((4, 4, 6, 9)):
        x = torch.ones(n, 3)
        assert compiled(x).item() == 2.0 and x.sum().item() == 6.0 * n
        assert total[0].item() == (4, 8, 14, 23)[i] and weight.grad.tolist() == [float(n)] * 3
    assert not compiled.recaptures and state["calls"] == 4


def test_arguments_of_other_sizes_are_another_kind() -> None:
    compiled = torch.compile(lambda x, w: x @ w, dynamic=True)
    for n, m in ((4, 3), (4, 3), (5, 3), (3, 3), (3, 3), (3, 3), (6, 3), (4, 2), (4, 2), (7, 2)):
        x, w = torch.randn(n, m), torch.randn(m, 4)
        same(compiled(x, w), x @ w)


def test_sizes_that_threads_bring_at_once() -> None:
    compiled = torch.compile(lambda x: (x * x.shape[0]).sin().mean(0), dynamic=True)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        for n in np.random.default_rng(seed).integers(2, 40, 30).tolist():
            x = torch.ones(n, 2)
            if not torch.allclose(compiled(x), (x * n).sin().mean(0)):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_any_batch_and_rate_on_a_device() -> None:
    pytest.importorskip("pyopencl")
    if not any(d.available for d in torch.device("opencl").backend.devices()):
        pytest.skip("no OpenCL device")

    def schedule(o: Any) -> Any:
        return torch.optim.lr_scheduler.ExponentialLR(o, 0.9)

    sizes = (16, 16, 8, 16)
    ours = trained("SGD", sizes, True, True, schedule, "opencl")
    compare(ours, trained("SGD", sizes, False, True, schedule, "opencl"))
    assert len(ours[3].recaptures) == 1


# ---- floats
SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "exponential": lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=20),  # changes betas too
}


RATES = [*((o, "exponential") for o in ("SGD", "Adam", "RMSprop", "Adagrad", "Adamax", "RAdam")),
         *((o, s) for o in ("SGD", "Adam") for s in ("cosine", "one cycle"))]  # fmt: skip


@pytest.mark.parametrize("optimizer, schedule", RATES)
def test_a_rate_that_is_scheduled_is_captured_twice_at_most(optimizer: str, schedule: str) -> None:
    sizes = (16,) * 12
    ours = trained(optimizer, sizes, True, None, SCHEDULES[schedule])
    compare(ours, trained(optimizer, sizes, False, None, SCHEDULES[schedule]))
    assert len(ours[3].recaptures) == 1 and len(set(ours[2][5:])) == 1


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_a_rate_that_is_scheduled_at_each_epoch_is_captured_twice_at_most(momentum: float) -> None:
    w = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=momentum)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    @torch.compile
    def step() -> None:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    for i in range(40):  # a new rate is met by an eager call first
        step()
        if i % 4 == 3:
            scheduler.step()
    assert len(step.recaptures) == 1


def test_rates_and_batches_change_together() -> None:
    ours = trained("Adam", BATCHES, True, True, SCHEDULES["exponential"])
    compare(ours, trained("Adam", BATCHES, False, True, SCHEDULES["exponential"]))
    assert len(ours[3].recaptures) == 1 and len(set(ours[2][4:])) == 1


def test_floats_around_a_function_become_open_when_they_change() -> None:
    class Settings:
        rate = 0.0

    settings, scale, items = Settings(), 0.5, [0.25, 2]
    settings.rate = 1.0

    def f(x: Any) -> Any:
        return x * settings.rate + scale * items[0]

    f, runs = ran(f)
    compiled, x = torch.compile(f), torch.ones(3)
    for i in range(40):
        settings.rate = 1 + i / 10
        scale = 0.5 if i < 10 else i / 3
        items[0] = 0.25 if i < 20 else i / 7
        assert compiled(x).tolist() == (x * settings.rate + scale * items[0]).tolist()
    assert len(compiled.recaptures) == 3
    before = runs()
    settings.rate, scale = 7.5, 8.5
    assert compiled(x).tolist() == (x * 7.5 + 8.5 * items[0]).tolist() and runs() == before


def test_floats_among_the_arguments_become_open_when_they_change() -> None:
    f, runs = ran(lambda pair: pair[0] * pair[1] + pair[2] ** 2 / 3)
    compiled, x = torch.compile(lambda x, a, b=1.0: f((x, a, b))), torch.ones(3, dtype=torch.float64)
    counts = []
    for i in range(40):
        np.testing.assert_allclose(compiled(x, float(i), b=i / 3).numpy(), x.numpy() * i + (i / 3) ** 2 / 3)
        counts.append(runs())
    assert len(set(counts[2:])) == 1 and not compiled.crowded


def test_a_float_that_decides_is_captured_again() -> None:
    f, _ = ran(lambda pair: pair[0] * pair[1] if pair[1] > 5 else pair[0])
    compiled = torch.compile(lambda x, a: f((x, a)))
    for i in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 2, 8):
        assert compiled(torch.ones(2), float(i)).tolist() == [float(i) if i > 5 else 1.0] * 2
    for i in range(40):  # both ways are known by now
        a = float(i % 11)
        assert compiled(torch.ones(2), a).tolist() == [a if a > 5 else 1.0] * 2
    assert len(compiled.recaptures) == 1


def test_a_float_that_is_a_parameter_of_an_op_is_not_open() -> None:
    compiled = torch.compile(lambda x, a: F.leaky_relu(x, a) + F.dropout(x, a))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many kinds of calls
        for i in range(20):
            x = torch.linspace(-1, 1, 5)
            torch.manual_seed(i)
            made = compiled(x, i / 20)
            torch.manual_seed(i)
            same(made, F.leaky_relu(x, i / 20) + F.dropout(x, i / 20))


# ---- what a function counts
def test_counters_and_lists_of_a_function_do_not_make_it_run_again() -> None:
    class Model:
        calls = 0

    model, count, seen, runs = Model(), [0], [], io.StringIO()
    model.calls = 0

    def f(x: Any) -> Any:
        runs.write(".")
        count[0] += 1
        model.calls += 1
        seen.append(tuple(x.shape))
        return x * 2

    for dynamic in (None, True):
        count[0], model.calls, seen[:] = 0, 0, []
        compiled = torch.compile(f, dynamic=dynamic)
        for _ in range(20):
            assert compiled(torch.ones(2)).tolist() == [2.0, 2.0]
        assert not compiled.recaptures and count[0] == model.calls == len(seen) == 20 and seen[-1] == (2,)
    assert len(runs.getvalue()) < 20


S = torch.optim.lr_scheduler
INSIDE: dict[str, Callable[[Any], Any]] = {
    "steps": lambda o: S.StepLR(o, 3, 0.5),
    "milestones": lambda o: S.MultiStepLR(o, [2, 5, 9], 0.5),
    "exponential": lambda o: S.ExponentialLR(o, 0.9),
    "cosine": lambda o: S.CosineAnnealingLR(o, 7),
    "restarts": lambda o: S.CosineAnnealingWarmRestarts(o, 4),
    "function": lambda o: S.LambdaLR(o, lambda t: min((t + 1) ** -0.5, (t + 1) * 0.1)),
    "linear": lambda o: S.LinearLR(o, total_iters=5),
    "polynomial": lambda o: S.PolynomialLR(o, 10, 2.0),
    "cycle": lambda o: S.CyclicLR(o, 0.01, 0.1, step_size_up=3, mode="triangular2"),
    "one cycle": lambda o: S.OneCycleLR(o, 0.1, total_steps=40),
    "one after the other": lambda o: S.SequentialLR(o, [S.LinearLR(o, total_iters=3), S.CosineAnnealingLR(o, 20)], [3]),
    "chained": lambda o: S.ChainedScheduler([S.LinearLR(o, total_iters=3), S.ExponentialLR(o, 0.9)]),
}


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_a_schedule_inside_of_a_step_is_part_of_its_program(name: str, optimizer: str) -> None:
    ends, compiled = [], None
    for again in (False, True):
        w = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
        o = getattr(torch.optim, optimizer)([w], lr=0.05, **({"momentum": 0.9} if optimizer == "SGD" else {"eps": 1e-4}))
        schedule = INSIDE[name](o)

        def step(x: Any, w: Any = w, o: Any = o, schedule: Any = schedule) -> Any:
            loss = ((w * x).sum() - 1) ** 2
            o.zero_grad()
            loss.backward()
            o.step()
            schedule.step()
            return loss

        run = compiled = torch.compile(step) if again else step
        found = []
        for i in range(35):
            loss = run(torch.tensor([1.0, 0.5 + 0.1 * i, -0.3], dtype=torch.float64)).item()
            group = {k: v for k, v in o.param_groups[0].items() if k != "params"}
            found.append([loss, w.tolist(), group, schedule.get_last_lr(), getattr(schedule, "last_epoch", None)])
        ends.append(found)
    for ours, theirs in zip(*ends, strict=True):
        assert ours[0] == pytest.approx(theirs[0], rel=1e-9) and ours[1] == pytest.approx(theirs[1], rel=1e-9)
        assert ours[2:] == theirs[2:]
    assert compiled.programs and len(compiled.recaptures) < 5, compiled.explanation()


def test_what_python_keeps_between_calls_may_decide_and_be_computed_with() -> None:
    state: dict[str, Any] = {}

    def f(x: Any) -> Any:
        state["calls"] += state["by"] % 2
        state["by"] += 1
        state["pair"] = (state["pair"][0] * 0.9, "a")
        state["two"] = [0.5 * state["two"][1], state["two"][0] + 1.0]
        if state["by"] % 3 == 0:
            x = x * state["pair"][0]
        for i in range(2):
            x = x + i * (0.5 * state["by"])
        return x * state["two"][0] + math.floor(state["two"][1] / 4) + state["calls"]

    ends = []
    for run in (f, torch.compile(f)):
        state.update(calls=1, by=2, pair=(2.0, "a"), two=[1.0, 2.0])
        kept = state["two"]
        found = [(run(torch.ones(2, dtype=torch.float64)).tolist(), dict(state)) for _ in range(15)]
        assert kept == [1.0, 2.0]  # each call leaves a list of its own
        ends.append(found)
    assert ends[0] == ends[1]


def test_a_float_that_is_asked_for_its_kind_is_seen() -> None:
    class State:
        rate = 0.1

    state = State()
    for f in (lambda x: x * 2 if type(state.rate) is float else x, lambda x: x * math.floor(min(state.rate, 99.0)),
              lambda x: x * 2 if math.isinf(state.rate) else x, lambda x: x * {0.0: 5}.get(state.rate, 3)):  # fmt: skip
        compiled = torch.compile(f)
        for rate in (0.1, 0.1, 0.2, 0.15, 0.25, 10.0, 0.0, math.inf, 0.3):
            state.rate = rate
            assert compiled(torch.ones(2)).tolist() == f(torch.ones(2)).tolist()


@pytest.mark.parametrize("dynamic", [None, True])
def test_a_counter_that_counts_is_seen(dynamic: bool | None) -> None:
    count, seen = [0], list[int]()

    def f(x: Any) -> Any:
        count[0] += 1
        return x * count[0]

    def g(x: Any) -> Any:
        count[0] += 1
        return x * 2 if count[0] > 5 else x

    def h(x: Any) -> Any:
        seen.append(1)
        return x * len(seen)

    for function, expected in ((f, lambda i: i), (g, lambda i: 2 if i > 5 else 1), (h, lambda i: i)):
        count[0], compiled = 0, torch.compile(function, dynamic=dynamic)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it runs eagerly in the end, and says so
            assert [compiled(torch.ones(2))[0].item() for _ in range(12)] == [float(expected(i)) for i in range(1, 13)]


def test_a_function_whose_surroundings_come_back_is_not_captured_again() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(4))
    f, runs = ran(lambda x: model(x))
    for dynamic in (None, True):
        compiled = torch.compile(f, dynamic=dynamic)
        for epoch in range(12):
            for training in (True, False):
                model.train(training)
                for n in (8, 8, 8, 5, 5, 5):
                    x = torch.randn(n, 3)
                    state = {k: v.clone() for k, v in model.state_dict().items()}
                    torch.manual_seed(epoch)
                    made = compiled(x).detach()
                    after = {k: v.clone() for k, v in model.state_dict().items()}
                    model.load_state_dict(state)
                    torch.manual_seed(epoch)
                    same(made, model(x).detach())
                    same(list(after.values()), list(model.state_dict().values()))
            if epoch == 2:
                before = runs()
        assert runs() == before and len(compiled.recaptures) < 8


def test_what_stands_somewhere_may_be_replaced_by_another_one() -> None:
    class Settings:
        def __init__(self) -> None:
            self.scale, self.names, self.rule = (2.0, 3.0), {"a": 1.0}, torch.sin

    settings = Settings()

    def f(x: Any) -> Any:
        return settings.rule(x) * settings.scale[0] + settings.names["a"]

    compiled, x = torch.compile(f), torch.ones(2)
    changes: list[tuple[str, Any]] = [("scale", (5.0, 3.0)), ("names", {"a": 7.0}), ("rule", torch.cos), ("scale", (6.0, 1.0))]
    for name, value in changes:
        for _ in range(3):
            same(compiled(x), f(x))
        setattr(settings, name, value)
    for _ in range(3):
        same(compiled(x), f(x))


# ---- what captures refuse, or once got wrong
def test_a_backward_to_the_gradient_of_an_argument_is_refused() -> None:
    def f(x: Any) -> None:
        (x * 2).sum().backward()

    for dynamic in (None, True):
        compiled, x = torch.compile(f, dynamic=dynamic), torch.ones(3, requires_grad=True)
        compiled(x)
        with pytest.raises(RuntimeError, match="gradient of an argument|.grad of an argument"):
            compiled(x)
        assert x.grad.tolist() == [2.0] * 3


def test_state_that_is_written_first_and_a_gradient_outside() -> None:
    count, w = torch.zeros(1), torch.ones(3, requires_grad=True)

    def f(x: Any) -> Any:
        with torch.no_grad():
            count.add_(1)
        return (w * x).sum() * 2

    compiled = torch.compile(f)
    for i in range(1, 5):
        w.grad = None
        compiled(torch.ones(3)).backward()
        assert count.item() == i and w.grad.tolist() == [2.0] * 3


def test_views_that_a_plugin_has_the_kernel_of_are_captured() -> None:
    compiled = torch.compile(lambda x: x.unfold(0, 2, 1).sum(0))
    for _ in range(3):
        x = torch.randn(7, 3)
        same(compiled(x), x.unfold(0, 2, 1).sum(0))


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": torch.func.grad(lambda x: (x.sin() * x * x).sum()),
    "hessian": torch.func.hessian(lambda x: F.softplus(x * x).sum() + (x[0] * x[1]).tanh() + x.norm() + x.logsumexp(0)),
    "jacrev": torch.func.jacrev(lambda x: x.sin() * x.sum()),
    "jacfwd": torch.func.jacfwd(lambda x: x.sin() * x.sum()),
    "vmap": torch.func.vmap(torch.func.grad(lambda a: a.sin() * a)),
    "jvp": lambda x: torch.func.jvp(lambda y: (y * y).cumsum(0), (x,), (x,)),
    "vjp": lambda x: torch.func.vjp(lambda y: y.exp() * y, x)[1](x),
    "grad of grad": torch.func.grad(lambda x: torch.func.grad(lambda y: (y**3).sum())(x).sum()),
    "grad_and_value": torch.func.grad_and_value(lambda x: (x * x).mean()),
    "per sample": torch.func.vmap(lambda r: torch.func.hessian(lambda y: (y * y * r).sin())(r)),
}


@pytest.mark.parametrize("device, name", [*(("cpu", name) for name in TRANSFORMS), ("opencl", "grad"), ("opencl", "vjp")])
def test_transforms_are_compiled(device: str, name: str) -> None:
    if device == "opencl":
        pytest.importorskip("pyopencl")
        if not any(d.available for d in torch.device("opencl").backend.devices()):
            pytest.skip("no OpenCL device")
    compiled = torch.compile(TRANSFORMS[name])
    for i in range(4):
        x = torch.linspace(0.1, 1.0 + i, 3).to(device)
        for a, b in zip(flat(compiled(x)), flat(TRANSFORMS[name](x)), strict=True):
            np.testing.assert_allclose(a.cpu().numpy(), b.cpu().numpy(), 1e-4, 1e-5)
    assert compiled.programs


def test_sizes_that_are_kept_around_a_function() -> None:
    class Model:
        batch, cache = 0, (0,)

    model = Model()
    model.batch = 1

    def f(x: Any) -> Any:
        model.batch = x.shape[0]
        return x / model.batch

    def g(x: Any) -> Any:
        if model.batch != x.shape[0]:
            model.batch = x.shape[0]
        return x * model.batch

    for function in (f, g):
        model.batch, compiled = 1, torch.compile(function, dynamic=True)
        for n in SIZES:
            x = torch.randn(n, 3)
            same(compiled(x), x / n if function is f else x * n)
            assert type(model.batch) is int and model.batch in (1, *SIZES)


def test_sizes_are_watched_also_where_a_class_overrides_functions() -> None:
    class Overriding(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return super().__torch_function__(func, types, args, kwargs or {})

    assert (torch.ones(2).as_subclass(Overriding) * 2).tolist() == [2, 2]
    f, runs = ran(ANY_SIZE["power"])
    compiled, counts = torch.compile(f, dynamic=True), []
    for n in SIZES:
        compiled(torch.randn(n, 3))
        counts.append(runs())
    assert counts[1:] == [counts[1]] * (len(SIZES) - 1), compiled.explanation()


def test_floats_without_a_result_raise_as_eager_does() -> None:
    class Settings:
        scale = 1.0

    settings, x = Settings(), torch.ones(2)
    settings.scale = 1.0

    def f(x: Any) -> Any:
        return x * (1 / (settings.scale - 3.0)), x * settings.scale

    compiled = torch.compile(f)
    for scale in (1.0, 1.0, 2.0, 2.5, 4.0, 5.0):
        settings.scale = scale
        same(compiled(x), f(x))
    settings.scale = 3.0
    with pytest.raises(ZeroDivisionError):
        compiled(x)
    for scale in (5.0, 1.0, 2.0, 5.0):
        settings.scale = scale
        same(compiled(x), f(x))


def test_numbers_that_are_returned_are_those_of_the_call() -> None:
    class Settings:
        scale = 1.0

    settings = Settings()
    compiled = torch.compile(lambda x: {"y": x * settings.scale, "rate": settings.scale * 2}, fallback="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a number that is returned is no tensor: captured for each value, and eager in the end
        for i in range(12):
            settings.scale = i / 2
            made = compiled(torch.ones(1))
            assert made["rate"] == float(i) and made["y"].item() == i / 2


# ---- the short way into a program
def test_warnings_of_single_elements_are_not_shown_nor_raised() -> None:
    x = torch.full((1,), 1e30)
    compiled = torch.compile(lambda: (x * x * x, torch.log(x * 0)))
    for turn in ("error", "always", "error"):
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter(turn)
            for _ in range(4):
                assert [y.item() for y in compiled()] == [float("inf"), -float("inf")]
        assert turn == "always" or not shown


def test_what_changes_between_calls_is_seen_on_the_short_way() -> None:
    w, other = torch.ones(2, requires_grad=True), torch.zeros(2)
    holder = {"w": w, "scale": 2.0}

    def f(x: Any, k: int = 1) -> Any:
        return holder["w"] * x * holder["scale"] * k

    compiled, x = torch.compile(f), torch.ones(2)

    def check(*args: Any) -> Any:
        for _ in range(3):
            made = compiled(*args)
            same(made, f(*args))
            assert made.requires_grad == f(*args).requires_grad
        return made

    check(x)
    with torch.no_grad():
        check(x)
    check(x)
    w.requires_grad_(False)
    check(x)
    w.requires_grad_()
    check(x, 3)
    check(x.double())
    check(torch.ones(3, 2)[1])  # a view
    holder["w"] = other
    check(x)
    holder["w"] = w
    check(other)  # shares no memory with w
    check(w)  # does
    w.data = torch.full((2,), 9.0)
    check(x)
    holder["more"] = 1
    check(x)
    y = check(torch.ones(2, requires_grad=True))
    y.sum().backward()
    with torch.inference_mode():
        assert compiled(x).is_inference() == f(x).is_inference() or not compiled(x).requires_grad


def test_each_call_has_a_gradient_of_its_own_and_counts_its_writes() -> None:
    w = torch.ones(2, requires_grad=True)

    def step() -> Any:
        w.grad = None
        loss = (w * w).sum()
        loss.backward()
        with torch.no_grad():
            w.sub_(w.grad / 4)
        return loss.detach()

    compiled, seen = torch.compile(step), []
    for i in range(6):
        version = w._version
        compiled()
        assert w._version > version
        seen.append(w.grad)
        assert w.tolist() == [0.5 ** (i + 1)] * 2
    assert len({id(g) for g in seen}) == 6 and [g[0].item() for g in seen] == [2 * 0.5**i for i in range(6)]
