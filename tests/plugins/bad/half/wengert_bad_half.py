"""Fails after it has registered something in each table."""

import wengert
from wengert.plugins import hookimpl


@hookimpl
def wengert_register_devices(registry):
    registry.device("bad_half", "nowhere:Device")
    registry.kernel("exp", "cpu", lambda x, out=...: 1 / 0)


@hookimpl
def wengert_register_ops(registry):
    registry.op("bad_half", abs)
    registry.method("bad_half", abs)
    registry.optimizer("BadHalf", wengert.optim.Optimizer)
    raise RuntimeError("half way")
