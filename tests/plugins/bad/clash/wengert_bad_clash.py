"""Takes the name of a built-in optimizer."""

from wengert.plugins import hookimpl


@hookimpl
def wengert_register_optimizers(registry):
    registry.optimizer("BadClash", "nowhere:Clash")
    registry.optimizer("SGD", "nowhere:SGD")
