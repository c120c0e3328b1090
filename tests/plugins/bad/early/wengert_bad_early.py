"""Computes with wengert while it is imported, and asks for the names of other plugins."""

import wengert
from wengert.plugins import hookimpl

x = wengert.ones(3, requires_grad=True)
(x * wengert.arange(3.0)).sum().backward()
found = hasattr(wengert, "bell"), hasattr(wengert.optim, "Lion"), hasattr(wengert, "no_such_name")


@hookimpl
def wengert_register_ops(registry):
    registry.op("bad_early", lambda: x.grad)
