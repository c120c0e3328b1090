"""Datasets, samplers, collating and loaders, with and without worker processes.

Owns the proof of plugins/wengert_data/. Programs that run on PyTorch too stand in PROGRAMS; orders that are random cannot
agree, as the streams differ. May import: pytest, NumPy, multiprocessing. Must not know: how workers talk.
"""

from __future__ import annotations

import collections
import multiprocessing
import os
import signal
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import wengert as w
from wengert.utils import data
from wengert.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)

FORK = "fork" in multiprocessing.get_all_start_methods()
needs_fork = pytest.mark.skipif(not FORK, reason="the datasets of these tests are made inside of functions")


class Point(NamedTuple):
    x: Any
    y: Any


# ---- what also runs on PyTorch: the same plain values, or the same exception type
def plain(x: Any) -> Any:
    if hasattr(x, "dtype") and hasattr(x, "tolist"):
        return (str(x.dtype), list(x.shape), x.tolist()) if not isinstance(x, np.generic) else x.item()
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return (type(x).__name__, [plain(v) for v in x])
    return x


def table(torch: Any) -> tuple[Any, Any]:
    d = torch.utils.data
    return d, d.TensorDataset(torch.arange(10).float().reshape(5, 2), torch.arange(5))


class Iterable5:
    def __iter__(self) -> Iterator[int]:
        return iter(range(5))

    def __len__(self) -> int:
        return 5


