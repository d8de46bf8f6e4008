"""Arithmetic as a graph: every value once, and its derivatives as further values.

A node is a tuple ``(operation, ...)`` whose arguments are the numbers of earlier nodes. Equal nodes are one
node, so what a formula says twice is computed once. The gradient is taken by the reverse mode and the Hessian
product as the gradient of a directional derivative: each costs a few times as much as the function itself,
whatever the number of variables (A. Griewank, A. Walther, Evaluating Derivatives, SIAM 2008, chapters 3 and 5).
"""

import math
from typing import Any

FUNCTIONS = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "arcsin": math.asin, "arccos": math.acos,
    "arctan": math.atan, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh, "exp": math.exp,
    "log": math.log, "sqrt": math.sqrt, "abs": abs,
}  # fmt: skip


class NotFinite(ValueError):
    """A constant that is not a finite real number."""


class Graph:
    """Nodes of a formula; the methods named after operations return the number of a node."""

    def __init__(self):
        self.nodes, self.moves = [], []  # moves: whether the node depends on the variables
        self._numbers = {}

    def _node(self, *node, moves=False):
        number = self._numbers.setdefault(node, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(node)
            self.moves.append(moves)
        return number

    def symbol(self, letter, index):
        """``x`` (the variables), ``v`` (a direction) or ``p`` (parameters) of this index."""
        return self._node(letter, index, moves=letter == "x")

    def number(self, value):
        """A constant; NotFinite where it is not finite."""
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise NotFinite("a constant must be a finite real number")
        return self._node("number", value)

    def value(self, a) -> Any:
        """The value of a constant, None for other nodes."""
        return self.nodes[a][1] if self.nodes[a][0] == "number" else None

    def _folded(self, function, *values):
        try:
            value = function(*values)
        except (ArithmeticError, ValueError):  # 1/0, 9^9^9, log(-1)
            value = math.nan
        return self.number(value if isinstance(value, float) else math.nan)

    def _operation(self, name, a, b):
        return self._node(name, a, b, moves=self.moves[a] or self.moves[b])

    def add(self, a, b):
        """a + b."""
        u, v = self.value(a), self.value(b)
        if u is not None and v is not None:
            return self._folded(float.__add__, u, v)
        if u == 0.0 or v == 0.0:
            return b if u == 0.0 else a
        if a == b:
            return self.multiply(self.number(2.0), a)
        for one, other in ((a, b), (b, a)):
            if self.nodes[one][0] == "negative":
                return self.subtract(other, self.nodes[one][1])
        (c, one), (d, other) = self.scaled(a), self.scaled(b)
        if c is not None and d is not None and abs(self.value(c)) == abs(self.value(d)):  # c a + c b = c (a + b)
            return self.multiply(c, (self.add if c == d else self.subtract)(one, other))
        return self._operation("+", *sorted((a, b)))

    def subtract(self, a, b):
        """a - b."""
        u, v = self.value(a), self.value(b)
        if u is not None and v is not None:
            return self._folded(float.__sub__, u, v)
        if u == 0.0 or v == 0.0:
            return self.negative(b) if u == 0.0 else a
        if self.nodes[b][0] == "negative":
            return self.add(a, self.nodes[b][1])
        (c, one), (d, other) = self.scaled(a), self.scaled(b)
        if c is not None and d is not None and abs(self.value(c)) == abs(self.value(d)):
            return self.multiply(c, (self.subtract if c == d else self.add)(one, other))
        return self._operation("-", a, b)

    def negative(self, a):
        """-a."""
        node = self.nodes[a]
        if node[0] == "number":
            return self.number(-node[1])
        if node[0] == "negative":
            return node[1]
        if node[0] == "-":
            return self.subtract(node[2], node[1])
        if node[0] == "*" and self.value(node[1]) is not None:
            return self.multiply(self.negative(node[1]), node[2])
        return self._node("negative", a, moves=self.moves[a])

    def multiply(self, a, b):
        """a b, a constant factor in front."""
        if self.value(b) is not None:
            a, b = b, a
        u, v = self.value(a), self.value(b)
        if u is not None and v is not None:
            return self._folded(float.__mul__, u, v)
        if u == 1.0:
            return b
        if u == -1.0:
            return self.negative(b)
        if u is not None:
            return self._multiple(a, b)
        (c, a), (d, b) = self.scaled(a), self.scaled(b)
        if c is not None or d is not None:
            factor = c if d is None else d if c is None else self.multiply(c, d)
            return self.multiply(factor, self.multiply(a, b))
        (kind, *parts), (other, *rest) = self.nodes[a], self.nodes[b]
        if kind == "negative" or other == "negative":
            inner = self.multiply(parts[0] if kind == "negative" else a, rest[0] if other == "negative" else b)
            return inner if kind == other else self.negative(inner)
        for one, (name, *arguments) in ((b, (kind, *parts)), (a, (other, *rest))):
            if name == "power" and arguments[1] == -1.0:
                return self.divide(one, arguments[0])
        for one, (base, exponent) in ((a, self._as_power(b)), (b, self._as_power(a))):  # x x, x^2 x
            if one == base and exponent >= 1.0 and exponent.is_integer():
                return self.power(one, exponent + 1.0)
        return self._operation("*", *sorted((a, b)))

    def _multiple(self, c, a):
        """c a with a constant c."""
        d, b = self.scaled(a)
        if d is not None:
            return self.multiply(self.multiply(c, d), b)
        name, *arguments = self.nodes[a]
        if name == "negative":
            return self.multiply(self.negative(c), arguments[0])
        if name == "power" and arguments[1] == -1.0:
            return self.divide(c, arguments[0])
        return self._operation("*", c, a)

    def scaled(self, a):
        """``(c, b)`` where a = c b with a constant c; ``(None, a)`` for other nodes."""
        name, *arguments = self.nodes[a]
        return arguments if name == "*" and self.value(arguments[0]) is not None else (None, a)

    def _as_power(self, a):
        name, *arguments = self.nodes[a]
        return arguments if name == "power" else (a, 1.0)

    def divide(self, a, b):
        """a / b."""
        u, v = self.value(a), self.value(b)
        if u is not None and v is not None:
            return self._folded(float.__truediv__, u, v)
        if u == 1.0:
            base, exponent = self._as_power(b)
            return self.power(base, -exponent)
        return a if v == 1.0 else self._operation("/", a, b)

    def power(self, a, exponent):
        """a to a constant exponent."""
        if self.value(a) is not None:
            return self._folded(pow, self.value(a), exponent)
        if exponent == 0.0:
            return self.number(1.0)
        return a if exponent == 1.0 else self._node("power", a, float(exponent), moves=self.moves[a])

    def power_of(self, a, b):
        """a to the power b, any node."""
        if self.value(b) is not None:
            return self.power(a, self.value(b))
        return self._operation("**", a, b)

    def call(self, name, a):
        """A function of :data:`FUNCTIONS`, or ``sign``."""
        if self.value(a) is not None and name != "sign":
            return self._folded(FUNCTIONS[name], self.value(a))
        if name == "sqrt":
            return self.power(a, 0.5)
        return self._node(name, a, moves=self.moves[a] and name != "sign")

    def _slope(self, name, a, y):
        """The derivative of a function at ``a``, where it has the value ``y``."""
        one = self.number(1.0)
        match name:
            case "exp":
                return y
            case "sin":
                return self.call("cos", a)
            case "cos":
                return self.negative(self.call("sin", a))
            case "tan":
                return self.add(one, self.power(y, 2.0))
            case "sinh":
                return self.call("cosh", a)
            case "cosh":
                return self.call("sinh", a)
            case "tanh":
                return self.subtract(one, self.power(y, 2.0))
            case "log":
                return self.divide(one, a)
            case "arctan":
                return self.divide(one, self.add(one, self.power(a, 2.0)))
            case "arcsin":
                return self.power(self.subtract(one, self.power(a, 2.0)), -0.5)
            case "arccos":
                return self.negative(self._slope("arcsin", a, y))
            case "abs":
                return self.call("sign", a)
        raise AssertionError(name)

    def _partials(self, number):
        """``(argument, derivative by it)`` for the arguments of a node that depend on the variables."""
        name, *arguments = self.nodes[number]
        a, b = arguments[0], arguments[-1]
        one = self.number(1.0)
        match name:
            case "x":
                found = []
            case "+":
                found = [(a, one), (b, one)]
            case "-":
                found = [(a, one), (b, self.number(-1.0))]
            case "negative":
                found = [(a, self.number(-1.0))]
            case "*":
                found = [(a, b), (b, a)]
            case "/":
                inverse = self.divide(one, b)
                found = [(a, inverse), (b, self.negative(self.multiply(number, inverse)) if self.moves[b] else one)]
            case "power":
                found = [(a, self.multiply(self.number(b), self.power(a, b - 1.0)))]
            case "**":
                found = [(a, self.multiply(b, self.power_of(a, self.subtract(b, one)))) if self.moves[a] else (a, one),
                         (b, self.multiply(number, self.call("log", a))) if self.moves[b] else (b, one)]
            case _:
                found = [(a, self._slope(name, a, number))]
        return [(argument, slope) for argument, slope in found if self.moves[argument]]

    def gradient(self, f, n):
        """The derivatives of ``f`` by x[0] ... x[n - 1], by the reverse mode."""
        seeds = {f: self.number(1.0)}
        for number in range(f, -1, -1):
            if number in seeds and self.moves[number]:
                for argument, slope in self._partials(number):
                    part = self.multiply(seeds[number], slope)
                    seeds[argument] = self.add(seeds[argument], part) if argument in seeds else part
        return [seeds.get(self.symbol("x", i), self.number(0.0)) for i in range(n)]

    def directional(self, f):
        """The derivative of ``f`` along the direction v, by the forward mode."""
        change = {}
        for number in sorted(self.reached([f])):
            if not self.moves[number]:
                continue
            if self.nodes[number][0] == "x":
                change[number] = self.symbol("v", self.nodes[number][1])
                continue
            total = self.number(0.0)
            for argument, slope in self._partials(number):
                total = self.add(total, self.multiply(change[argument], slope))
            change[number] = total
        return change.get(f, self.number(0.0))

    def reached(self, outputs):
        """Numbers of the nodes that these are computed from, themselves included."""
        found, rest = set(), list(outputs)
        while rest:
            number = rest.pop()
            if number not in found:
                found.add(number)
                rest.extend(self.arguments(number))
        return found

    def arguments(self, number):
        """The nodes that a node is computed from."""
        name, *arguments = self.nodes[number]
        return [] if name in ("number", "x", "v", "p") else arguments[:1] if name == "power" else arguments
