"""Make the notebooks of the examples from their scripts, and run them: `python docs/examples/build.py [name ...]`.

Owns: docs/examples/*.ipynb. The scripts are the source: cells begin with `# %%` (jupytext's percent format), and a test holds
the notebooks' code to theirs. Needs the extra `docs`. Must not know: what an example does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SCRIPTS = sorted(path for path in HERE.glob("*.py") if path.name != "build.py")


def build(script: Path) -> Path:
    """Write the executed notebook of a script, beside it."""
    notebook = jupytext.read(script)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}  # the same in every build
    path = script.with_suffix(".ipynb")
    nbformat.write(notebook, path)
    return path


if __name__ == "__main__":
    os.environ.update(TQDM_DISABLE="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    for script in SCRIPTS:
        if not sys.argv[1:] or script.stem in sys.argv[1:]:
            print(build(script).name)
