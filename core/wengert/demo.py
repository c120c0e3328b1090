"""`wengert demo`: two small problems solved by gradient descent, their numbers and a picture of the way.

Owns: the system of equations, the line, what is printed and drawn of them. May import: wengert's public names, and
late, where they are installed, tqdm and matplotlib. Must not know: how anything is recorded or computed.
Both problems come from published PyTorch notebooks, and print what those print.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import wengert
from wengert import optim

torch: Any = wengert  # its functions are bound when it is imported, which a type checker does not see
Say = Callable[[str], None]
Progress = Callable[..., Iterable[int]]  # (a range, desc=...) -> the same numbers, shown as they are taken

FORMATS = (".svg", ".png")
EXTRA = {"matplotlib": "No picture", "tqdm": "No progress bar"}  # what is lost without it
STEPS, STEP_RATE = 1000, 0.01  # of the system
EPOCHS, EPOCH_RATE = 50, 0.05  # of the line


@dataclass
class Way:
    """What a descent passed through: parameters, loss and gradient before each step."""

    title: str
    unit: str  # what a step is called
    names: tuple[str, str]
    exact: float | None = None  # what both parameters should become, where it is known
    values: list[list[float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    gradients: list[list[float]] = field(default_factory=list)

    def add(self, values: list[float], loss: float, gradient: list[float]) -> None:
        self.values.append(values)
        self.losses.append(loss)
        self.gradients.append(gradient)


def unseen(numbers: Iterable[int], desc: str = "") -> Iterable[int]:
    """Return the numbers: the progress bar of those who have none."""
    return numbers


# ---- the problems
def f1(x1: Any, x2: Any) -> Any:
    """Return exp(-exp(-(x1 + x2))) - x2 (1 + x1^2), which is to be 0."""
    return torch.exp(-torch.exp(-(x1 + x2))) - x2 * (1 + x1**2)


def f2(x1: Any, x2: Any) -> Any:
    """Return x1 cos x2 + x2 sin x1 - 1/2, which is to be 0."""
    return x1 * torch.cos(x2) + x2 * torch.sin(x1) - 0.5


def solve_system(device: Any = None, say: Say = print, progress: Progress = unseen) -> Way:
    """Solve f1 = f2 = 0 from (0, 0) by gradient descent on f1^2 + f2^2."""
    way = Way(f"Two equations, {STEPS} steps of SGD", "iteration", ("x1", "x2"))
    x1 = torch.tensor([0.0], requires_grad=True, device=device)
    x2 = torch.tensor([0.0], requires_grad=True, device=device)
    optimizer = optim.SGD([x1, x2], lr=STEP_RATE)
    for it in progress(range(STEPS), desc="two equations"):
        before = [x1.item(), x2.item()]
        loss = f1(x1, x2) ** 2 + f2(x1, x2) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        way.add(before, loss.item(), [x1.grad.item(), x2.grad.item()])
        if it % 20 == 0:
            say(f"Iteration: {it}, x1: {x1.item():f}, x2: {x2.item():f}, loss: {loss.item():f}")
    say(f"x1 = {x1.item():.5f} and x2 = {x2.item():.5f}: the equations are met to "
        f"{abs(f1(x1, x2).item()):.0e} and {abs(f2(x1, x2).item()):.0e}")  # fmt: skip
    return way


def fit_line(device: Any = None, say: Say = print, progress: Progress = unseen) -> Way:
    """Fit y = a x + b to three points by gradient descent on the mean squared error."""
    way = Way(f"A line through three points, {EPOCHS} epochs", "epoch", ("a", "b"), exact=0.5)
    x = torch.tensor([1.0, 2.0, 3.0], device=device)
    y = torch.tensor([1.0, 1.5, 2.0], device=device)
    params = torch.tensor([1.0, 1.0], requires_grad=True, device=device)
    for epoch in progress(range(EPOCHS), desc="a line"):
        loss = ((y - (params[0] * x + params[1])) ** 2).mean()
        say(f"Epoch {epoch}: loss={loss.item()}, param_a={params[0]}, param_b={params[1]}")
        loss.backward()
        way.add(params.tolist(), loss.item(), params.grad.tolist())
        params = (params - EPOCH_RATE * params.grad).detach().requires_grad_()
    say(f"y = {params[0]:.4f} x + {params[1]:.4f}, on the way to y = 0.5 x + 0.5")
    return way


# ---- the command
def check(out: str, device: str | None) -> tuple[Path, Any]:
    """Return where to draw to and where to compute.

    Raises ValueError where the picture cannot be written there or the device cannot be used.
    """
    path = Path(out)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"cannot draw to {out!r}: the file name must end in {' or '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise ValueError(f"cannot draw to {out!r}: there is no folder {str(path.parent)!r}")
    try:
        place = torch.get_default_device() if device is None else torch.device(device)
        torch.zeros(1, device=place)
    except Exception as error:  # whatever a device's own library raises where it does not work
        raise ValueError(f"the device cannot be used: {error}") from error
    return path, place


def missing(name: str) -> bool:
    """Say whether a library cannot be imported."""
    try:
        import_module(name)
    except ImportError:
        return True
    return False


def run(path: Path, place: Any) -> int:
    """Solve both problems on a device, print how it went and draw it; return the exit status."""
    say: Say = print
    progress: Progress = unseen
    if sys.stderr.isatty() and not missing("tqdm"):
        bar = import_module("tqdm").tqdm
        say, progress = bar.write, functools.partial(bar, leave=False)  # lines go above the bar
    ways = []
    for title, solve in (
        ("exp(-exp(-(x1 + x2))) = x2 (1 + x1^2) and x1 cos(x2) + x2 sin(x1) = 1/2", solve_system),
        ("y = a x + b through (1, 1), (2, 1.5) and (3, 2)", fit_line),
    ):
        print(f"Solving {title} on {place}")
        start = time.perf_counter()
        ways.append(solve(place, say, progress))
        print(f"{time.perf_counter() - start:.2f} s\n")
    lacking = [name for name in EXTRA if missing(name)]
    for name in lacking:
        print(f"{EXTRA[name]}: {name} is not installed (pip install {name}, or the extra 'demo' of wengert)")
    if "matplotlib" in lacking:
        return 0
    try:
        draw(ways, path)
    except OSError as error:
        print(f"wengert demo: the picture cannot be written: {error}", file=sys.stderr)
        return 1
    print(f"Picture of the parameters, the loss and the gradient: {path.resolve()}")
    return 0


# ---- the picture
COLOURS = ("#0072B2", "#D55E00")  # blue and vermilion, told apart by colour-blind readers (Okabe and Ito, 2008)
DASHES = ("-", "--")


def draw(ways: list[Way], path: Path) -> None:
    """Draw parameters, loss and size of the gradient over the steps, one column a problem, into a file."""
    import matplotlib
    from matplotlib.figure import Figure

    kind = path.suffix.lower()[1:]
    # a fixed salt and no date: the same numbers give the same file
    with matplotlib.rc_context({"svg.hashsalt": "wengert", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(9, 7), layout="constrained")
        for column, way in zip(figure.subplots(3, len(ways), sharex="col", squeeze=False).T, ways, strict=True):
            values, loss, gradient = column
            values.set_title(way.title)
            for i, name in enumerate(way.names):
                style: dict[str, Any] = {"color": COLOURS[i], "linestyle": DASHES[i]}
                values.plot([v[i] for v in way.values], label=name, **style)
                gradient.plot([abs(g[i]) for g in way.gradients], label=f"|dL/d{name}|", **style)
            if way.exact is not None:
                values.axhline(way.exact, color="black", linestyle=":", label=f"exact: {way.exact}")
            loss.plot(way.losses, color="black")
            loss.set_yscale("log")
            gradient.set_yscale("log")
            values.set_ylabel("parameters")
            loss.set_ylabel("loss L (log scale)")
            gradient.set_ylabel("gradient (log scale)")
            gradient.set_xlabel(way.unit)
            values.legend()
            gradient.legend()
        figure.savefig(path, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
