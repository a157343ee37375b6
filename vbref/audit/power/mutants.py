"""Every mutant of a module: where, which operator, what it was and what it becomes; and its compiled code.

A mutant is known by the statement before and after, not by its line, so that what is recorded about it
outlives edits elsewhere and goes stale, visibly, when its own statement changes.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any

import vbref
from vbref.audit.power.accuracy import effort_of, is_number
from vbref.audit.power.operators import OPERATORS, Operator, constant, dropped_factor, sum_for_mean
from vbref.audit.power.published import PUBLISHED
from vbref.audit.power.scope import (
    Scope,
    claim_ids,
    formulas_of_claims,
    formulas_of_helpers,
    formulas_without_draws,
    names_in_formulas,
)

# Words, types and refusals are no formulas.
_WORDS = (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.AnnAssign)
_APART = {"decorator_list", "annotation", "returns", "args", "type_params", "bases"}
MODULE_LEVEL = "<module>"


@dataclass(frozen=True)
class Mutant:
    """One mistake at one place. `where` is module:function, or module:claim for the claims."""

    where: str
    line: int
    operator: str
    before: str
    after: str
    nth: int = 0

    @property
    def module(self) -> str:
        return self.where.split(":")[0]

    @property
    def function(self) -> str:
        return self.where.split(":")[1]

    @property
    def key(self) -> str:
        """What names it: all but the line."""
        again = f" #{self.nth + 1}" if self.nth else ""
        return f"{self.where} | {self.operator} | {self.before} → {self.after}{again}"


@dataclass(frozen=True)
class Place:
    """A node's place in the tree: `owner.field`, or `owner.field[index]`."""

    owner: ast.AST
    field: str
    index: int | None = None

    def get(self) -> Any:
        value = getattr(self.owner, self.field)
        return value if self.index is None else value[self.index]

    def put(self, node: Any) -> None:
        if self.index is None:
            setattr(self.owner, self.field, node)
        else:
            getattr(self.owner, self.field)[self.index] = node


@dataclass(frozen=True)
class _Context:
    function: str
    statement: Place
    formula: bool  # whether what is here is a formula at all
    compared: bool = False
    sign_asked: bool = False  # compared with 0


class Source:
    """A module's syntax tree and its mutants, in the order of the text."""

    def __init__(self, module: str, text: str, filename: str = "<mutant>") -> None:
        self.module, self.filename = module, filename
        self.tree = ast.parse(text)
        self._edits = {mutant: (place, node) for mutant, place, node in self._sites()}
        self._texts = dict(_published(module, text))

    @property
    def mutants(self) -> list[Mutant]:
        return [*self._edits, *self._texts]

    @cached_property
    def claims(self) -> list[str]:
        """The ids of the claims that the file declares."""
        return claim_ids(self.tree)

    def code(self, mutant: Mutant) -> CodeType:
        """Return the whole module's code with the one mistake in it."""
        if mutant in self._texts:
            return compile(self._texts[mutant], self.filename, "exec")
        with self._planted(mutant):
            return compile(self.tree, self.filename, "exec")

    def text(self, mutant: Mutant) -> str:
        """Return the whole module's source, without its comments, with the one mistake in it."""
        if mutant in self._texts:
            return self._texts[mutant]
        with self._planted(mutant):
            return ast.unparse(self.tree)

    @contextmanager
    def _planted(self, mutant: Mutant) -> Iterator[None]:
        place, node = self._edits[mutant]
        right = place.get()
        place.put(node)
        try:
            yield
        finally:
            place.put(right)

    def _scope(self) -> Scope | None:
        """Return what is a formula in the files of the audit; elsewhere, None, every function is one."""
        claims = formulas_of_claims(self.tree)
        if claims is not None or not self.module.startswith("vbref.audit."):
            return claims
        if self.module.startswith("vbref.audit.claims."):
            return formulas_of_helpers(self.tree, _names_in_claims())
        return formulas_without_draws(self.tree)

    def _sites(self) -> Iterator[tuple[Mutant, Place, ast.AST]]:
        times: Counter[str] = Counter()
        texts: dict[ast.AST, str] = {}
        effort = effort_of(self.tree, grids=self.module.startswith("vbref.audit."))
        for place, context in _walk(self.tree, self._scope(), effort):
            for operator, wrong in _mistakes(place.get(), context):
                statement = context.statement.get()
                before = texts.get(statement) or texts.setdefault(statement, _text(statement))
                after = _after(context.statement, place, wrong)
                mutant = Mutant(f"{self.module}:{context.function}", _line(place), operator, before, after)
                yield replace(mutant, nth=times[mutant.key]), place, wrong
                times[mutant.key] += 1


def read(module: str) -> Source:
    """Return the source of a module that can be imported."""
    path = import_module(module).__file__
    assert path is not None
    return Source(module, Path(path).read_text(encoding="utf-8"), path)


