"""`wengert.multiprocessing`: Python's own, whose processes may be given tensors, and PyTorch's additions to it.

Owns: `spawn`, `start_processes` and the sharing strategies. May import: the standard library.
Must not know: tensors, which are sent as copies unless `share_memory_()` was called before processes were made by fork.
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections.abc import Callable
from multiprocessing import connection
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing, name)


class ProcessException(Exception):
    """What is raised where a process that was started here failed: which one, and its process id."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid


class ProcessRaisedException(ProcessException):
    """Its function raised: the message has the traceback."""


class ProcessExitedException(ProcessException):
    """It ended otherwise, with an exit code that is not 0."""

    def __init__(self, msg: str, error_index: int, pid: int, exit_code: int) -> None:
        super().__init__(msg, error_index, pid)
        self.exit_code = exit_code


def _run(fn: Callable[..., Any], index: int, args: tuple[Any, ...], told: connection.Connection) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass  # the main process was interrupted as well
    except Exception:
        told.send(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """Processes that were started together."""

    def __init__(self, processes: list[Any], told: list[connection.Connection]) -> None:
        self.processes, self._told = processes, told

    def pids(self) -> list[int]:
        """Return their process ids."""
        return [p.pid for p in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Wait for one of them to end, and say whether all have. Raises for one that failed, when the others are stopped."""
        open_ = [p for p in self.processes if p.exitcode is None]
        if open_:  # to wait for none would take forever
            connection.wait([p.sentinel for p in open_], timeout)
        failed = next((i for i, p in enumerate(self.processes) if p.exitcode), None)
        if failed is None:
            return all([p.exitcode == 0 for p in self.processes])
        for process in self.processes:
            process.terminate()
            process.join()
        one, told = self.processes[failed], self._told[failed]
        try:
            words = told.recv()
        except EOFError:  # it said nothing
            words = f"process {failed} terminated with exit code {one.exitcode}"
            raise ProcessExitedException(words, failed, one.pid, one.exitcode) from None
        raise ProcessRaisedException(
            f"\n\n-- Process {failed} terminated with the following error:\n{words}", failed, one.pid
        )


def start_processes(
    fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:  # fmt: skip
    """Run fn(i, *args) in processes i = 0..nprocs-1; wait for them, or return them.

    Raises ProcessRaisedException for one whose function raised, ProcessExitedException for one that failed otherwise.
    """
    context: Any = multiprocessing.get_context(start_method)
    processes, told = [], []
    for i in range(nprocs):
        ours, theirs = context.Pipe(False)
        process = context.Process(target=_run, args=(fn, i, args, theirs), daemon=daemon)
        process.start()
        theirs.close()
        processes.append(process)
        told.append(ours)
    started = ProcessContext(processes, told)
    if not join:
        return started
    while not started.join():
        pass
    return None


spawn = start_processes


def get_all_sharing_strategies() -> set[str]:
    """Return the one strategy there is."""
    return {"file_system"}


def get_sharing_strategy() -> str:
    """Return the one strategy there is."""
    return "file_system"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted for PyTorch programs."""
