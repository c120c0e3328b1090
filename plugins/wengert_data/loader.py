"""`DataLoader`: batches of a dataset, in an order, fetched here or by worker processes.

Owns: the class, the checks of its arguments, the two ways to iterate. May import: `wengert`'s public names, the other
modules of this package. Must not know: what a dataset's items are.
With workers, batches come in the sampler's order; `prefetch_factor` of each worker are on their way.
"""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import weakref
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection
from typing import Any, Generic, TypeVar

from wengert import Generator
from wengert_data import workers
from wengert_data.collate import default_collate, default_convert
from wengert_data.datasets import IterableDataset
from wengert_data.samplers import BatchSampler, RandomSampler, SequentialSampler, draw_seed

T_co = TypeVar("T_co", covariant=True)

_FIXED = frozenset({"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"})


class _Endless:
    """The sampler of an iterable dataset: as many Nones as are asked for."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[T_co]):
    """Iterate over a dataset in batches.

    shuffle, sampler, batch_sampler: the order, by at most one of them. batch_size=None: single items. num_workers: processes
    that fetch; 0 fetches here. collate_fn joins a list of items. timeout: seconds to wait for a worker. worker_init_fn(id)
    runs in each worker after seeding. generator draws the order and the workers' seeds. pin_memory is accepted.

    Raises ValueError for arguments that exclude each other; what a worker raises is raised here, with its traceback.
    """

    _ready = False

    def __init__(
        self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None, sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None, num_workers: int = 0, collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False, drop_last: bool = False, timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None, multiprocessing_context: Any = None,
        generator: Generator | None = None, *, prefetch_factor: int | None = None, persistent_workers: bool = False,
        pin_memory_device: str = "", in_order: bool = True,
    ) -> None:  # fmt: skip
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; num_workers=0 fetches in this process")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified with workers: let num_workers be above 0")
        if prefetch_factor is not None and prefetch_factor <= 0:
            raise ValueError("prefetch_factor option should be positive")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset, self.num_workers, self.timeout, self.drop_last = dataset, num_workers, timeout, drop_last
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.worker_init_fn, self.generator, self.in_order = worker_init_fn, generator, in_order
        self.persistent_workers, self.multiprocessing_context = persistent_workers, multiprocessing_context
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            _refuse_order(shuffle, sampler, batch_sampler)
        elif sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if iterable:
                sampler = _Endless()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.sampler, self.batch_sampler = batch_size, sampler, batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._iterator: _Workers | None = None
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized; make another one")
        if name == "multiprocessing_context" and value is not None:
            if self.num_workers == 0:
                raise ValueError("multiprocessing_context can only be used with workers: let num_workers be above 0")
            if isinstance(value, str):
                if value not in multiprocessing.get_all_start_methods():
                    known = multiprocessing.get_all_start_methods()
                    raise ValueError(f"multiprocessing_context option should specify a start method in {known}, got {value!r}")
                value = multiprocessing.get_context(value)
            elif not isinstance(value, multiprocessing.context.BaseContext):
                raise TypeError(f"multiprocessing_context should be a context or the name of a start method, got {value!r}")
        super().__setattr__(name, value)

    @property
    def indices(self) -> Any:
        """What is iterated over for indices: the batch sampler, or without batches the sampler."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def fetcher(self) -> workers.Fetcher:
        """Return what fetches a batch in this process."""
        return workers.Fetcher(self.dataset, self.batch_sampler is not None, self.collate_fn, self.drop_last)

    def __iter__(self) -> Iterator[T_co]:
        if self.num_workers == 0:
            return _Here(self)
        if not self.persistent_workers:
            return _Workers(self)
        if self._iterator is None or not self._iterator.alive:
            self._iterator = _Workers(self)
        else:
            self._iterator.restart(self)
        return self._iterator

    def __len__(self) -> int:
        """Return the number of batches. Raises TypeError where the dataset or the sampler has no length."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self.indices)
        length = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)


def _refuse_order(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    """Raise ValueError for an order of an iterable dataset, which has its own."""
    if shuffle:
        raise ValueError(f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}")
    for name, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
        if value is not None:
            raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}")


class _Iteration(Iterator[Any]):
    """A pass over the batches."""

    def _shutdown_workers(self) -> None:
        """Stop the processes that fetch, if there are any."""


class _Here(_Iteration):
    """Fetch in this process."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        draw_seed(loader.generator)  # as with workers, so that their number does not change what is drawn later
        self.order, self.fetch = loader.indices, loader.fetcher()
        self.indices = iter(self.order)

    def __next__(self) -> Any:
        return self.fetch(next(self.indices))

    def __len__(self) -> int:
        return len(self.order)


