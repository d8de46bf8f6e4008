"""Problems, optimizers, flows and schemes from the words that name them, and the options that hold such words."""

import difflib
import inspect
import re

from .. import checks
from ._files import Word, separated, thing, value, word_of
from ._terminal import interrupted
from ._words import is_formula, kind_of, number

DERIVATIVES = ("grad", "hess", "hessp")  # options of a plain function: names of others in its file


def add_problem(parser):
    """The PROBLEM argument."""
    parser.add_argument("problem", metavar="PROBLEM", help="a name of `odeopt list problems`, such as beale or "
                        "rosenbrock:dim=10; a formula, such as '(1-x)^2 + 100*(y-x^2)^2'; or FILE.py:NAME, a Problem, "
                        "a function that returns one, or f(x) itself (FILE.py:f:grad=df)")
    parser.add_argument("--x0", metavar="A,B,...", help="start (default: the problem's own)")


def add_optimizers(parser, default, *, schemes=True):
    """--optimizers, --lr, --set; --schemes and --flow."""
    parser.add_argument("--optimizers", default=default, metavar="A,B,...|all",
                        help="names of `odeopt list optimizers` with hyperparameters where wanted, a name as often as "
                             "wanted (gd:lr=.01,gd:lr=.05,adam:lr=.1,beta1=.8), or of one's own, FILE.py:NAME or "
                             f"module:NAME; or all (default: {default})")
    parser.add_argument("--lr", type=number, metavar="LR",
                        help="learning rate (or what else the step size is) of all that are not given one")
    parser.add_argument("--set", action="append", default=[], metavar="NAME.KEY=VALUE",
                        help="a hyperparameter, such as adam.lr=0.01 or momentum.form=ema; may be repeated")
    if schemes:
        parser.add_argument("--schemes", default="", metavar="A,B,...",
                            help="integrators of a flow as well: names of `odeopt list schemes` or FILE.py:NAME, with "
                                 "their step where wanted (heun:h=.01,rk4)")
        parser.add_argument("--flow", default="gradient", metavar="FLOW",
                            help="that --schemes integrate: a name of `odeopt list flows` with its constants "
                                 "(heavy-ball:a=1), or FILE.py:NAME (default: gradient)")


# Problems ------------------------------------------------------------------------------------------


def problem_of(args):
    """``(problem, x0)`` of the arguments."""
    try:
        x0 = None if args.x0 is None else [float(part) for part in args.x0.split(",")]
    except ValueError:
        raise ValueError(f"--x0 must be numbers with commas between, got {args.x0!r}") from None
    problem = _problem(args.problem, x0)
    if x0 is None:
        return problem, problem.x0
    if len(x0) != problem.dim:
        raise ValueError(f"--x0 must have {problem.dim} numbers for {problem.name}, got {len(x0)}")
    return problem, checks.point("x0", x0)


def _problem(text, x0):
    """The problem of this name, of this formula, or of somebody's own file."""
    from .. import problems

    if is_formula(text):
        try:
            return problems.Problem.from_expression(text, x0=x0)
        except ValueError as error:
            raise ValueError(re.sub("^x0 must be given", "--start must be given", str(error))) from None
    word = word_of(text)
    if word.place:
        return _own_problem(word, x0)
    try:
        factory = problems.by_name(word.name)
    except ValueError as error:
        what = kind_of(word.name)
        raise ValueError(f"{error}; {word.name} is {what}" if what else str(error)) from None
    return _made(factory, word)


def _own_problem(word, x0):
    from ..abi import interpreted
    from ..problems import Problem

    found = thing(word, "a Problem, a function that returns one, or an objective f(x)",
                  lambda one: isinstance(one, Problem) or _is_function(one))
    if isinstance(found, Problem):
        return _plain(found, word)
    needed = [p.name for p in inspect.signature(interpreted(found)).parameters.values()
              if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
              and p.name not in word.options]
    if not needed:
        made = _made(found, word)
        if not isinstance(made, Problem):
            raise ValueError(f"{word} must be a function that returns a Problem, got {checks.shown(made)} from it")
        return made
    if len(needed) > 1:
        raise ValueError(f"{word} must be an objective of one vector, f(x), or be given {', '.join(needed)} as options")
    options = dict(word.options)
    for key in options:
        checks.choice("option", key, (*DERIVATIVES, "dim"))
    parts = {key: thing(Word(word.text, word.place, str(options.pop(key))), "a function", callable)
             for key in DERIVATIVES if key in options}
    if x0 is None and "dim" not in options:
        raise ValueError(f"--start must be given for {word}, a function of {needed[0]}: its numbers, or dim=N, say how "
                         "many variables there are")
    return Problem(found, **parts, x0=x0, **options)