def stream(d: Any) -> Any:
    return type("Five", (Iterable5, d.IterableDataset), {})()


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "batches": lambda t: list(table(t)[0].DataLoader(table(t)[1], batch_size=2)),
    "drop_last": lambda t: list(t.utils.data.DataLoader(table(t)[1], batch_size=2, drop_last=True)),
    "one by one": lambda t: list(t.utils.data.DataLoader(table(t)[1], batch_size=None)),
    "default size": lambda t: list(t.utils.data.DataLoader([3, 4])),
    "lengths": lambda t: [len(t.utils.data.DataLoader(range(7), batch_size=b, drop_last=d)) for b in (1, 2, 7, 9) for d in (False, True)],
    "stream": lambda t: list(t.utils.data.DataLoader(stream(t.utils.data), batch_size=2)),
    "stream drop": lambda t: list(t.utils.data.DataLoader(stream(t.utils.data), batch_size=2, drop_last=True)),
    "stream single": lambda t: list(t.utils.data.DataLoader(stream(t.utils.data), batch_size=None)),
    "stream length": lambda t: len(t.utils.data.DataLoader(stream(t.utils.data), batch_size=2)),
    "batch sampler": lambda t: list(t.utils.data.DataLoader(range(10), batch_sampler=[[1, 2], [5], [9, 9]])),
    "sampler": lambda t: list(t.utils.data.DataLoader(range(10), batch_size=2, sampler=[9, 0, 3])),
    "collate": lambda t: list(t.utils.data.DataLoader(range(5), batch_size=2, collate_fn=sum)),
    "concat": lambda t: [t.utils.data.ConcatDataset([[1, 2], [3], [4, 5]])[i] for i in (0, 1, 2, 3, 4, -1, -5)],
    "concat range": lambda t: t.utils.data.ConcatDataset([[1, 2]])[-3],
    "concat add": lambda t: len(table(t)[1] + table(t)[1]),
    "concat nothing": lambda t: t.utils.data.ConcatDataset([]),
    "concat stream": lambda t: t.utils.data.ConcatDataset([stream(t.utils.data)]),
    "chain": lambda t: list(t.utils.data.ChainDataset([stream(t.utils.data), stream(t.utils.data)])),
    "chain add": lambda t: len(stream(t.utils.data) + stream(t.utils.data)),
    "chain list": lambda t: list(t.utils.data.ChainDataset([[1]])),
    "stack": lambda t: t.utils.data.StackDataset([1, 2], [3, 4])[1],
    "stack named": lambda t: t.utils.data.StackDataset(a=[1, 2], b=[3, 4])[0],
    "stack uneven": lambda t: t.utils.data.StackDataset([1], [3, 4]),
    "stack mixed": lambda t: t.utils.data.StackDataset([1], b=[3]),
    "subset": lambda t: list(t.utils.data.DataLoader(t.utils.data.Subset([5, 6, 7], [2, 0]), batch_size=2)),
    "split sizes": lambda t: [len(s) for s in t.utils.data.random_split(range(10), [0.35, 0.35, 0.3])],
    "split fractions": lambda t: [len(s) for s in t.utils.data.random_split(range(7), [0.5, 0.25, 0.25])],
    "split wrong": lambda t: t.utils.data.random_split(range(7), [3, 3]),
    "split wrong fraction": lambda t: t.utils.data.random_split(range(7), [1.5, -0.5]),
    "tensors uneven": lambda t: t.utils.data.TensorDataset(t.ones(2), t.ones(3)),
    "tensor rows": lambda t: t.utils.data.TensorDataset(t.arange(4), t.eye(4))[t.tensor([0, 2])],
    "sequential": lambda t: list(t.utils.data.SequentialSampler("abc")),
    "batch sampler lists": lambda t: list(t.utils.data.BatchSampler(range(7), 3, False)),
    "batch sampler drops": lambda t: [len(t.utils.data.BatchSampler(range(7), 3, True)), *t.utils.data.BatchSampler(range(7), 3, True)],
    "distributed": lambda t: [list(t.utils.data.DistributedSampler(range(7), 3, r, shuffle=False)) for r in range(3)],
    "distributed drop": lambda t: [list(t.utils.data.DistributedSampler(range(7), 3, r, shuffle=False, drop_last=True)) for r in range(3)],
    "distributed few": lambda t: [list(t.utils.data.DistributedSampler(range(2), 5, r, shuffle=False)) for r in range(5)],
    "random length": lambda t: [len(t.utils.data.RandomSampler(range(4), num_samples=9)), sorted(t.utils.data.RandomSampler(range(4), num_samples=8))],
    "random order": lambda t: sorted(t.utils.data.RandomSampler(range(9))),
    "subset order": lambda t: sorted(t.utils.data.SubsetRandomSampler([4, 8, 1])),
    # collating
    "numbers": lambda t: t.utils.data.default_collate([1, 2, 3]),
    "floats": lambda t: t.utils.data.default_collate([1.0, 2]),
    "bools": lambda t: t.utils.data.default_collate([True, False]),
    "strings": lambda t: t.utils.data.default_collate(["a", "bc"]),
    "bytes": lambda t: t.utils.data.default_collate([b"a"]),
    "arrays": lambda t: t.utils.data.default_collate([np.arange(3, dtype=np.int16), np.ones(3, np.int16)]),
    "scalars": lambda t: t.utils.data.default_collate([np.float32(1.5), np.float32(2)]),
    "tensors": lambda t: t.utils.data.default_collate([t.ones(2), t.zeros(2)]),
    "tuples": lambda t: t.utils.data.default_collate([(1, "a"), (2, "b")]),
    "lists": lambda t: t.utils.data.default_collate([[1, 2.0], [3, 4.0]]),
    "named": lambda t: t.utils.data.default_collate([Point(1, t.ones(1)), Point(2, t.ones(1))]),
    "dicts": lambda t: t.utils.data.default_collate([{"a": 1, "b": [t.ones(1)]}, {"a": 2, "b": [t.zeros(1)]}]),
    "ordered": lambda t: type(t.utils.data.default_collate([OrderedDict(a=1)])).__name__,
    "defaultdict": lambda t: t.utils.data.default_collate([collections.defaultdict(list, a=1)])["a"],
    "uneven lists": lambda t: t.utils.data.default_collate([[1], [1, 2]]),
    "uneven tensors": lambda t: t.utils.data.default_collate([t.ones(1), t.ones(2)]),
    "objects": lambda t: t.utils.data.default_collate([object()]),
    "string arrays": lambda t: t.utils.data.default_collate([np.array(["a"])]),
    "convert": lambda t: t.utils.data.default_convert({"a": np.arange(2), "b": (1, np.float64(2)), "c": "x", "d": Point(np.ones(1), None)}),
    # what is refused
    "negative workers": lambda t: t.utils.data.DataLoader([1], num_workers=-1),
    "negative timeout": lambda t: t.utils.data.DataLoader([1], timeout=-1),
    "prefetch alone": lambda t: t.utils.data.DataLoader([1], prefetch_factor=2),
    "persistent alone": lambda t: t.utils.data.DataLoader([1], persistent_workers=True),
    "sampler and shuffle": lambda t: t.utils.data.DataLoader([1], sampler=[0], shuffle=True),
    "batch sampler and size": lambda t: t.utils.data.DataLoader([1], batch_sampler=[[0]], batch_size=2),
    "batch sampler and drop": lambda t: t.utils.data.DataLoader([1], batch_sampler=[[0]], drop_last=True),
    "no size and drop": lambda t: t.utils.data.DataLoader([1], batch_size=None, drop_last=True),
    "size 0": lambda t: t.utils.data.DataLoader([1], batch_size=0),
    "stream shuffled": lambda t: t.utils.data.DataLoader(stream(t.utils.data), shuffle=True),
    "stream sampled": lambda t: t.utils.data.DataLoader(stream(t.utils.data), sampler=[0]),
    "stream batch sampled": lambda t: t.utils.data.DataLoader(stream(t.utils.data), batch_sampler=[[0]]),
    "set later": lambda t: setattr(t.utils.data.DataLoader([1]), "batch_size", 3),
    "context alone": lambda t: t.utils.data.DataLoader([1], multiprocessing_context="spawn"),
    "context unknown": lambda t: t.utils.data.DataLoader([1], num_workers=1, multiprocessing_context="magic"),
    "context number": lambda t: t.utils.data.DataLoader([1], num_workers=1, multiprocessing_context=3),
    "samples 0": lambda t: t.utils.data.RandomSampler([1], num_samples=0),
    "replacement word": lambda t: t.utils.data.RandomSampler([1], replacement="yes"),
    "weights 2d": lambda t: t.utils.data.WeightedRandomSampler([[1.0]], 1),
    "weights samples": lambda t: t.utils.data.WeightedRandomSampler([1.0], 0),
    "rank": lambda t: t.utils.data.DistributedSampler([1], 2, 2),
    "empty shuffled": lambda t: list(t.utils.data.DataLoader([], shuffle=True)),
    "no getitem": lambda t: t.utils.data.Dataset()[0],
    "no len": lambda t: len(t.utils.data.DataLoader(t.utils.data.IterableDataset())),
}  # fmt: skip


