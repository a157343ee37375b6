"""Which functions of a file of claims are formulas: those behind printed, corrected, oracles, … of a claim.

What draws instances is not one: another domain is no mistake of a formula.
"""

import ast
from collections.abc import Iterator

_FORMULAS = {"printed", "corrected", "reading", "oracles", "constant", "aside", "code"}
_DRAWN = {"vary", "free_of", "instance", "tolerance"}


Scope = dict[ast.AST, str]


def formulas_of_claims(tree: ast.Module) -> Scope | None:
    """Return each function or lambda that is a formula of a claim, with a label; None where none claims."""
    claims = _claims(tree)
    if not claims:
        return None
    found: Scope = {}
    waiting: list[str] = []
    for claim in claims:
        for keyword in claim.keywords:
            if keyword.arg in _FORMULAS:
                found |= dict.fromkeys(_lambdas(keyword.value), f"{_id(claim)} {keyword.arg}")
                waiting += _names(keyword.value)
    return found | {node: name for node, name in _reached(tree, waiting).items() if node not in found}


def names_in_formulas(tree: ast.Module) -> set[str]:
    """The names, of other modules' functions too, that the formulas of a file of claims use."""
    claims = _claims(tree)
    keywords = [k.value for claim in claims for k in claim.keywords if k.arg in _FORMULAS]
    reached = list(formulas_of_claims(tree) or ())
    return {name for node in [*keywords, *reached] for name in _names(node)}


def formulas_of_helpers(tree: ast.Module, used: set[str]) -> Scope:
    """Return the functions that claims in other files use in their formulas, and what those use here."""
    return _reached(tree, sorted(used))


def _reached(tree: ast.Module, names: list[str]) -> Scope:
    """Return what is defined here under these names, or used there, but for what draws."""
    found: Scope = {}
    definitions, waiting = dict(_definitions(tree)), list(names)
    while waiting:
        name = waiting.pop()
        node = definitions.pop(name, None)
        if node is not None and not _draws(node):
            functions = [node] if isinstance(node, ast.FunctionDef) else _lambdas(node)
            found |= {function: name for function in functions if function not in found}
            waiting += _names(node)
    return found


def claim_ids(tree: ast.Module) -> list[str]:
    """The ids of the claims that a module makes."""
    return [_id(claim) for claim in _claims(tree)]


def formulas_without_draws(tree: ast.Module) -> Scope:
    """Return the functions and methods that do not draw: those without an argument `rng`."""
    found: Scope = {}
    for statement in tree.body:
        outer = f"{statement.name}." if isinstance(statement, ast.ClassDef) else ""
        for node in statement.body if isinstance(statement, ast.ClassDef) else [statement]:
            if isinstance(node, ast.FunctionDef) and not _draws(node):
                found[node] = outer + node.name
    return found


def _draws(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and "rng" in [argument.arg for argument in node.args.args]


def _claims(tree: ast.Module) -> list[ast.Call]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Claim"]


def _id(claim: ast.Call) -> str:
    first = claim.args[0] if claim.args else None
    return str(first.value) if isinstance(first, ast.Constant) else "claim"


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name):
                yield name, node
            case ast.Assign([ast.Name(name)], value):
                yield name, value


def _lambdas(node: ast.AST) -> list[ast.AST]:
    """Return the outermost lambdas that are values, not ways to draw."""
    if isinstance(node, ast.Lambda):
        return [node]
    children = (
        child
        for child in ast.iter_child_nodes(node)
        if not (isinstance(child, ast.keyword) and child.arg in _DRAWN)
    )
    return [found for child in children for found in _lambdas(child)]


def _names(node: ast.AST) -> list[str]:
    """The names in it, and those asked of a module: `shared.score`."""
    parts = list(ast.walk(node))
    asked = [
        part.attr for part in parts if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
    ]
    return [part.id for part in parts if isinstance(part, ast.Name)] + asked
