"""What `import torch` finds after `install()`: modules with PyTorch's names that show what wengert has.

Owns: the finder on `sys.meta_path`, the shown modules, the table of places where PyTorch keeps a name and wengert does not.
May import: errors, dtypes, tensor; `wengert` and its parts late. Must not know: any op.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

from wengert import _version, dtypes, errors
from wengert._tensor import Tensor
from wengert.compat import named, private
from wengert.registry import Namespace

SHOWN = "2.13.0"  # the version of PyTorch whose interface this is

# The modules of torch.nn.modules.
LAYERS = (
    "activation|adaptive|batchnorm|channelshuffle|container|conv|distance|dropout|flatten|fold|instancenorm|lazy|"
    "linear|loss|module|normalization|padding|pixelshuffle|pooling|rnn|sparse|transformer|upsampling|utils"
)
# PyTorch's own modules, whose names wengert has in one place.
ELSEWHERE = [
    (r"cuda\.(amp)(\..*)?", r"amp"),
    (r"amp\.(autocast_mode|grad_scaler)", "amp"), (r"cuda\.(graphs|memory|random|streams)", "cuda"),
    (rf"nn\.(modules|parameter|modules\.({LAYERS}))", "nn"),
    (r"nn\.parallel(\.(data_parallel|distributed|parallel_apply|replicate|scatter_gather))?", "compat.parallel"),
    (r"nn\.utils\.(clip_grad|convert_parameters|weight_norm|spectral_norm|fusion|memory_format|init)", "nn.utils"),
    (r"optim\.(adam|adamw|adagrad|adadelta|adamax|asgd|lbfgs|nadam|radam|rmsprop|rprop|sgd|sparse_adam)", "optim"),
    (r"utils\.data\.(dataloader|dataset|sampler|distributed)", "utils.data"),
    (r"utils\.data\._utils\.(collate|worker|fetch)", "utils.data"), (r"utils\.data\._utils(\.pin_memory)?", "compat.loading"),
    (r"autograd\.(gradcheck|variable)", "autograd"),
    (r"autograd\.profiler", "profiler"), (r"functional|_tensor", ""), (r"nn\.utils\.stateless", "func"),
    (r"types|nn\.common_types", "compat.types"), (r"nn\.attention", "compat.attention"), (r"utils\.hooks", "compat.hooks"),
    (r"masked\._ops", "masked"), (r"utils\.model_zoo", "hub"), (r"_C", "compat._C"), (r"_C\._nn", "nn.functional"),
    (r"_subclasses\.fake_tensor|fx\.experimental\.proxy_tensor", "compat.fake"),
    (r"utils\._pytree", "compat.pytree"), (r"return_types", "compat.return_types"),
    (r"fx", "compat.fx"), (r"jit\.annotations", "compat.annotated"),
    (r"_utils|utils\._foreach_utils", "compat.private"), (r"_custom_ops", "library"),
    (r"nn\._reduction|nn\.functional\._Reduction", "compat.reductions"),
    (r"distributed\.(distributed_c10d|constants)", "distributed"),
    (r"distributed\.nn(\.functional)?", "compat.collectives"), (r"storage", ""), (r"_tensor_str", "compat.printed"),
    (r"distributed\.tensor\.placement_types", "compat.placements"), (r"onnx\.symbolic_helper", "onnx"),
    (r"compiler|_dynamo|_inductor", "compat.compiler"), (r"_higher_order_ops(\.associative_scan)?", "compat.scans"),
    (r"_dynamo\.(config|exc|utils|_trace_wrapped_higher_order_op)|_inductor\.config", "compat.compiler"),
    (r"xpu", "compat.mps"), (r"__future__", "compat.future"), (r"cpu", "compat.cpu"), (r"cpu\.amp", "compat.cpu_amp"),
    (r"distributions\.(?!constraints$|transforms$|kl$|utils$)[a-z_]+", "distributions"),
]  # fmt: skip
RENAMED = {  # old names of things in the same place
    "torch.optim.lr_scheduler._LRScheduler": "LRScheduler",
    **{
        f"torch.nn.init.{name}": f"{name}_"
        for name in (
            "uniform", "normal", "constant", "eye", "dirac", "xavier_uniform", "xavier_normal", "kaiming_uniform",
            "kaiming_normal", "orthogonal", "sparse",
        )
    },
}  # fmt: skip
MOVED = {  # single names that are elsewhere
    "torch.nn.DataParallel": "compat.parallel", "torch.compile": "compat.compiler",
    "torch.nn.modules.DataParallel": "compat.parallel", "torch.ops.aten": "compat.aten",
    "torch.ops.load_library": "compat.aten", "torch.ScriptModule": "jit",
    "torch._C._nn._parse_to": "compat.private", "torch.optim.optimizer.ParamsT": "compat.types",
    "torch.nn.modules.module._addindent": "compat.private",
    "torch.utils.data.dataloader._collate_fn_t": "compat.loading",
    **{
        f"torch.utils.data._utils.collate.{name}": "compat.loading"
        for name in (
            "np_str_obj_array_pattern", "collate_tensor_fn", "collate_str_fn", "collate_float_fn", "collate_int_fn",
            "collate_numpy_array_fn", "collate_numpy_scalar_fn",
        )
    },
    **{f"torch.nn.modules.transformer.{name}": "compat.private" for name in ("_get_activation_fn", "_get_clones")},
    **{
        f"functorch.{name}": "compat.stateless"
        for name in ("combine_state_for_ensemble", "make_functional", "make_functional_with_buffers")
    },
    **{
        f"torch.distributed.{module}.{name}": "compat.placements"
        for module in ("tensor", "_tensor") for name in ("Partial", "Placement", "Replicate", "Shard")
    },
}  # fmt: skip
WALKED = ("torch.distributions", "torch.nn.modules.activation", "torch.optim", "torch.optim.lr_scheduler")


class Shown(ModuleType):
    """A module with PyTorch's name, whose names are those of a part of wengert."""

    def __init__(self, name: str, part: Any) -> None:
        super().__init__(name, f"wengert's part that `{name}` means.")
        self._part = part
        self.__file__ = getattr(part, "__file__", None)
        if name == "torch":
            self.__version__ = f"{SHOWN}+wengert"
            self.torch = self
            self.__config__ = SimpleNamespace(show=lambda: f"wengert {_version.__version__}", parallel_info=str)

    def __getattr__(self, name: str) -> Any:
        part = self.__dict__["_part"]
        if name == "__all__":
            return [n for n in dir(part) if not n.startswith("_") and "." not in n]
        whole, path = f"{self.__name__}.{name}", self.__name__.partition(".")[2]
        if name.startswith("__") and whole != "torch.__future__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if whole in MOVED:
            part = part_of(f"torch.{MOVED[whole]}")
        try:
            found = getattr(part, RENAMED.get(whole, name))
        except AttributeError as error:
            found = (getattr(private, name, None) if self.__name__ == "torch" else None) or named.find(path, name)
            if found is not None:
                self.__dict__[name] = found
                return found
            if part_of(whole) is not None:
                return importlib.import_module(whole)
            known = [n for n in dir(part) if not n.startswith("_")]
            said = f"module {self.__name__!r} has no attribute {name!r} in wengert."
            raise errors.NoSuchName(said, name, known, "") from error
        if is_part(found):
            return importlib.import_module(whole)
        if callable(found) or isinstance(found, dtypes.dtype):  # these stay as they are: found at once the next time
            self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        # import puts a module into the one above it, where PyTorch has a function of the same name: autograd.gradcheck
        if not (isinstance(value, Shown) and isinstance(getattr(self.__dict__.get("_part"), name, None), FunctionType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._part), *self.__dict__})


