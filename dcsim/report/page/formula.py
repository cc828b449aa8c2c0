"""Formulas of a savings study as expressions of the page's script."""

from __future__ import annotations

import ast
import json
import math

UNKNOWN = "NaN"
SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Pow: "**"}


def javascript(formula: str) -> str:
    """A formula of + - * / ** and brackets as a JavaScript expression over `v`, the values by name.

    Whatever is no such formula becomes NaN, so that a file from elsewhere can run nothing.
    """
    try:
        return _expression(ast.parse(formula.strip(), mode="eval").body)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return UNKNOWN


def _expression(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=int() | float() as value) if math.isfinite(value):
            return repr(float(value))
        case ast.Name(id=name):
            return f"v[{json.dumps(name)}]"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"(-{_expression(operand)})"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"D.quotient({_expression(left)}, {_expression(right)})"
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in SIGNS:
            return f"({_expression(left)} {SIGNS[type(operator)]} {_expression(right)})"
    raise ValueError(f"no arithmetic: {ast.dump(node)}")