# Methods -------------------------------------------------------------------------------------------


def methods_of(args, problem, x0, steps):
    """The optimizers and schemes named."""
    schemes = schemes_of(args, problem, x0)
    return [*optimizers_of(args, problem, x0, steps, needed=not schemes), *schemes]


def optimizers_of(args, problem, x0, steps, *, needed=True):
    """The optimizers named, with suggested step sizes unless these are given."""
    if args.optimizers.strip().lower() == "none":
        if needed:
            raise ValueError("--optimizers must name a method where no schemes are named, got 'none'")
        return []
    words = _words_of(args.optimizers)
    bases = [_base(word) for word in words]
    given = [dict(word.options) for word in words]
    for item in args.set:
        _set(item, words, bases, given)
    found = []
    for word, base, options in zip(words, bases, given):
        method = _method(word, base, options, args.lr, problem, x0, steps)
        if not any(type(method) is type(other) and method.spec() == other.spec() for other in found):
            found.append(method)
        if interrupted():
            raise KeyboardInterrupt
    return found


def own_optimizers(text):
    """``(FILE.py:NAME, class)`` of the optimizers named that are somebody's own."""
    found = [(f"{word.place}:{word.name}", _base(word)) for word in _words_of(text) if word.place]
    return [(word, base if isinstance(base, type) else type(base)) for word, base in found]


def instances_of(text):
    """The optimizers named, with the hyperparameters given and else their defaults, a step size of 0.01 among them."""
    found = []
    for word in _words_of(text):
        base = _base(word)
        found.append(base.default(**word.options) if isinstance(base, type) else base.changed(**word.options))
    return found


def _words_of(text):
    """The words of a list of optimizers; "all" is that many."""
    from .. import optimizers

    found = []
    for word in separated(text):
        every = not word.place and word.name.lower() == "all"
        found += [Word(name, "", name, word.options) for name in optimizers.ALL] if every else [word]
    return found


def _base(word):
    """The class of a word, or an instance from somebody's own file."""
    from .. import optimizers
    from ..discretization import Discretization
    from ..optimizers import Optimizer

    if not word.place:
        try:
            return optimizers.by_name(word.name)
        except ValueError as error:
            what = kind_of(word.name)
            raise ValueError(f"{error}; {word.name} is {what}" if what else str(error)) from None

    def fits(one):
        if isinstance(one, type):
            return issubclass(one, Optimizer) and one is not Optimizer
        return isinstance(one, (Optimizer, Discretization))

    return thing(word, "an Optimizer, a class of its own or an instance", fits)


def _set(item, words, bases, given):
    """Write NAME.KEY=VALUE into the options of those of this name that do not have it."""
    from .. import optimizers

    text, equals, said = item.partition("=")
    name, dot, key = text.rpartition(".")
    found = [i for i, (word, base) in enumerate(zip(words, bases)) if name in (word.text, f"{word.place}:{word.name}")
             or name.lower() == _key(base)]
    if equals and dot and key and not found:
        try:
            cls = optimizers.by_name(name)
        except ValueError as error:
            if all(not word.place for word in words):
                raise
            raise ValueError(f"--set must be NAME.KEY=VALUE with NAME among --optimizers, got {item!r}") from error
        found = [i for i, base in enumerate(bases) if base is cls]
    if not (equals and dot and key and found):
        raise ValueError(f"--set must be NAME.KEY=VALUE with NAME among --optimizers, got {item!r}")
    for i in found:
        if key not in words[i].options:
            given[i][key] = value(said)


def _key(base):
    return base.__name__.lower() if isinstance(base, type) else base.key


