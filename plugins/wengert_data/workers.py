"""Worker processes of a loader: each fetches batches and sends them through its own pipe.

Owns: `get_worker_info`, fetching (which the loader also does without workers), the worker's loop, how its exceptions
travel. May import: `wengert`'s public names, datasets. Must not know: loaders, samplers.
A worker ends when its pipe does: also when the main process was killed.
"""

from __future__ import annotations

import pickle
import queue
import random
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

import wengert
from wengert_data.datasets import IterableDataset


@dataclass(frozen=True)
class WorkerInfo:
    """Which of how many workers this process is, its seed, and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Return what a worker process knows about itself; None in the main process."""
    return _info


class Exhausted:
    """What a worker answers when its copy of an iterable dataset has no more items."""


@dataclass
class Failure:
    """An exception on its way to the main process: its type, and its words with the traceback."""

    kind: type[BaseException]
    text: str

    def raised(self) -> BaseException:
        """Return the exception to raise: of the same type where that takes one message, else RuntimeError."""
        try:
            return self.kind(_Words(self.text))
        except Exception:
            return RuntimeError(self.text)


class _Words(str):
    """A message that keeps its line breaks where its repr is shown, as KeyError does."""

    def __repr__(self) -> str:
        return str(self)


def failure(error: BaseException, where: str) -> Failure:
    """Return an exception as something that can be sent."""
    text = "".join(traceback.format_exception(error))
    return Failure(type(error), f"Caught {type(error).__name__} {where}.\nOriginal {text}")


class Fetcher:
    """Takes what a sampler gave, a list of indices or one index, and returns the batch or the item."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> None:
        self.dataset, self.batched, self.collate, self.drop_last = dataset, batched, collate, drop_last
        self.items = iter(dataset) if isinstance(dataset, IterableDataset) else None
        self.ended = False

    def __call__(self, index: Any) -> Any:
        if self.items is not None:
            return self.collate(self.following(index) if self.batched else next(self.items))
        if not self.batched:
            return self.collate(self.dataset[index])
        several = getattr(self.dataset, "__getitems__", None)
        return self.collate(several(index) if callable(several) else [self.dataset[i] for i in index])

    def following(self, index: Any) -> list[Any]:
        """Return as many next items as there are indices. Raises StopIteration when there are none, or too few to keep."""
        assert self.items is not None
        items: list[Any] = []
        while not self.ended and len(items) < len(index):
            try:
                items.append(next(self.items))
            except StopIteration:
                self.ended = True
        if not items or (self.drop_last and len(items) < len(index)):
            raise StopIteration
        return items


@dataclass
class Task:
    """What a worker is told when it starts."""

    id: int
    count: int
    base_seed: int
    dataset: Any
    batched: bool
    collate: Callable[[Any], Any]
    drop_last: bool
    init: Callable[[int], Any] | None


def run(task: Task, pipe: Connection, inherited: tuple[Connection, ...]) -> None:
    """Fetch what the pipe asks for until it ends: the body of a worker process."""
    for other in inherited:  # the main process's ends, of which fork made copies: they would keep pipes open
        other.close()
    global _info
    seed = task.base_seed + task.id
    random.seed(seed)
    np.random.seed((seed & 0xFFFFFFFF, seed >> 32))
    wengert.manual_seed(seed)
    _info = WorkerInfo(task.id, task.count, seed, task.dataset)
    where = f"in DataLoader worker process {task.id}"
    orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pipe, orders), daemon=True).start()
    broken: Failure | None = None
    try:
        if task.init is not None:
            task.init(task.id)
    except Exception as error:
        broken = failure(error, where)
    fetch, epoch = None, -1
    try:
        while (order := orders.get()) is not None:
            asked_in, number, index = order
            try:
                if asked_in != epoch:
                    fetch, epoch = Fetcher(task.dataset, task.batched, task.collate, task.drop_last), asked_in
                assert fetch is not None
                answer = broken if broken is not None else fetch(index)
            except StopIteration:
                answer = Exhausted()
            except Exception as error:
                answer = failure(error, where)
            pipe.send_bytes(_packed(asked_in, number, answer, where))
    except (KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        return  # the main process has gone, or says itself that it was interrupted


def _packed(epoch: int, number: int, answer: Any, where: str) -> bytes:
    """Return an answer as bytes; what cannot be sent is answered by the error that says so."""
    try:
        return pickle.dumps((epoch, number, answer), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        told = failure(error, f"{where}, sending a batch")
        try:
            return pickle.dumps((epoch, number, told), pickle.HIGHEST_PROTOCOL)
        except Exception:
            return pickle.dumps((epoch, number, Failure(RuntimeError, told.text)), pickle.HIGHEST_PROTOCOL)


def _read(pipe: Connection, orders: queue.SimpleQueue[Any]) -> None:
    """Take orders off the pipe at once, so that the main process never waits for room in it."""
    try:
        while True:
            orders.put(pipe.recv())
    except (EOFError, OSError):
        orders.put(None)
