"""The examples of docs/examples/: every script runs (a few steps of it), and its notebook has the same code.

Owns the proof that the examples work. Those that draw need matplotlib, two need scikit-learn: they are skipped without.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
SCRIPTS = sorted(path for path in EXAMPLES.glob("*.py") if path.name != "build.py")


def test_there_are_examples() -> None:
    assert {path.stem for path in SCRIPTS} >= {"autoencoder", "characters", "digits", "newton", "on_opencl", "oscillator", "peaks"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs(script: Path) -> None:
    for needed in re.findall(r"^(?:from|import) (matplotlib|sklearn)", script.read_text(), re.M):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed (extra `docs`)")
    surroundings = {**os.environ, "EXAMPLES_QUICK": "1", "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=surroundings, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_notebook_is_the_scripts(script: Path) -> None:
    """The same cells, run to the end without an error, with a picture: `python docs/examples/build.py` makes it anew."""
    cells = [part.strip() for part in re.split(r"^# %%.*\n", script.read_text(), flags=re.M)[1:]]
    notebook = json.loads(script.with_suffix(".ipynb").read_text())
    assert len(notebook["cells"]) == len(cells)
    for cell, source in zip(notebook["cells"], cells):
        text = "".join(cell["source"]).strip()
        plain = "\n".join(re.sub(r"^# ?", "", line) for line in source.splitlines()) if cell["cell_type"] == "markdown" else source
        assert text == plain
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