def is_part(x: Any) -> bool:
    """Say whether an object is shown as a module: a module of wengert's, or a namespace of plugins."""
    return isinstance(x, Namespace) or (isinstance(x, ModuleType) and x.__name__.split(".")[0] == "wengert")


def part_of(name: str) -> Any:
    """Return the part of wengert that a module of PyTorch's means, or the names there are of it, or None."""
    path = name.partition(".")[2]
    return _own(path) or named.module(path)


def _own(path: str) -> Any:
    import wengert

    place = next((place for pattern, place in ELSEWHERE if re.fullmatch(pattern, path)), path)
    if place != path or not path:
        return _own(place) if place else wengert
    above, _, step = path.rpartition(".")
    part = _own(above)
    found = getattr(part, step, None)
    if found is None and isinstance(part, ModuleType) and hasattr(part, "__path__"):
        try:
            found = importlib.import_module(f"{part.__name__}.{step}")
        except ModuleNotFoundError:
            return None
    return found if is_part(found) or isinstance(found, ModuleType) else None


class Finder:
    """Finds `torch` and what is below it, in the form of import's finders and loaders."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        top = name.split(".")[0]
        if name == "functorch":  # which PyTorch brings along
            return ModuleSpec(name, self)  # type: ignore[arg-type]
        if top != "torch":
            return None
        if part_of(name) is None:
            above, _, last = name.rpartition(".")
            close = errors.nearest(last, [n for n in dir(sys.modules[above]) if not n.startswith("_")])
            raise ModuleNotFoundError(f"wengert has no {name!r} to import.{close}")
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that shows the part of that name."""
        return Shown(spec.name, part_of("torch.func" if spec.name == "functorch" else spec.name))

    def exec_module(self, module: ModuleType) -> None:
        """Put the names into modules whose `__dict__` programs walk through."""
        if module.__name__ in WALKED:
            for name in dir(module):
                if not name.startswith("_"):
                    getattr(module, name)


_finder = Finder()
_MODULE = Tensor.__module__


def install() -> None:
    """Let `import torch` mean wengert from now on. Raises RuntimeError when PyTorch itself has been imported."""
    if _finder in sys.meta_path:
        return
    if "torch" in sys.modules:
        raise RuntimeError("PyTorch has been imported already: call wengert.compat.install() before the first import torch")
    sys.meta_path.insert(0, _finder)
    Tensor.__module__ = "torch"  # by which libraries for several kinds of arrays know whose function to call


def uninstall() -> None:
    """Let `import torch` mean PyTorch again; modules that imported it keep what they have."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
        Tensor.__module__ = _MODULE
    for name in [n for n, module in sys.modules.items() if isinstance(module, Shown)]:
        del sys.modules[name]