def outcome(program: Callable[[Any], Any], module: Any) -> Any:
    try:
        return plain(program(module))
    except Exception as error:
        assert str(error)
        return type(error).__name__


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_pytorch(name: str) -> None:
    import torch

    if name == "no getitem":
        with pytest.raises(NotImplementedError, match="__getitem__"):
            PROGRAMS[name](w)
        return
    assert outcome(PROGRAMS[name], w) == outcome(PROGRAMS[name], torch)


def test_batches() -> None:
    x, y = w.arange(10.0).reshape(5, 2), w.arange(5)
    first, second, last = DataLoader(TensorDataset(x, y), batch_size=2)
    assert first[0].tolist() == [[0, 1], [2, 3]] and second[1].tolist() == [2, 3] and last[1].tolist() == [4]
    assert data.DataLoader is DataLoader and "DataLoader" in dir(data)


# ---- chance
def test_orders_follow_the_seed() -> None:
    def order(**options: Any) -> list[int]:
        return [v for b in DataLoader(range(50), batch_size=7, shuffle=True, **options) for v in b.tolist()]

    w.manual_seed(1)
    a, b = order(), order()
    w.manual_seed(1)
    assert order() == a and order() == b != a and sorted(a) == list(range(50))
    g = [w.Generator().manual_seed(5) for _ in range(2)]
    w.manual_seed(2)
    assert order(generator=g[0]) == order(generator=g[1]) and sorted(order(generator=g[0])) == list(range(50))
    late = [iter(WeightedRandomSampler([1.0] * 9, 9)) for _ in range(2)]  # each draws when it is first asked
    assert len({str([w.manual_seed(1), *i][1:]) for i in late}) == 1
    if FORK:  # the number of workers changes neither the order nor what is drawn afterwards
        drawn = []
        for workers in (0, 2):
            w.manual_seed(3)
            drawn.append((order(num_workers=workers), w.rand(2).tolist()))
        assert drawn[0] == drawn[1]


