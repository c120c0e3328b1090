"""PyTorch's own tensors as a device, on the processor or on its graphics cards."""

from wengert.backend import DeviceInfo
from wengert_xp.standard import StandardModule

try:
    import array_api_compat.torch as namespace
    import torch
except ImportError as error:
    namespace, problem = None, f"{error.name} is not installed: pip install torch"


def places():
    return ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]


class Torch(StandardModule):
    name = "torch"
    namespace = namespace
    beyond = () if namespace is None else (torch, torch.special)

    def __init__(self):
        if namespace is not None:
            super().__init__()

    def devices(self):
        if namespace is None:
            return [DeviceInfo("torch", False, problem)]
        return [DeviceInfo(f"torch:{i}", True, f"PyTorch {torch.__version__} on {p}", i > 0) for i, p in enumerate(places())]

    def place_of(self, index):
        if namespace is None or index >= len(places()):
            raise RuntimeError(f"no device torch:{index}: {problem if namespace is None else ', '.join(places())}")
        return places()[index]

    def strided(self, root, shape, strides, offset):
        return torch.as_strided(root, shape, strides, root.storage_offset() + offset)

    def index_of(self, array):
        return places().index(str(array.raw.device))

    def synchronize(self, index):
        if index:
            torch.cuda.synchronize(index - 1)

    def to_host(self, array):
        return array.raw.resolve_conj().cpu().numpy().copy()
