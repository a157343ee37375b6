"""What sets how well a number is computed, not which: no formula, so nothing of it is mutated.

Thresholds: what is compared with, and a number with a name that is used in nothing else.
Effort: a count of repetitions whose number is not used, a tolerance or a number of nodes given by keyword, a
rule of quadrature. Guards: what stands in for a divisor that is 0. In the audit also a grid: its oracles
integrate on grids alone. And what runs on a GPU, whose tests need one or a simulator.
"""

import ast
from collections.abc import Iterator

_RULES = {"leggauss", "hermgauss", "hermegauss"}
_EFFORT = {"nodes", "limit", "tol", "rtol", "atol", "xtol", "epsabs", "epsrel", "max_iter", "maxiter"}
_THRESHOLDS = (ast.Compare, ast.Slice)
_SCOPES = (ast.Module, ast.FunctionDef)


def effort_of(tree: ast.Module, grids: bool) -> set[ast.AST]:
    """Return the roots of what is effort or a grid, and the module's constants that are thresholds."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) if "cuda" in name:
                found.add(node)
            case ast.Return() | ast.Assign() | ast.Expr() if any(
                "cuda" in name for name, _ in _uses(node, False)
            ):
                found.add(node)
            case ast.For(ast.Name("_"), count) | ast.comprehension(ast.Name("_"), count):
                found.add(count)
            case ast.keyword(arg=name, value=value) if name in _EFFORT:
                found.add(value)
            case ast.Call(ast.Attribute(attr=name)) if name in _RULES or (grids and name == "linspace"):
                found.add(node)
            case ast.Call(ast.Attribute(attr="where"), [ast.Compare(left), kept, ast.Constant() as stand_in]):
                if ast.dump(left) == ast.dump(kept):
                    found.add(stand_in)
    return found | _only_thresholds(tree)


def _only_thresholds(tree: ast.Module) -> set[ast.AST]:
    """Return the assignments of numbers, at the top or in a function, to names used as thresholds alone."""
    return {node for scope in ast.walk(tree) if isinstance(scope, _SCOPES) for node in _thresholds_of(scope)}


def _thresholds_of(scope: ast.Module | ast.FunctionDef) -> list[ast.stmt]:
    uses = list(_uses(scope, False))
    bound = {name for name, threshold in uses if threshold} - {
        name for name, threshold in uses if not threshold
    }
    return [
        node
        for node in scope.body
        if isinstance(node, ast.Assign) and is_number(node.value) and _targets(node) <= bound
    ]


def is_number(node: ast.expr) -> bool:
    """Whether it is a number as written, a cast of one, or a tuple of them."""
    match node:
        case ast.Tuple(parts):
            return all(map(is_number, parts))
        case ast.Call(_, [argument], []):
            return isinstance(node.func, ast.Call | ast.Name) and is_number(argument)
        case ast.UnaryOp(ast.USub(), operand):
            return is_number(operand)
        case ast.BinOp(left, _, right):
            return is_number(left) and is_number(right)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _uses(node: ast.AST, threshold: bool) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id, threshold
    inside = threshold or isinstance(node, _THRESHOLDS)
    for child in ast.iter_child_nodes(node):
        yield from _uses(child, inside)


def _targets(node: ast.Assign) -> set[str]:
    return {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