def test_random_split_is_a_partition() -> None:
    parts = random_split(range(100), [60, 40], generator=w.Generator().manual_seed(0))
    again = random_split(range(100), [60, 40], generator=w.Generator().manual_seed(0))
    assert sorted(list(parts[0]) + list(parts[1])) == list(range(100)) and parts[0].indices == again[0].indices
    assert parts[0].indices != list(range(60)) and isinstance(parts[0], Subset)


def test_sampling_with_replacement_and_weights() -> None:
    w.manual_seed(0)
    drawn = list(RandomSampler(range(10), replacement=True, num_samples=5000))
    counts = np.bincount(drawn, minlength=10)
    assert len(drawn) == 5000 and counts.min() > 400 and counts.max() < 600
    weighted = np.bincount(list(WeightedRandomSampler([1.0, 0.0, 3.0], 4000)), minlength=3)
    assert weighted[1] == 0 and abs(weighted[2] / 4000 - 0.75) < 0.03
    assert sorted(WeightedRandomSampler([1.0, 2.0, 3.0], 3, replacement=False)) == [0, 1, 2]
    assert set(SubsetRandomSampler([3, 9])) == {3, 9} and isinstance(SequentialSampler([1]), Sampler)


def test_distributed_sampler_shuffles_by_epoch() -> None:
    samplers = [DistributedSampler(range(11), 2, r, seed=3) for r in range(2)]
    first = [list(s) for s in samplers]
    assert set(first[0] + first[1]) == set(range(11)) and len(first[0]) == len(first[1]) == 6
    for s in samplers:
        s.set_epoch(1)
    assert [list(s) for s in samplers] != first
    assert sorted(DistributedSampler(range(5))) == list(range(5))


# ---- workers
class Squares(Dataset[Any]):
    def __len__(self) -> int:
        return 23

    def __getitem__(self, i: int) -> Any:
        return w.tensor(float(i)) ** 2, os.getpid()


class Shards(IterableDataset[Any]):
    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        assert info is not None and info.dataset is self
        yield from range(info.id, 17, info.num_workers)


