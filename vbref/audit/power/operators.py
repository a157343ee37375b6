"""The mistakes that people make with formulas, one small function each: a node in, its wrong versions out.

Every operator takes a node of the syntax tree and yields what could stand there by mistake; it never changes
the node itself. What a mistake does to accuracy alone is not asked: thresholds in comparisons stay.
"""

import ast
from collections.abc import Callable, Iterator
from copy import copy, deepcopy

Operator = Callable[[ast.AST], Iterator[ast.AST]]

_OPPOSITE = {"min": "max", "minimum": "maximum", "argmin": "argmax", "fmin": "fmax", "amin": "amax"}
_OPPOSITE |= {other: one for one, other in _OPPOSITE.items()}
_SUMS = {"sum": "mean", "mean": "sum", "prod": "sum"}
_FUNCTIONS = {
    "log",
    "exp",
    "log1p",
    "expm1",
    "sqrt",
    "square",
    "abs",
    "fabs",
    "lgamma",
    "digamma",
    "trigamma",
}
_FUNCTIONS |= {"tanh", "cumsum", "gammaln", "log_gamma", "log_sigmoid", "sigmoid", "softplus", "softmax"}
_NEAR = {"log1p": "log", "expm1": "exp"}
_SYMMETRIC = {
    "min",
    "max",
    "minimum",
    "maximum",
    "logaddexp",
    "add",
    "array_equal",
    "multiply",
    "hypot",
    "log_beta",
    "swapaxes",
    "weighted_sum",
    "weighted_product",
}
_NO_FORMULA = {
    "isinstance",
    "getattr",
    "zip",
    "range",
    "issubclass",
    "partial",
    "replace",
    "moveaxis",
    "slice",
}
_TINY = 1e-100
_COUNTS = {"K", "k", "n", "m", "D", "N"}


def sign(node: ast.AST) -> Iterator[ast.AST]:
    """a + b for a − b and the reverse; a for −a; a returned value negated, each part of a tuple in turn."""
    match node:
        case ast.BinOp(left, ast.Add(), right):
            yield ast.BinOp(left, ast.Sub(), right)
        case ast.BinOp(left, ast.Sub(), right):
            yield ast.BinOp(left, ast.Add(), right)
        case ast.AugAssign(target, ast.Add(), value):
            yield ast.AugAssign(target, ast.Sub(), value)
        case ast.AugAssign(target, ast.Sub(), value):
            yield ast.AugAssign(target, ast.Add(), value)
        case ast.UnaryOp(ast.USub(), operand):
            yield operand
        case ast.Return(ast.Tuple(parts)):
            for i, part in enumerate(parts):
                if _numeric(part):
                    yield ast.Return(ast.Tuple([*parts[:i], _negative(part), *parts[i + 1 :]], ast.Load()))
        case ast.Return(value) if value is not None and _numeric(value):
            yield ast.Return(_negative(value))
        case ast.Lambda(arguments, value) if _numeric(value):
            yield ast.Lambda(arguments, _negative(value))


def dropped_term(node: ast.AST) -> Iterator[ast.AST]:
    """a, or ±b, for a ± b; a sum that is not added to."""
    match node:
        case ast.BinOp(left, ast.Add(), right):
            yield left
            yield right
        case ast.BinOp(left, ast.Sub(), right):
            yield left
            yield _negative(right)
        case ast.AugAssign(_, ast.Add() | ast.Sub()):
            yield ast.Pass()


def dropped_factor(node: ast.AST) -> Iterator[ast.AST]:
    """a, or b, for ab; a for a/b; a product that is not multiplied."""
    match node:
        case ast.BinOp(left, ast.Mult(), right):
            yield left
            yield right
        case ast.BinOp(left, ast.Div(), _):
            yield left
        case ast.AugAssign(_, ast.Mult() | ast.Div()):
            yield ast.Pass()


def lost_power(node: ast.AST) -> Iterator[ast.AST]:
    """σ for σ²: the base for a power. (x · x becomes x by `dropped_factor`.)"""
    match node:
        case ast.BinOp(base, ast.Pow(), ast.Constant() | ast.UnaryOp()):
            yield base


def lost_function(node: ast.AST) -> Iterator[ast.AST]:
    """x for log x, exp x, √x, …; log x for log(1 + x), e^x for e^x − 1."""
    match node:
        case ast.Call(function, [argument], []) if _name(function) in _FUNCTIONS:
            yield argument
            if _name(function) in _NEAR:
                yield ast.Call(_renamed(function, _NEAR[_name(function)]), [argument], [])


def swapped_arguments(node: ast.AST) -> Iterator[ast.AST]:
    """f(b, a) for f(a, b); f(c, d, a, b) for f(a, b, c, d)."""
    if not isinstance(node, ast.Call) or len(node.args) < 2:
        return
    args, name = node.args, _name(node.func)
    if name in _SYMMETRIC | _NO_FORMULA or any(isinstance(arg, ast.Starred) for arg in args):
        return
    for i in range(len(args) - 1):
        if _alike(node.func, args, i):
            continue
        yield ast.Call(node.func, [*args[:i], args[i + 1], args[i], *args[i + 2 :]], node.keywords)
    half = len(args) // 2
    if half > 1 and len(args) % 2 == 0:
        yield ast.Call(node.func, [*args[half:], *args[:half]], node.keywords)


