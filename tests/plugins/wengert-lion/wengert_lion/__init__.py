"""The optimizer Lion, by its name: it is imported when it is first used."""

from wengert.plugins import hookimpl


@hookimpl
def wengert_register_optimizers(registry):
    registry.optimizer("Lion", "wengert_lion.lion:Lion")