class Random(Dataset[Any]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> Any:
        import random

        info = get_worker_info()
        return w.rand(1), random.random(), np.random.rand(), -1 if info is None else info.seed


class Failing(Dataset[Any]):
    def __init__(self, error: BaseException, at: int = 3) -> None:
        self.error, self.at = error, at

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> int:
        if i == self.at:
            raise self.error
        return i


class TwoArguments(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def same(x: Any) -> Any:
    return x


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_give_the_same_batches_in_order(workers: int) -> None:
    loader = DataLoader(Squares(), batch_size=4, num_workers=workers)
    batches = list(loader)
    assert [v for b, _ in batches for v in b.tolist()] == [i**2 for i in range(23)] and len(loader) == len(batches) == 6
    pids = {p for _, ps in batches for p in ps.tolist()}
    assert os.getpid() not in pids and len(pids) == workers
    assert get_worker_info() is None


def test_workers_started_by_spawn() -> None:
    loader = DataLoader(range(5), batch_size=2, num_workers=1, multiprocessing_context="spawn", collate_fn=sum)
    assert list(loader) == [1, 5, 4]


@needs_fork
def test_workers_share_a_stream() -> None:
    batches = [b.tolist() for b in DataLoader(Shards(), batch_size=3, num_workers=3)]
    assert sorted(v for b in batches for v in b) == list(range(17))
    assert batches[0] == [0, 3, 6] and batches[1] == [1, 4, 7]
    assert sorted(v.item() if hasattr(v, "item") else v for v in DataLoader(Shards(), batch_size=None, num_workers=2)) == list(range(17))


@needs_fork
def test_workers_draw_their_own_numbers_that_follow_the_seed() -> None:
    def draw() -> Any:
        return [(a.item(), b.item(), c.item(), s.item()) for a, b, c, s in DataLoader(Random(), num_workers=2)]

    w.manual_seed(7)
    first = draw()
    second = draw()
    w.manual_seed(7)
    assert draw() == first != second
    assert len({a for a, *_ in first}) == 6 and len({b for _, b, *_ in first}) == 6 and len({c for _, _, c, _ in first}) == 6
    seeds = [s for *_, s in first]
    assert len(set(seeds)) == 2 and max(seeds) - min(seeds) == 1


@needs_fork
def test_persistent_workers_stay() -> None:
    loader = DataLoader(Squares(), batch_size=5, num_workers=2, persistent_workers=True, prefetch_factor=3)
    first = list(loader)
    second = list(loader)
    assert {p for _, ps in first for p in ps.tolist()} == {p for _, ps in second for p in ps.tolist()}
    iterator = iter(loader)
    next(iterator)  # what was on its way is not part of the next pass
    assert [v for b, _ in loader for v in b.tolist()] == [i**2 for i in range(23)]
    shards = DataLoader(Shards(), batch_size=4, num_workers=2, persistent_workers=True)
    for _ in range(2):
        assert sorted(v for b in shards for v in b.tolist()) == list(range(17))
    children = shards._iterator.processes
    del shards
    assert not any(c.is_alive() for c in children)


@needs_fork
def test_batches_out_of_order() -> None:
    class Slow(Dataset[int]):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, i: int) -> int:
            time.sleep(0.5 if i == 0 else 0)
            return i

    got = [b.item() for b in DataLoader(Slow(), num_workers=2, in_order=False)]
    assert sorted(got) == list(range(6)) and got[0] != 0


@needs_fork
@pytest.mark.parametrize(
    ("error", "kind"), [(ValueError("bad row"), ValueError), (KeyError("bad row"), KeyError), (TwoArguments(1, 2), RuntimeError)]
)
def test_what_a_worker_raises_arrives_with_its_traceback(error: BaseException, kind: type[BaseException]) -> None:
    loader = DataLoader(Failing(error), batch_size=2, num_workers=2)
    got = []
    with pytest.raises(kind) as caught:
        for b in loader:
            got.append(b.tolist())
    assert got == [[0, 1]] and type(caught.value) is kind
    text = str(caught.value)
    assert f"Caught {type(error).__name__} in DataLoader worker process 1" in text
    assert "Original Traceback" in text and "test_data.py" in text and "raise self.error" in text
    with pytest.raises(type(error)):  # and without workers as it is
        list(DataLoader(Failing(error), batch_size=2))


@needs_fork
def test_what_cannot_be_sent_is_told() -> None:
    with pytest.raises(Exception, match="sending a batch"):
        list(DataLoader([1, 2], num_workers=1, collate_fn=lambda b: lambda: b))


@needs_fork
def test_worker_init() -> None:
    def init(i: int) -> None:
        get_worker_info().dataset.error = TypeError(f"set by worker {i}")  # type: ignore[union-attr]

    with pytest.raises(TypeError, match="set by worker 0"):
        list(DataLoader(Failing(ValueError(), at=0), num_workers=1, worker_init_fn=init))

    def fail(i: int) -> None:
        raise OSError("no data here")

    with pytest.raises(OSError, match="no data here"):
        list(DataLoader([1, 2], num_workers=1, worker_init_fn=fail))


@needs_fork
def test_a_killed_worker_is_noticed() -> None:
    class Killed(Dataset[int]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, i: int) -> int:
            if i == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return i

    started = time.monotonic()
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(DataLoader(Killed(), num_workers=2))
    assert time.monotonic() - started < 20


@needs_fork
def test_timeout() -> None:
    class Sleeping(Dataset[int]):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, i: int) -> int:
            time.sleep(60)
            return i

    started = time.monotonic()
    with pytest.raises(RuntimeError, match="timed out after 0.3 seconds"):
        list(DataLoader(Sleeping(), num_workers=1, timeout=0.3))
    assert time.monotonic() - started < 20