class _Workers(_Iteration):
    """Let worker processes fetch, each through its pipe, and give the batches in the order they were asked for."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.epoch = -1
        self.pipes: list[connection.Connection] = []
        self.processes: list[Any] = []
        seed = draw_seed(loader.generator)
        context = loader.multiprocessing_context or multiprocessing.get_context()
        forks = context.get_start_method() == "fork"
        self._end = weakref.finalize(self, _stop, self.pipes, self.processes)
        for i in range(loader.num_workers):
            ours, theirs = context.Pipe()
            task = workers.Task(
                i, loader.num_workers, seed, loader.dataset, loader.batch_sampler is not None, loader.collate_fn,
                loader.drop_last, loader.worker_init_fn,
            )  # fmt: skip
            inherited = (*self.pipes, ours) if forks else ()
            process = context.Process(target=workers.run, args=(task, theirs, inherited), daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)
        self.begin(loader)

    def _shutdown_workers(self) -> None:
        self._end()

    @property
    def alive(self) -> bool:
        return self._end.alive

    def restart(self, loader: DataLoader[Any]) -> None:
        """Begin another pass with the same workers."""
        draw_seed(loader.generator)
        self.begin(loader)

    def begin(self, loader: DataLoader[Any]) -> None:
        self.order, self.timeout = loader.indices, loader.timeout  # not the loader itself, which may have this iterator
        self.in_order, self.persistent = loader.in_order, loader.persistent_workers
        self.indices = iter(self.order)
        self.epoch += 1
        self.sent = self.turn = 0
        self.active = [True] * len(self.pipes)
        self.turns = itertools.cycle(range(len(self.pipes)))
        self.waiting: dict[int, int] = {}  # which worker was asked for a batch that has not come
        self.answers: dict[int, Any] = {}  # batches that came before their turn
        for _ in range((loader.prefetch_factor or 2) * len(self.pipes)):
            self.ask()

    def ask(self) -> None:
        """Ask the next worker that has items for the next batch, if there is one."""
        worker = next((w for w in itertools.islice(self.turns, len(self.pipes)) if self.active[w]), None)
        if worker is None:
            return
        try:
            index = next(self.indices)
        except StopIteration:
            return
        try:
            self.pipes[worker].send((self.epoch, self.sent, index))
        except OSError:
            raise self.died() from None
        self.waiting[self.sent] = worker
        self.sent += 1

    def receive(self) -> None:
        """Wait for an answer of any worker. Raises RuntimeError when it takes too long, or one has died."""
        ready = connection.wait(self.pipes, self.timeout or None)
        if not ready:
            self._end()
            raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds")
        for pipe in ready:
            try:
                epoch, number, answer = pickle.loads(pipe.recv_bytes())  # type: ignore[union-attr]
            except (EOFError, OSError):
                raise self.died() from None
            if epoch != self.epoch:
                continue
            worker = self.waiting.pop(number)
            self.answers[number] = answer
            if isinstance(answer, workers.Exhausted):
                self.active[worker] = False
                self.ask()

    def died(self) -> RuntimeError:
        """Stop all workers, and return the error that says which one did so by itself."""
        for p in self.processes:
            p.join(0.2)
        pids = ", ".join(str(p.pid) for p in self.processes if not p.is_alive())
        self._end()
        return RuntimeError(
            f"DataLoader worker (pid(s) {pids}) exited unexpectedly: killed, or out of memory; num_workers=0 fetches in this "
            f"process and shows its error"
        )

    def __next__(self) -> Any:
        while self.waiting or self.answers:
            number = self.turn if self.in_order else next(iter(self.answers), -1)
            if number not in self.answers:
                self.receive()
                continue
            answer = self.answers.pop(number)
            self.turn += 1
            if isinstance(answer, workers.Exhausted):
                continue
            self.ask()
            if isinstance(answer, workers.Failure):  # of this batch: a program may go on with the next
                raise answer.raised()
            return answer
        if not self.persistent:
            self._end()
        raise StopIteration

    def __len__(self) -> int:
        return len(self.order)


def _stop(pipes: list[connection.Connection], processes: list[Any]) -> None:
    """Close the pipes, at which the workers end; one that does not is terminated."""
    for pipe in pipes:
        pipe.close()
    for process in processes:
        process.join(2)
        if process.is_alive():
            process.terminate()
            process.join()