def _method(word, base, options, lr, problem, x0, steps):
    from ..discretization import Discretization
    from ..studies.search.suggest import suggest

    step = "h" if isinstance(base, Discretization) else base.step_name
    if lr is not None and (step not in word.options):
        options = options | {step: lr}
    try:
        if isinstance(base, type):
            return suggest(base, problem, x0, steps, **options)
        if isinstance(base, Discretization):
            for key in options:
                checks.choice("option", key, ("h", "rtol", "atol", "t0"))
            return Discretization(base.flow, base.scheme, **{key: options.get(key, getattr(base, key))
                                                             for key in ("h", "rtol", "atol", "t0")})
        return base.changed(**options)
    except (TypeError, ValueError) as error:
        if not word.options:
            raise
        raise ValueError(f"{word}: {error}") from None


def schemes_of(args, problem, x0, h=None):
    """The schemes named, on the flow named, with step ``h`` (default: suggested) unless theirs is given."""
    from ..discretization import Discretization

    if not args.schemes.strip():
        return []
    flow, found = flow_of(args.flow), []
    for word in separated(args.schemes):
        scheme, options = scheme_of(word), dict(word.options)
        for key in options:
            checks.choice(f"option of {word.name}", key, ("h", "rtol", "atol"))
        if "h" not in options:
            h = h or _step_of(flow, problem, x0)
            options["h"] = h
        found.append(Discretization(flow, scheme, **options))
        found[-1].scheme.fit(flow, problem)
    return found


def _step_of(flow, problem, x0):
    """A step for a flow, from the curvature on the way of gradient descent."""
    from ..studies.search.suggest import COURANT, path_curvature

    step = COURANT / path_curvature(problem, x0)[0]
    return float(f"{step if flow.order_of_position == 1 else step ** 0.5:.2g}")


def schemes_in(text):
    """The schemes of a list that gives them no options."""
    return [_plain(scheme_of(word), word) for word in separated(text)]


def scheme_of(word):
    """The scheme of a word."""
    from .. import schemes

    if word.place:
        return thing(word, "a Scheme", lambda one: isinstance(one, schemes.Scheme))
    key = word.name.strip().lower().replace("_", "-")
    return schemes.ALL[checks.choice("--schemes", key, tuple(schemes.ALL))]


def flow_of(text):
    """The flow of a text."""
    from .. import flows

    word = word_of(text)
    if not word.place:
        key = word.name.lower().replace("_", "-").removesuffix("-flow")
        return _made(flows.ALL[checks.choice("--flow", key, tuple(flows.ALL))], word)
    found = thing(word, "a Flow or a function that returns one",
                  lambda one: isinstance(one, flows.Flow) or _is_function(one))
    made = _plain(found, word) if isinstance(found, flows.Flow) else _made(found, word)
    if not isinstance(made, flows.Flow):
        raise ValueError(f"{word} must be a Flow or a function that returns one, got {checks.shown(made)} from it")
    return made


# What is made with options -------------------------------------------------------------------------


def _is_function(one):
    from ..optimizers import Optimizer

    return callable(one) and not isinstance(one, (type, Optimizer))  # an optimizer is what scipy's minimize calls


def _plain(one, word):
    if word.options:
        raise ValueError(f"{word} must be without options: {word.name} is {checks.shown(one)} already")
    return one


def _made(factory, word):
    """``factory(**options)``; ValueError for options that it does not have or refuses."""
    there = inspect.signature(factory).parameters
    for key in word.options:
        if key not in there and not any(p.kind is p.VAR_KEYWORD for p in there.values()):
            near = difflib.get_close_matches(key, there, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(there)}" if there else ""
            raise ValueError(f"{word.name} has no option {key!r}{hint}")
    lacking = [name for name, p in there.items() if p.default is p.empty and name not in word.options
               and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if lacking:
        raise ValueError(f"{word} must be given {', '.join(lacking)} as options, such as {lacking[0]}=1")
    # One number where a sequence is the default is a sequence of one.
    options = {key: [one] if isinstance(getattr(there.get(key), "default", None), tuple) and not isinstance(one, list)
               else one for key, one in word.options.items()}
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{word}: {error}" if word.options else str(error)) from None
