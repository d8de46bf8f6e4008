"""From a graph of operations (:mod:`odeopt.problems.graph`) to the source of kernels."""

import math
from collections import Counter


class Source:
    """Statements that compute nodes of a graph, one per line."""

    _READ = {"x": "x[{0}]", "v": "v[{0}]", "p": "data[{0}]"}

    def __init__(self, graph, outputs):
        self.graph, self.lines, self._names, self._powers = graph, [], {}, {}
        reached, depth, uses = sorted(graph.reached(outputs)), {}, Counter(outputs)
        for number in reached:
            arguments = graph.arguments(number)
            depth[number] = 1 + max((depth[a] for a in arguments), default=0)
            uses.update(arguments)
        # c (a b) as (c a) b, where b takes longer to come by: c a is ready by then.
        inner = {}
        for number in reached:
            c, product = graph.scaled(number)
            if c is not None and graph.nodes[product][0] == "*" and uses[product] == 1:
                inner[product] = sorted(graph.arguments(product), key=depth.get)  # pyright: ignore[reportCallIssue, reportArgumentType]
        for number in reached:
            if number in inner:
                self._names[number] = " * ".join(self._names[a] for a in inner[number])
            else:
                self._names[number] = self._computed(number)

    def name(self, number):
        """The name, or the constant, that stands for a node."""
        return self._names[number]

    def _assign(self, name, text):
        self.lines.append(f"{name} = {text}")
        return name

    def _computed(self, number):
        kind, *arguments = self.graph.nodes[number]
        if kind == "number":
            return f"({arguments[0]!r})" if arguments[0] < 0 else repr(arguments[0])
        if kind in self._READ:
            return self._assign(f"{kind}{arguments[0]}", self._READ[kind].format(arguments[0]))
        if kind == "power":
            return self._power(*arguments)
        name, parts = f"t{number}", [self._names[a] for a in arguments]
        if kind == "negative":
            return self._assign(name, f"-{parts[0]}")
        if kind in ("+", "-", "*", "/", "**"):
            return self._assign(name, f"{parts[0]} {kind} {parts[1]}")
        return self._assign(name, f"np.{kind}({parts[0]})")

    def _power(self, a, exponent):
        """Integers and halves by products and a root: the function pow takes longer than ten products."""
        if (a, exponent) in self._powers:
            return self._powers[a, exponent]
        whole, base = math.floor(abs(exponent)), self._names[a]
        if exponent == 1.0:
            return base
        if exponent < 0.0 and (2.0 * exponent).is_integer():
            text = f"1.0 / {self._power(a, -exponent)}"
        elif exponent == 0.5:
            text = f"np.sqrt({base})"
        elif exponent == whole and whole % 2 == 0:
            half = self._power(a, exponent / 2)
            text = f"{half} * {half}"
        elif (2.0 * exponent).is_integer():
            text = f"{self._power(a, float(exponent - 1.0 if exponent == whole else whole))} * "
            text += base if exponent == whole else self._power(a, 0.5)
        else:
            text = f"{base} ** {exponent!r}"
        name = f"r{len(self._powers)}"
        self._powers[a, exponent] = name
        return self._assign(name, text)


def _function(signature, source, outputs, end):
    lines = [*source.lines, *outputs, end]
    return f"def {signature}:\n    " + "\n    ".join(line for line in lines if line) + "\n"


def kernels(graph, f, n):
    """Source of the kernels FG and HV (:mod:`odeopt.abi`) of the node ``f`` in n variables."""
    gradient = graph.gradient(f, n)
    product = graph.gradient(graph.directional(f), n)
    source = Source(graph, [f, *gradient])
    fg = _function("fg(x, g, data)", source, [f"g[{i}] = {source.name(node)}" for i, node in enumerate(gradient)],
                   f"return {source.name(f)}")
    source = Source(graph, product)
    hv = _function("hv(x, v, out, data)", source,
                   [f"out[{i}] = {source.name(node)}" for i, node in enumerate(product)], "")
    return fg, hv
