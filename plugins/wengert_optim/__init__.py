"""The optimizers and learning-rate schedulers of PyTorch, as a plugin.

Owns: the names; each class is loaded from its module when it is first asked for.
May import: `wengert.plugins` only, so that finding the plugin costs nothing. Must not know: tensors, devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl

if TYPE_CHECKING:  # what type checkers and editors see as wengert.optim.*
    from wengert.registry import Registry
    from wengert_optim.adagrad import Adadelta as Adadelta
    from wengert_optim.adagrad import Adagrad as Adagrad
    from wengert_optim.adagrad import RMSprop as RMSprop
    from wengert_optim.adam import Adam as Adam
    from wengert_optim.adam import Adamax as Adamax
    from wengert_optim.adam import AdamW as AdamW
    from wengert_optim.adam import NAdam as NAdam
    from wengert_optim.adam import RAdam as RAdam
    from wengert_optim.lbfgs import LBFGS as LBFGS
    from wengert_optim.matrix import Adafactor as Adafactor
    from wengert_optim.matrix import Muon as Muon
    from wengert_optim.rprop import Rprop as Rprop
    from wengert_optim.sgd import ASGD as ASGD
    from wengert_optim.sgd import SGD as SGD
    from wengert_optim.sparse import SparseAdam as SparseAdam

OPTIMIZERS = {
    "sgd": ("SGD", "ASGD"),
    "adam": ("Adam", "AdamW", "Adamax", "NAdam", "RAdam"),
    "adagrad": ("Adagrad", "Adadelta", "RMSprop"),
    "rprop": ("Rprop",),
    "lbfgs": ("LBFGS",),
    "matrix": ("Adafactor", "Muon"),
    "sparse": ("SparseAdam",),
}
SCHEDULERS = (
    "LRScheduler",
    "LambdaLR",
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "ChainedScheduler",
)
AVERAGES = (
    "AveragedModel", "SWALR", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn", "update_bn",
)  # fmt: skip


@hookimpl
def wengert_register_optimizers(registry: Registry) -> None:
    """Register every optimizer by name, the schedulers as `lr_scheduler.<name>`, averages as `swa_utils.<name>`."""
    for module, names in OPTIMIZERS.items():
        for name in names:
            registry.optimizer(name, f"wengert_optim.{module}:{name}")
    for name in SCHEDULERS:
        registry.optimizer(f"lr_scheduler.{name}", f"wengert_optim.lr_scheduler:{name}")
    for name in AVERAGES:
        registry.optimizer(f"swa_utils.{name}", f"wengert_optim.swa_utils:{name}")
