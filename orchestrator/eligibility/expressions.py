"""Conditions on customers as people write them, checked when loaded, evaluated for all customers at once.

    buy.pantry > 0.5 and age in ("25-34", "35-44") and not email.fatigue > 1

- Names are those of columns, dots included. What is one of several values is compared with texts, by `==`, `!=`, `in`
  or `not in`; of someone who never stated it, no value is true, so `!=` and `not in` are.
- Numbers are compared by `< <= == != >= >`, also chained (`0.2 < value <= 1`), and calculated with by `+ - * /`, `abs`,
  `min` and `max`. A number alone holds where it is above 0, so that flags read as words: `email.consent and cart.home`.
- A number that is not known (nan) makes every comparison false, except `!=`.
- `and`, `or`, `not` and parentheses join conditions. There is nothing else: no other calls, no attributes, no indexing.

Python's own parser reads the text; only the nodes listed here are translated, each to one NumPy operation, and nothing
is ever handed to an interpreter.
"""

from __future__ import annotations

import ast
import difflib
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from orchestrator.errors import ExpressionError, suggestion
from policies.arrays import BoolArray, FloatArray

Column = Callable[[str], FloatArray]  # name to values, (n,)
Number = Callable[[Column], FloatArray | np.float64]  # a constant broadcasts with columns
Truth = Callable[[Column], BoolArray]
LONGEST, DEEPEST = 2000, 50
CALCULATIONS: dict[type[ast.operator], np.ufunc] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
COMPARISONS: dict[type[ast.cmpop], np.ufunc] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.GtE: np.greater_equal,
    ast.Gt: np.greater,
}
FUNCTIONS: dict[str, tuple[np.ufunc, int]] = {"abs": (np.abs, 1), "min": (np.minimum, 2), "max": (np.maximum, 2)}


