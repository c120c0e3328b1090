"""An elementwise op's C text, evaluated by other ops: the kernel of devices that generate none and have no function for it.

Owns: the reading of the C expression, `kernel`. May import: op records, NumPy; the backend late. Must not know: any device.
So a new op with a text runs everywhere: generated where kernels are generated, by this on devices of array modules.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.op import FLOAT, OPS, Op

# C's functions by the ops that are they, where the names differ.
NAMES = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2",
    "atanh": "arctanh", "copysign": "copysign", "fabs": "absolute", "fmax": "maximum", "fmin": "minimum", "max": "maximum",
    "min": "minimum", "pow": "power",
    # what C writes with signs
    "select_": "where", "and_": "logical_and", "or_": "logical_or", "not_": "logical_not", "number_": "cast",
}  # fmt: skip
NUMBER = re.compile(r"(?<![\w.])((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fF]\b")


def python(text: str) -> str:
    """Return a C expression as a Python expression: `c ? x : y`, `&&`, `||` and `!` become calls."""
    parts = re.split(r"([()?:,]|&&|\|\||!(?!=))", NUMBER.sub(r"\1", text))
    tokens = [part.strip() for part in parts if part.strip()]
    made, rest = _choice(tokens)
    if rest:
        raise ValueError(f"cannot read {' '.join(rest)!r} in the C expression {text!r}")
    return made


def _choice(tokens: list[str]) -> tuple[str, list[str]]:
    condition, tokens = _joined(tokens, "||", "or_")
    if tokens[:1] != ["?"]:
        return condition, tokens
    first, tokens = _choice(tokens[1:])
    if tokens[:1] != [":"]:
        raise ValueError("a C expression has ? without :")
    second, tokens = _choice(tokens[1:])
    return f"select_({condition}, {first}, {second})", tokens


def _joined(tokens: list[str], sign: str, name: str) -> tuple[str, list[str]]:
    """Read operands with a sign between them, all of which bind closer."""
    made, tokens = _joined(tokens, "&&", "and_") if sign == "||" else _plain(tokens)
    while tokens[:1] == [sign]:
        other, tokens = _joined(tokens[1:], "&&", "and_") if sign == "||" else _plain(tokens[1:])
        made = f"{name}({made}, {other})"
    return made, tokens


def _plain(tokens: list[str]) -> tuple[str, list[str]]:
    """Read arithmetic, comparisons and calls, which are written in Python as in C."""
    made = ""
    while tokens and tokens[0] not in ("?", ":", ",", ")", "&&", "||"):
        if tokens[0] == "!":
            operand, tokens = _operand(tokens[1:])
            made += f"not_({operand})"
        elif tokens[0] == "(":
            inside, tokens = _operand(tokens)
            made += inside
        else:
            made, tokens = f"{made} {tokens[0]}", tokens[1:]
    return made.strip(), tokens


def _operand(tokens: list[str]) -> tuple[str, list[str]]:
    """Read what stands in parentheses (several, with commas, after a function's name), or a name."""
    if tokens[0] != "(":
        return tokens[0], tokens[1:]
    parts, tokens = [], tokens
    while tokens[0] in ("(", ","):
        part, tokens = _choice(tokens[1:])
        parts.append(part)
    return f"({', '.join(parts)})", tokens[1:]


class Arithmetic(ast.NodeTransformer):
    """Comparisons that are reckoned with are 1 and 0, as in C."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        node.left, node.right = _number(node.left), _number(node.right)
        return node


def _number(node: ast.expr) -> ast.expr:
    if not isinstance(node, ast.Compare):
        return node
    return ast.Call(ast.Name("number_", ast.Load()), [node, ast.Name("kind_", ast.Load())], [])


def _function(name: str) -> Callable[..., Any]:
    op = name if name in OPS else NAMES.get(name, name)
    if op not in OPS:
        raise ValueError(f"C's function {name!r} is the name of no op")
    return lambda *args: OPS[op](*args)


def kernel(op: Op) -> Callable[..., Any] | None:
    """Return a kernel that evaluates an elementwise op's text by other ops; None where it has none that can be read.

    It takes floats; integers where the op raises them to floats, or chooses among them without dividing: C divides integers
    in another way.
    """
    if not op.elementwise or not op.expr:
        return None
    try:
        tree = Arithmetic().visit(ast.parse(python(op.expr), mode="eval"))
        called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - called
        if not names <= {"kind_", *op.inputs, *op.params} or op.name in {n for name in called for n in (name, NAMES.get(name))}:
            return None
        functions = {name: _function(name) for name in called}
    except (SyntaxError, ValueError, IndexError):
        return None
    body = ast.fix_missing_locations(tree)
    arguments = ", ".join(("kind_", *op.inputs, *op.params))
    chooses = "/" not in op.expr and "%" not in op.expr and called <= {"select_", "and_", "or_", "not_"}
    return _kernel(op, chooses, eval(f"lambda {arguments}: {ast.unparse(body)}", functions))


def _kernel(op: Op, chooses: bool, formula: Callable[..., Any]) -> Callable[..., Any]:
    from wengert import backend

    def run(*args: Any, out: Any = ...) -> Any:
        owner = backend.of_array(args[0])
        kind = args[0].dtype.kind
        if kind != "f" and op.domain != FLOAT and not (chooses and kind in "iu"):
            raise NotImplementedError(
                f"op '{op.name}' ({op.face}) has no kernel for {args[0].dtype} on device '{owner.name}': its text is evaluated "
                f"for floats alone; a plugin can register one: registry.kernel({op.name!r}, {owner.name!r}, function)"
            )
        with owner.quiet():
            made = formula(args[0].dtype, *args)
        if chooses and not op.boolean and getattr(made, "dtype", args[0].dtype) != args[0].dtype:
            made = OPS["cast"](made, args[0].dtype)
        if out is not ...:
            return owner.write(out, made)
        wanted = np.broadcast_shapes(*[a.shape for a in args[: len(op.inputs)]])
        if not isinstance(made, owner.array_type) or tuple(made.shape) != wanted:  # a scalar, or an input was not read
            dtype = bool if op.boolean else getattr(made, "dtype", None)
            made = owner.write(OPS["filled"].kernels[type(args[0])](args[0], wanted, 0, dtype), made)
        return made

    return run
