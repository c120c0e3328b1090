"""Asks its hook for an argument that does not exist."""

from wengert.plugins import hookimpl


@hookimpl
def wengert_register_ops(registry, session):
    registry.op("bad_argument", session)
