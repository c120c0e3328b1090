"""A new plugin as a package of published shape: `wengert new-plugin NAME --kind device|op|optimizer`.

Owns: the templates and their writing. May import: the standard library. Must not know: the registry, any plugin.
What is written passes its own tests as it is, and is meant to be changed line by line into what its author wants.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

KINDS = ("device", "op", "optimizer")

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "wengert-$name"
version = "0.1.0"
description = "$what for wengert"
readme = "README.md"
requires-python = ">=3.11"
dependencies = [$needs]
keywords = ["wengert", "wengert-plugin"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points."wengert.plugins"]
$module = "wengert_$module"

[tool.hatch.build.targets.wheel]
packages = ["wengert_$module"]

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
testpaths = ["tests"]
"""

README = """\
# wengert-$name

$What for [wengert](https://pypi.org/project/wengert/), found as soon as it is installed:

```python
$use
```

To work on it:

```bash
pip install -e '.[test]' && pytest
```

`wengert plugins` says whether it was found, and why not.
"""

CONFTEST = """\
pytest_plugins = ["wengert.testing.pytest"]
"""

OP = {
    "wengert_$module/__init__.py": '''\
"""What wengert finds: names, and where they are imported from when they are used. Import nothing heavy here."""

from wengert.plugins import hookimpl


@hookimpl
def wengert_register_ops(registry):
    registry.op("$module", "wengert_$module.ops:$module")
    registry.method("$module", "wengert_$module.ops:$module")
    registry.cases("$module", "wengert_$module.cases:RECORDS")
''',
    "wengert_$module/ops.py": '''\
"""The ops: one line each, a formula in C and a rule for each input that has a gradient."""

from wengert.extend import elementwise

# x / (1 + x^2): the name, the value of an element in C, the gradient of x from g, the one that comes in
$module = elementwise("$module", "x / (1 + x * x)", x=lambda g, x: g * (1 - x * x) / (1 + x * x) ** 2)
''',
    "wengert_$module/cases.py": '''\
"""What the ops are tried with on every device, also on those of other packages: R is any real number, of a shape."""

import wengert_$module.ops  # noqa: F401  (enters the records)
from wengert.testing.cases import R, each, table

RECORDS = table(each("$module", R, oracle=lambda x: x / (1 + x**2)))
''',
    "tests/test_$module.py": '''\
"""The op gives what NumPy says, its gradients are what differences say, and every device here computes the same."""

import wengert
from wengert.testing import check_op
from wengert.testing.cases import every
from wengert_$module.ops import $module


def test_$module():
    check_op($module, oracle=lambda x: x / (1 + x**2), devices="all")


def test_its_names_are_found():
    x = wengert.tensor([1.0], requires_grad=True)
    wengert.$module(x).sum().backward()
    assert x.$module().item() == 0.5 and x.grad.item() == 0.0
    assert "$module" in every()
''',
}

OPTIMIZER = {
    "wengert_$module/__init__.py": '''\
"""What wengert finds: names, and where they are imported from when they are used. Import nothing heavy here."""

from wengert.plugins import hookimpl


@hookimpl
def wengert_register_optimizers(registry):
    registry.optimizer("$Class", "wengert_$module.$module:$Class")
''',
    "wengert_$module/$module.py": '''\
"""The optimizer: its state, and one update of one parameter."""

from wengert.optim import Optimizer


class $Class(Optimizer):
    """m <- beta m + g;   p <- p - lr m"""

    defaults = {"lr": 0.01, "beta": 0.9, "weight_decay": 0.0}

    def init_state(self, p, group):
        return {"average": p.detach().clone().zero_()}

    def update(self, p, g, state, group):
        m = state["average"].mul_(group["beta"]).add_(g)
        p.sub_(m, alpha=group["lr"])
''',
    "tests/test_$module.py": '''\
"""It descends, can be saved and restored, minds its groups, and takes the same steps on every device here."""

import wengert
from wengert.testing import check_optimizer


def test_$module():
    check_optimizer("$Class", lr=0.05, devices="all")


def test_two_steps_by_hand():
    p = wengert.tensor([1.0], requires_grad=True)
    optimizer = wengert.optim.$Class([p], lr=0.5, beta=0.5)
    for expected in (0.0, -1.5):
        p.grad = wengert.tensor([2.0])
        optimizer.step()
        assert p.item() == expected
''',
}

