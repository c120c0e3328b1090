"""`python -m wengert.compat program.py arguments...`: run a program whose `import torch` means wengert.

Owns: the command. May import: finder, the standard library. Must not know: what the program does.
`-m module` in the place of the file runs a module, as Python does.
"""

from __future__ import annotations

import os
import runpy
import sys

from wengert.compat.finder import install

USAGE = "usage: python -m wengert.compat [-m module | program.py] [arguments ...]"


def main(arguments: list[str]) -> int:
    """Run the program that the arguments name, with the rest as its arguments."""
    if not arguments or arguments[0] in ("-h", "--help") or arguments == ["-m"]:
        print(USAGE, file=sys.stdout if arguments[:1] in (["-h"], ["--help"]) else sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    install()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    if not os.path.exists(arguments[0]):
        print(f"{arguments[0]}: there is no such file; {USAGE}", file=sys.stderr)
        return 2
    sys.argv = arguments
    sys.path.insert(0, os.path.dirname(os.path.abspath(arguments[0])))
    runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
