"""Devices made of namespaces of the array API standard: "strict", and "torch" where PyTorch is installed."""

from wengert.plugins import hookimpl


@hookimpl
def wengert_register_devices(registry):
    registry.device("strict", "wengert_standard.strict:Strict")
    registry.device("torch", "wengert_standard.pytorch:Torch")