@dataclass(frozen=True)
class Names:
    """What an expression may name.

    Attributes:
        numbers: columns of numbers.
        choices: values by name; the column of value v of name x is `x=v`, above 0 where it is that value.
    """

    numbers: frozenset[str]
    choices: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Expression:
    """A checked condition.

    Attributes:
        text: as written.
        columns: the columns it reads.
    """

    text: str
    columns: frozenset[str]
    _truth: Truth = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, *, names: Names) -> Expression:
        """Check and translate a condition.

        Raises:
            ExpressionError: it cannot be read, says something that has no place here, or names an unknown column, with
                the nearest known.

        >>> names = Names(frozenset({"spend"}), {"age": ("19-24", "65+")})
        >>> seniors = Expression.parse('spend > 1 and age == "65+"', names=names)
        >>> table = {"spend": np.array([2.0, 2.0, 0.5]), "age=65+": np.array([0.0, 1.0, 1.0])}
        >>> seniors(table.__getitem__, n=3)
        array([False,  True, False])
        """
        if len(text) > LONGEST:
            raise ExpressionError(f"is longer than {LONGEST} characters; split the action into two")
        if not text.strip():
            raise ExpressionError("is empty; remove it if it is for everyone")
        try:
            with warnings.catch_warnings(action="ignore"):  # of odd escapes in texts, which then are unknown values
                # In parentheses, so that it may go on over several lines.
                tree = ast.parse(f"(\n{text}\n)", mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            why = error.msg if isinstance(error, SyntaxError) else error
            raise ExpressionError(f"cannot be read ({why}); write it as in 'buy.home > 0.5 and value > 1'") from None
        translation = _Translation(names)
        truth = translation.truth(tree, depth=0)
        if not translation.columns:
            raise ExpressionError("names nothing of a customer; remove it if it is for everyone")
        return cls(text=text, columns=frozenset(translation.columns), _truth=truth)

    def __call__(self, column: Column, *, n: int) -> BoolArray:
        """Whether it holds, bool (n,).

        Args:
            column: gives the n values of a column by its name.
            n: customers.
        """
        with np.errstate(all="ignore"):  # a division by 0 compares as infinite or unknown
            return np.broadcast_to(self._truth(column), (n,))


class _Translation:
    """From syntax to functions of columns; collects the columns that are read."""

    def __init__(self, names: Names) -> None:
        self.columns: set[str] = set()
        self._names = names

    def truth(self, node: ast.expr, *, depth: int) -> Truth:
        if depth > DEEPEST:
            raise ExpressionError(f"is nested deeper than {DEEPEST} levels; simplify it")
        match node:
            case ast.BoolOp(op=op, values=values):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                parts = [self.truth(value, depth=depth + 1) for value in values]
                return lambda column: reduce(join, (part(column) for part in parts))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.truth(operand, depth=depth + 1)
                return lambda column: np.logical_not(inner(column))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = (left, *comparators)
                pairs = [
                    self._comparison(a, op, b, depth=depth + 1)
                    for a, op, b in zip(sides, ops, comparators, strict=False)
                ]
                return lambda column: reduce(np.logical_and, (pair(column) for pair in pairs))
            case _:
                number = self._number(node, depth=depth)
                return lambda column: np.greater(number(column), 0)

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr, *, depth: int) -> Truth:
        if _text(left) is not None:
            left, right = (right, left) if isinstance(op, ast.Eq | ast.NotEq) else (left, right)
        name = _dotted(left)
        if name in self._names.choices or isinstance(op, ast.In | ast.NotIn) or _text(right) is not None:
            return self._choice(left, name, op, right)
        if isinstance(op, ast.Is | ast.IsNot):
            raise ExpressionError(f"{ast.unparse(left)!r} is compared with 'is'; use == or !=")
        ufunc = COMPARISONS[type(op)]
        a, b = self._number(left, depth=depth), self._number(right, depth=depth)
        return lambda column: ufunc(a(column), b(column))

    def _choice(self, left: ast.expr, name: str | None, op: ast.cmpop, right: ast.expr) -> Truth:
        """`name == "value"`, `name in ("value", "other")` and their opposites."""
        if name is None or name not in self._names.choices:
            if name is None or name in self._names.numbers:
                raise ExpressionError(f"{ast.unparse(left)!r} is a number; compare it with a number by < <= == != >= >")
            raise self._unknown(name)
        known = self._names.choices[name]
        several = isinstance(op, ast.In | ast.NotIn)
        listed = right.elts if several and isinstance(right, ast.Tuple | ast.List | ast.Set) else [right]
        values = [_text(value) for value in listed]
        if not isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) or None in values or not values:
            example = known[0]
            raise ExpressionError(
                f'{name!r} is one of several values; write {name} == "{example}" or {name} in ("{example}", ...)'
            )
        for value in values:
            if value not in known:
                raise ExpressionError(f"{name!r} has no value {value!r}; {suggestion(value, known)}")
        columns = [f"{name}={value}" for value in values]
        self.columns.update(columns)
        opposite = isinstance(op, ast.NotEq | ast.NotIn)

        def holds(column: Column) -> BoolArray:
            among = reduce(np.logical_or, (np.greater(column(of_value), 0) for of_value in columns))
            return np.logical_not(among) if opposite else among

        return holds

    def _number(self, node: ast.expr, *, depth: int) -> Number:
        if depth > DEEPEST:
            raise ExpressionError(f"is nested deeper than {DEEPEST} levels; simplify it")
        match node:
            case ast.Constant(value=bool() | str()):
                raise ExpressionError(f"{ast.unparse(node)} is no number; compare numbers, or a name with its values")
            case ast.Constant(value=int() | float() as value):
                return self._constant(value)
            case ast.Name() | ast.Attribute() if (name := _dotted(node)) is not None:
                return self._column(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._number(operand, depth=depth + 1)
                return lambda column: np.negative(inner(column))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in CALCULATIONS:
                ufunc = CALCULATIONS[type(op)]
                a, b = self._number(left, depth=depth + 1), self._number(right, depth=depth + 1)
                return lambda column: ufunc(a(column), b(column))
            case ast.Call(func=ast.Name(id=called), args=args, keywords=[]) if called in FUNCTIONS:
                ufunc, count = FUNCTIONS[called]
                if len(args) != count:
                    raise ExpressionError(f"{called} takes {count} values, got {len(args)}")
                inputs = [self._number(argument, depth=depth + 1) for argument in args]
                return lambda column: ufunc(*(value(column) for value in inputs))
            case ast.BoolOp() | ast.Compare() | ast.UnaryOp(op=ast.Not()):
                raise ExpressionError(f"{ast.unparse(node)!r} is true or false where a number is needed")
            case ast.Call(func=func):
                function = ast.unparse(func)
                raise ExpressionError(f"{function!r} cannot be called; {suggestion(function, FUNCTIONS)}")
            case _:
                raise ExpressionError(f"{ast.unparse(node)!r} has no place here; use names, numbers and + - * /")

    def _constant(self, value: float) -> Number:
        if not abs(value) < math.inf or abs(value) > 1e300:
            raise ExpressionError("has a number that is too large")
        number = np.float64(value)
        return lambda _: number

    def _column(self, name: str) -> Number:
        if name in self._names.choices:
            example = self._names.choices[name][0]
            raise ExpressionError(f'{name!r} is one of several values; write {name} == "{example}"')
        if name not in self._names.numbers:
            raise self._unknown(name)
        self.columns.add(name)
        return lambda column: column(name)

    def _unknown(self, name: str) -> ExpressionError:
        known = sorted(self._names.numbers | set(self._names.choices))
        # All of a hundred names would hide the one that was meant.
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return ExpressionError(f"no column {name!r}; {hint}known: {', '.join(near or known)}")


def _dotted(node: ast.expr) -> str | None:
    """`buy.pantry` of its syntax; none for anything but names joined by dots."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=last) if (first := _dotted(value)) is not None:
            return f"{first}.{last}"
    return None


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
