"""`wengert.utils.tensorboard`: what a training writes for TensorBoard to show.

Owns: `SummaryWriter`, which gives tensors to tensorboardX as host arrays. May import: tensor, func.layers; tensorboardX, which
is an extra of its own. Must not know: the files.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from wengert._tensor import Tensor
from wengert.func.layers import mapped

__all__ = ["SummaryWriter"]


def _library() -> Any:
    try:
        return importlib.import_module("tensorboardX")
    except ModuleNotFoundError as error:
        said = "torch.utils.tensorboard writes by tensorboardX, which is not installed: pip install 'wengert[tensorboard]'"
        raise ModuleNotFoundError(said, name=error.name) from error


Writer: Any = _library().SummaryWriter


def _plain(x: Any) -> Any:
    """Return a tensor as a number or a host array, and anything else as it is."""
    if not isinstance(x, Tensor):
        return x
    x = x.detach().float() if x.is_floating_point() and x.element_size() < 4 else x.detach()
    return x.item() if not x.ndim else x.numpy(force=True)


def _taking(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = mapped((args, kwargs), _plain)
        return method(self, *args, **kwargs)

    return run


class SummaryWriter(Writer):  # type: ignore[misc]
    """Write scalars, histograms, images, text and hyperparameters of a run, for `tensorboard --logdir runs`.

    log_dir: where; None is a folder of its own below runs/. The methods are tensorboardX's, which are PyTorch's.
    Raises: NotImplementedError for a graph.

    >>> with SummaryWriter(folder) as writer:  # doctest: +SKIP
    ...     writer.add_scalar("loss", loss, global_step=3)
    """

    def __init__(self, log_dir: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(None if log_dir is None else str(log_dir), *args, **kwargs)

    @property
    def log_dir(self) -> str:
        """Where the files are."""
        return str(self.logdir)

    def add_graph(self, model: Any, input_to_model: Any = None, *args: Any, **kwargs: Any) -> None:
        """Raise NotImplementedError: TensorBoard shows graphs of TorchScript."""
        raise NotImplementedError("add_graph: TensorBoard's graphs are TorchScript's; wengert.draw(model(input)) shows ours")


for _name in [n for n in vars(Writer) if n.startswith("add_") and n not in vars(SummaryWriter)]:
    setattr(SummaryWriter, _name, _taking(getattr(Writer, _name)))
