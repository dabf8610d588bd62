"""Small wrong changes to a Python source: one operator, constant, argument or branch each.

What says nothing of what a program computes is left alone: annotations and aliases of types, docstrings and
messages, decorators, the defaults in a class body, which are a choice, and `UNSEEN` keywords.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

Positioned = ast.expr | ast.stmt
Change = tuple[Positioned, ast.AST]
"""A node with a place in the source, and what to put there."""

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
PAIRS = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("mean", "sum"),
    ("any", "all"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
]
EXCHANGED = {**dict(PAIRS), **{other: one for one, other in PAIRS}}
DROPPED = {"detach", "clamp", "clone", "exp", "sqrt", "square", "reversed"}
"""Calls replaced by what they are called on."""
UNSEEN = {"strict", "device", "non_blocking", "pin_memory"}
"""Keywords without effect on a CPU where lengths agree."""
UNREAD_FIELDS = {"annotation", "returns", "decorator_list", "bases"}
MODULES = {"torch", "np", "math"}


@dataclass(frozen=True)
class Mutant:
    """One changed source: where, its line before and after, and the whole text."""

    path: str
    line: int
    before: str
    after: str
    source: str

    @property
    def diff(self) -> str:
        return f"- {self.before}\n+ {self.after}"


def mutants(path: str, source: str) -> list[Mutant]:
    """All mutants of a source, by line, each another text."""
    found: dict[str, Mutant] = {}
    for node in _computing(ast.parse(source)):
        for place, replacement in _changes(node):
            mutant = _replaced(path, source, place, replacement)
            found.setdefault(mutant.source, mutant)
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _replaced(path: str, source: str, place: Positioned, replacement: ast.AST) -> Mutant:
    text = ast.unparse(replacement)
    if isinstance(replacement, ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp):
        text = f"({text})"
    lines = source.splitlines(keepends=True)
    first, last = place.lineno - 1, (place.end_lineno or place.lineno) - 1
    head = lines[first].encode()[: place.col_offset].decode()
    tail = lines[last].encode()[place.end_col_offset :].decode()
    before, after = "".join(lines[first : last + 1]), head + text + tail
    changed = "".join([*lines[:first], after, *lines[last + 1 :]])
    return Mutant(path, place.lineno, " ".join(before.split()), " ".join(after.split()), changed)


def _computing(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that a program computes with, outermost first."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Call) and _name(node.func) == "TypeVar"):
        return
    yield node
    for field, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        for child in children:
            if isinstance(child, ast.AST) and field not in UNREAD_FIELDS and not _is_left_alone(node, child):
                yield from _computing(child)


def _is_left_alone(parent: ast.AST, child: ast.AST) -> bool:
    if isinstance(child, ast.keyword):
        return child.arg in UNSEEN
    if isinstance(parent, ast.ClassDef):
        return isinstance(child, ast.Assign | ast.AnnAssign)
    if isinstance(parent, ast.Module) and isinstance(child, ast.Assign):
        value = child.value
        union = isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr)
        return union or isinstance(value, ast.Subscript)
    return False


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _changes(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        if type(node.op) in OPERATORS:
            yield node, _with(node, op=OPERATORS[type(node.op)]())
    elif isinstance(node, ast.Compare):
        yield node, _with(node, ops=[OPERATORS[type(op)]() for op in node.ops])
    elif isinstance(node, ast.UnaryOp):
        yield node, node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield node, ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield node, ast.Constant(node.value + 1)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Subscript):
        yield from _indices(node.slice)
    elif isinstance(node, ast.Slice):
        yield from _bounds(node)
    elif isinstance(node, ast.If | ast.IfExp):
        yield from _negations(node.test)
    elif isinstance(node, ast.comprehension):
        for test in node.ifs:
            yield from _negations(test)
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
        yield node.value, ast.Constant(None)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = deepcopy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _negations(test: ast.expr) -> Iterator[Change]:
    """Of what no other change negates."""
    flips = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    if not (negated or (isinstance(test, ast.Compare) and isinstance(test.ops[0], flips))):
        yield test, ast.UnaryOp(ast.Not(), test)


def _calls(node: ast.Call) -> Iterator[Change]:
    function, arguments, name = node.func, node.args, _name(node.func)
    if name in EXCHANGED:
        field = "attr" if isinstance(function, ast.Attribute) else "id"
        yield function, _with(function, **{field: EXCHANGED[name]})
    if name in DROPPED:
        method = isinstance(function, ast.Attribute) and _name(function.value) not in MODULES
        yield node, function.value if method and isinstance(function, ast.Attribute) else arguments[0]
    if name == "where":
        yield node, _with(node, args=[arguments[0], arguments[2], arguments[1]])
    for i, (one, two) in enumerate(pairwise(arguments)):
        if isinstance(one, ast.Name) and isinstance(two, ast.Name):
            yield node, _with(node, args=[*arguments[:i], two, one, *arguments[i + 2 :]])
    for i, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in UNSEEN:
            yield node, _with(node, keywords=[*node.keywords[:i], *node.keywords[i + 1 :]])


def _indices(index: ast.expr) -> Iterator[Change]:
    """The first for the last, and the other way round."""
    if isinstance(index, ast.Constant) and index.value == 0:
        yield index, ast.UnaryOp(ast.USub(), ast.Constant(1))
    elif ast.unparse(index) == "-1":
        yield index, ast.Constant(0)


def _bounds(node: ast.Slice) -> Iterator[Change]:
    """Bounds shifted by one, where no other change does it."""
    for bound in (node.lower, node.upper):
        if bound is not None and not isinstance(bound, ast.Constant | ast.UnaryOp):
            yield bound, ast.BinOp(bound, ast.Add(), ast.Constant(1))