def _alike(function: ast.expr, args: list[ast.expr], i: int) -> bool:
    """Whether arguments i and i + 1 play one part: x and loc of a density, operands of equal indices."""
    name = _name(function)
    if name == "normal_density" or ast.unparse(function) in ("norm.pdf", "norm.logpdf"):
        return i == 0
    if name == "clip":  # max(x, low) first
        return i == 0
    if name == "einsum" and i > 0 and isinstance(args[0], ast.Constant):
        indices = str(args[0].value).split("->")[0].split(",")
        return indices[i - 1] == indices[i]
    return False


def swapped_roles(node: ast.AST) -> Iterator[ast.AST]:
    """A function of q and p, told the one for the other: KL(p ‖ q) for KL(q ‖ p)."""
    if not isinstance(node, ast.FunctionDef):
        return
    names = [argument.arg for argument in node.args.args]
    of_q = [name for name in names if name.endswith("_q") and f"{name[:-2]}_p" in names]
    if of_q:
        of_p = [f"{name[:-2]}_p" for name in of_q]
        swap = ast.Assign([_names([*of_q, *of_p], ast.Store())], _names([*of_p, *of_q], ast.Load()))
        first = 1 if ast.get_docstring(node) else 0
        other = copy(node)
        other.body = [*node.body[:first], swap, *node.body[first:]]
        yield other


def extremum(node: ast.AST) -> Iterator[ast.AST]:
    """min for max and the reverse."""
    if _name(node) in _OPPOSITE and isinstance(getattr(node, "ctx", None), ast.Load):
        yield _renamed(node, _OPPOSITE[_name(node)])


def sum_for_mean(node: ast.AST) -> Iterator[ast.AST]:
    """The mean for the sum and the reverse; the sum for the product."""
    match node:
        case ast.Call(ast.Attribute(attr=name) as function) if name in _SUMS:
            yield ast.Call(_renamed(function, _SUMS[name]), node.args, node.keywords)


def off_by_one(node: ast.AST) -> Iterator[ast.AST]:
    """K ± 1 for K: a length, a size of an axis or a count in a formula; a range with a wrong end."""
    match node:
        case ast.Call(ast.Name("range"), [stop], []):
            yield ast.Call(node.func, [_plus(stop, -1)], [])
        case ast.Call(ast.Name("range"), [start, stop, *step], []):
            yield ast.Call(node.func, [start, _plus(stop, -1), *step], [])
            yield ast.Call(node.func, [_plus(start, 1), stop, *step], [])
        case ast.BinOp(left, operator, right):
            if _counts(left):
                yield ast.BinOp(_plus(left, 1), operator, right)
            if _counts(right):
                yield ast.BinOp(left, operator, _plus(right, 1))
                yield ast.BinOp(left, operator, _plus(right, -1))


def constant(node: ast.AST) -> Iterator[ast.AST]:
    """1 for ½, 2 for 1, 1 for 2 and for 0; otherwise a whole number less one, a real one doubled.

    Not what keeps a logarithm or a quotient from 0.
    """
    match node:
        case ast.Constant(int() | float() as value) if not isinstance(value, bool) and not 0 < value < _TINY:
            yield ast.Constant(_perturbed(value))


def flipped_condition(node: ast.AST) -> Iterator[ast.AST]:
    """The one branch where the other is due. A branch that only raises is not a formula."""
    match node:
        case ast.If(test, body, orelse) if not isinstance(body[0], ast.Raise):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)


OPERATORS: tuple[Operator, ...] = (
    sign,
    dropped_term,
    dropped_factor,
    lost_power,
    lost_function,
    swapped_arguments,
    swapped_roles,
    extremum,
    sum_for_mean,
    off_by_one,
    constant,
    flipped_condition,
)


def _perturbed(value: float) -> float:
    special = {0.5: 1.0, 1: 2, 2: 1, 0: 1}
    if value in special:
        return type(value)(special[value])
    return value - 1 if isinstance(value, int) else 2 * value


def _numeric(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp | ast.Call | ast.Name | ast.UnaryOp | ast.Subscript | ast.IfExp)


def _negative(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.USub(), node)


def _plus(node: ast.expr, step: int) -> ast.expr:
    return ast.BinOp(node, ast.Add() if step > 0 else ast.Sub(), ast.Constant(1))


def _counts(node: ast.expr) -> bool:
    match node:
        case ast.Call(ast.Name("len")) | ast.Attribute(attr="size"):
            return True
        case ast.Subscript(ast.Attribute(attr="shape")):
            return True
        case ast.Name(name) | ast.Attribute(attr=name):
            return name in _COUNTS
    return False


def _name(node: ast.AST) -> str:
    """Return the last word of a name or dotted name, "" of anything else."""
    return (
        getattr(node, "attr", getattr(node, "id", "")) if isinstance(node, ast.Name | ast.Attribute) else ""
    )


def _renamed(node: ast.AST, name: str) -> ast.expr:
    other = deepcopy(node)
    assert isinstance(other, ast.Name | ast.Attribute)
    setattr(other, "id" if isinstance(other, ast.Name) else "attr", name)
    return other


def _names(names: list[str], context: ast.expr_context) -> ast.expr:
    return ast.Tuple([ast.Name(name, context) for name in names], context)