@needs_fork
def test_big_batches_and_many_indices_do_not_block() -> None:
    loader = DataLoader(TensorDataset(w.zeros(60000, 8)), batch_size=30000, num_workers=1, prefetch_factor=4)
    assert [b.shape[0] for (b,) in loader] == [30000, 30000]


@needs_fork
def test_workers_end_with_their_iterator() -> None:
    iterator = iter(DataLoader(Squares(), num_workers=2))
    next(iterator)
    children = list(iterator.processes)
    assert len(children) == 2 and all(c.is_alive() for c in children)
    del iterator
    deadline = time.monotonic() + 20
    while any(c.is_alive() for c in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(c.is_alive() for c in children)


def test_generics_and_annotations() -> None:
    assert DataLoader[int] and Dataset[int] and Sampler[int] and Subset[int]
    assert isinstance(ConcatDataset([[1]]), Dataset) and isinstance(StackDataset([1]), Dataset)
    assert list(BatchSampler([1, 2, 3], 2, False)) == [[1, 2], [3]]
    assert default_convert([1, "a"]) == [1, "a"] and default_collate([1]).tolist() == [1]


@needs_fork
def test_workers_end_when_the_main_process_is_killed() -> None:
    import subprocess
    import sys

    program = """
import os, time
from wengert.utils.data import DataLoader
iterator = iter(DataLoader(range(100), num_workers=2))
next(iterator)
print(*(p.pid for p in iterator.processes), flush=True)
time.sleep(60)
"""
    main = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert main.stdout is not None
    pids = [int(p) for p in main.stdout.readline().split()]
    main.kill()
    main.wait()
    main.stdout.close()

    def running(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        try:
            return " Z " not in Path(f"/proc/{pid}/stat").read_text()  # a zombie has ended
        except OSError:
            return not Path("/proc").exists()

    deadline = time.monotonic() + 20
    while any(map(running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == 2 and not any(map(running, pids))


@needs_fork
def test_a_program_may_go_on_after_a_batch_that_failed() -> None:
    batches, got = iter(DataLoader(Failing(ValueError("bad row")), batch_size=1, num_workers=2)), []
    while True:
        try:
            got.append(next(batches).item())
        except ValueError:
            got.append("failed")
        except StopIteration:
            break
    assert "failed" in got and got[-1] != "failed" and len(got) == len(Failing(ValueError()))


def test_stacked_datasets_are_asked_for_several_items_at_once() -> None:
    class Several(list):  # type: ignore[type-arg]
        def __getitems__(self, indices: list[int]) -> list[Any]:
            return [10 * self[i] for i in indices]

    stacked = StackDataset(Several([1, 2, 3]), [4, 5, 6])
    assert stacked.__getitems__([0, 2]) == [(10, 4), (30, 6)]
    assert StackDataset(a=[1, 2], b=[3, 4]).__getitems__([1]) == [{"a": 2, "b": 4}]
    with pytest.raises(ValueError, match="Nested dataset's output size mismatch. Expected 2, got 1"):
        Several.__getitems__ = lambda self, indices: [1]  # type: ignore[method-assign]
        stacked.__getitems__([0, 1])
    assert ConcatDataset.cumsum([[1], [2, 3]]) == [1, 3]
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split([1], [0.9, 0.1])


def test_own_types_can_be_collated(monkeypatch: pytest.MonkeyPatch) -> None:
    from wengert_data.collate import collate, default_collate, default_collate_fn_map

    class Length:
        def __init__(self, metres: float) -> None:
            self.metres = metres

    monkeypatch.setitem(default_collate_fn_map, Length, lambda batch, *, collate_fn_map=None: sum(x.metres for x in batch))
    assert default_collate([(Length(1.0), {"n": 1}), (Length(2.0), {"n": 2})])[0] == 3.0
    with pytest.raises(TypeError, match="batch must contain tensors"):
        collate([w.ones(1)])
    assert collate([[1, 2], [3, 4]], collate_fn_map={int: lambda batch, *, collate_fn_map: list(batch)}) == [[1, 3], [2, 4]]