DEVICE = {
    "wengert_$module/__init__.py": '''\
"""What wengert finds: names, and where they are imported from when they are used. Import nothing heavy here."""

from wengert.plugins import hookimpl


@hookimpl
def wengert_register_devices(registry):
    registry.device("$module", "wengert_$module.device:$Class")
''',
    "wengert_$module/device.py": '''\
"""The device: a namespace of the array API standard. Put your library's in the place of the reference one."""

import array_api_strict as library

from wengert.backend import DeviceInfo
from wengert_xp.standard import StandardModule


class $Class(StandardModule):
    name = "$module"
    namespace = library

    def devices(self):
        """List what there is, or say why there is nothing: DeviceInfo("$module", False, "no driver")."""
        return [DeviceInfo("$module:0", True, f"array_api_strict {library.__version__}", accelerator=False)]
''',
    "tests/test_$module.py": '''\
"""The device passes everything that wengert's own devices must, but for the gaps named here."""

from wengert.testing import DeviceSuite
from wengert_xp.standard import NO_FUNCTION, NO_STRIDES, NOT_WRITTEN


class Test$Class(DeviceSuite):
    device = "$module"
    gaps = {
        **NOT_WRITTEN, **NO_FUNCTION, **NO_STRIDES,
        "wengert.half": "the library has no float16",
        "program-2": "its expanded arrays cannot be written to",
    }  # fmt: skip
    needs = ("array_api_strict",)
''',
}

FILES = {"device": DEVICE, "op": OP, "optimizer": OPTIMIZER}
WHAT = {"device": "a device", "op": "an op with its gradient", "optimizer": "an optimizer"}
USE = {
    "device": 'import wengert as torch\n\nx = torch.ones(3, device="$module", requires_grad=True)',
    "op": "import wengert as torch\n\ny = torch.$module(torch.ones(3, requires_grad=True))",
    "optimizer": "import wengert as torch\n\noptimizer = torch.optim.$Class(parameters, lr=0.01)",
}


def shown_as(name: str, kind: str) -> str:
    """Return the name that the package `wengert-<name>` registers."""
    parts = name.removeprefix("wengert-").split("-")
    return "".join(part.capitalize() for part in parts) if kind == "optimizer" else "_".join(parts)


def write(name: str, kind: str, into: Path) -> Path:
    """Write the package `wengert-<name>` into a new folder of that name; return the folder.

    Raises ValueError for a name that makes no package, FileExistsError where there is a folder of that name already.
    """
    name = name.removeprefix("wengert-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ValueError(f"a plugin's name is made of small letters, digits and '-', as in 'my-device'; got {name!r}")
    if kind not in KINDS:
        raise ValueError(f"a plugin's kind is one of {', '.join(KINDS)}; got {kind!r}")
    module = name.replace("-", "_")
    if keyword.iskeyword(module):
        raise ValueError(f"{module!r} is a word of Python's, no name; take another, such as 'my-{name}'")
    words = {"name": name, "module": module, "Class": shown_as(name, "optimizer"), "kind": kind}
    words |= {"what": WHAT[kind], "What": WHAT[kind].capitalize()}
    words["needs"] = '"wengert", "array-api-strict"' if kind == "device" else '"wengert"'
    words["use"] = Template(USE[kind]).substitute(words)
    folder = into / f"wengert-{name}"
    folder.mkdir(parents=True)
    files = {"pyproject.toml": PYPROJECT, "README.md": README, "tests/conftest.py": CONFTEST, **FILES[kind]}
    for path, text in files.items():
        place = folder / Template(path).substitute(words)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(Template(text).substitute(words), encoding="utf-8")
    return folder