@cache
def _names_in_claims() -> set[str]:
    """The names that the formulas of all claims use."""
    files = Path(vbref.__file__).parent.glob("audit/claims/*.py")
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return {name for tree in trees for name in names_in_formulas(tree)}


def _published(module: str, text: str) -> Iterator[tuple[Mutant, str]]:
    """Return the hand-written mistakes of a module with its mistaken source."""
    for mistake in PUBLISHED:
        if mistake.module == module:
            place = text.find(mistake.before, text.index(f"def {mistake.function.split('.')[-1]}("))
            if place < 0:
                raise ValueError(f"{module}: {mistake.name!r} is about text that is not there")
            line = text.count("\n", 0, place) + 1
            before, after = (" ".join(part.split()) for part in (mistake.before, mistake.after))
            mutant = Mutant(f"{module}:{mistake.function}", line, f"published: {mistake.name}", before, after)
            yield mutant, text[:place] + mistake.after + text[place + len(mistake.before) :]


def _mistakes(node: ast.AST, context: _Context) -> Iterator[tuple[str, ast.AST]]:
    """Return each operator's name with what it makes of the node, each result once."""
    seen = {ast.dump(node)}
    for operator in OPERATORS:
        if _cannot_matter(operator, node, context):
            continue
        for wrong in operator(node):
            if ast.dump(wrong) not in seen:
                seen.add(ast.dump(wrong))
                yield operator.__name__, ast.fix_missing_locations(ast.copy_location(wrong, node))


def _cannot_matter(operator: Operator, node: ast.AST, context: _Context) -> bool:
    """Whether it moves a threshold alone, or what is only asked for its sign."""
    scaled = isinstance(node, ast.BinOp) and (is_number(node.left) or is_number(node.right))
    threshold = operator is constant or (operator is dropped_factor and scaled)
    return (context.compared and threshold) or (context.sign_asked and operator is sum_for_mean)


def _line(place: Place) -> int:
    return getattr(place.get(), "lineno", getattr(place.owner, "lineno", 1))


def _after(statement: Place, place: Place, wrong: ast.AST) -> str:
    """Return the statement around the place as text, with the mistake in it."""
    right = place.get()
    place.put(wrong)
    try:
        return _text(statement.get())
    finally:
        place.put(right)


def _text(node: ast.AST) -> str:
    """Return a simple statement, or a compound one's head, on one line; of a function, its first lines."""
    if isinstance(node, ast.FunctionDef):
        body = [line for line in node.body if not _is_words(line)]
        return f"def {node.name}({ast.unparse(node.args)}): {ast.unparse(body[0])}".split("\n")[0]
    return ast.unparse(node).split(":\n")[0].replace("\n", " ")


def _walk(tree: ast.Module, scope: Scope | None, effort: set[ast.AST]) -> Iterator[tuple[Place, _Context]]:
    for index, statement in enumerate(tree.body):
        place = Place(tree, "body", index)
        constants = scope is None and isinstance(statement, ast.Assign)
        yield from _below(place, _Context(MODULE_LEVEL, place, constants), scope, effort)


def _below(
    place: Place, context: _Context, scope: Scope | None, effort: set[ast.AST]
) -> Iterator[tuple[Place, _Context]]:
    node = place.get()
    if isinstance(node, _WORDS) or _is_words(node) or node in effort:
        return
    context = _inside(node, place, context, scope)
    if context.formula:
        yield place, context
    inner = _compared(node, context)
    for field, value in ast.iter_fields(node):
        if field in _APART and isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.arg):
            continue
        if isinstance(value, list):
            for index, child in enumerate(value):
                if isinstance(child, ast.AST):
                    yield from _below(Place(node, field, index), inner, scope, effort)
        elif isinstance(value, ast.AST):
            yield from _below(Place(node, field), inner, scope, effort)


def _inside(node: ast.AST, place: Place, context: _Context, scope: Scope | None) -> _Context:
    """Return the context that holds from this node down."""
    if scope is not None and node in scope:
        label = scope[node]
        return replace(context, function=label, statement=place, formula=True)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        outer = "" if context.function == MODULE_LEVEL else f"{context.function}."
        formula = isinstance(node, ast.FunctionDef) if scope is None else context.formula
        return replace(context, function=f"{outer}{node.name}", statement=place, formula=formula)
    if isinstance(node, ast.stmt):
        return replace(context, statement=place)
    return context


def _compared(node: ast.AST, context: _Context) -> _Context:
    if not isinstance(node, ast.Compare):
        return context
    zero = any(isinstance(side, ast.Constant) and side.value == 0 for side in node.comparators)
    return replace(context, compared=True, sign_asked=zero)


def _is_words(node: ast.AST) -> bool:
    """A docstring, a literal that is no number, or −1."""
    match node:
        case ast.Expr(ast.Constant()):
            return True
        case ast.UnaryOp(ast.USub(), ast.Constant(1)):
            return True  # the last axis, or the length that follows from the others
        case ast.Constant(value):
            return type(value) not in (int, float)
    return False
