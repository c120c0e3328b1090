"""Takes its time to be imported."""

import time

from wengert.plugins import hookimpl

time.sleep(1)


@hookimpl
def wengert_register_ops(registry):
    registry.op("bad_slow", abs)
