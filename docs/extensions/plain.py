"""Plain text of docstrings as reStructuredText, and formulas of the pages as LaTeX.

Docstrings are written to be read as they are: ``|g|`` is a norm there and ``x * y`` a product. Only what stands between
double backticks, roles, **bold** and *emphasised* words is markup; all else is shown as written. Sources ([A000],
arXiv numbers) become links to the bibliography.
"""

import re

MARKUP = re.compile(r"``[^`]+``|:[a-z:]+:`[^`]+`|`[^`]+`_|\*\*(?=\S)[^*\n]+\*\*"
                    r"|(?<![\w*])\*(?=[A-Za-z])[^*\n]+(?<=\w)\*(?![\w*])")
SOURCE = re.compile(r"\[(A\d{3})\]|(arXiv:\d{4}\.\d{4,5})")


def escaped(text):
    """One line, so that reStructuredText shows what is not markup as it stands."""
    found, end = [], 0
    for match in MARKUP.finditer(text):
        found += [_escaped(text[end:match.start()]), match[0]]
        end = match.end()
    return "".join([*found, _escaped(text[end:])])


def _escaped(text):
    text = re.sub(r"([*|`\\])", r"\\\1", text)
    text = re.sub(r"(?<=\w)_(?!\w)", r"\\_", text)
    text = re.sub(r"^(\s*)([-+•]|\(?\w[.)])(?=\s)", r"\1\\\2", text)  # no lists: signs of a sum, and of a sentence
    return SOURCE.sub(lambda m: f":source:`{m[1] or m[2]}`", text)


def rst(lines):
    """A docstring's lines: paragraphs escaped, indented formulas after a blank line as literal blocks."""
    found, literal, doctest = [], None, False
    for i, line in enumerate(lines):
        doctest = bool(line.strip()) and (doctest or line.lstrip().startswith(">>>"))  # with what it prints
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent < literal:
            literal = None
        if literal is None and indent and line.strip() and i > 1 and not lines[i - 1].strip():
            before = next((other for other in reversed(lines[:i]) if other.strip()), "")
            opened = before.rstrip().endswith("::")
            if indent > len(before) - len(before.lstrip()) and (opened or _formula(line)):
                literal = indent
                if not opened:
                    found += [" " * (len(before) - len(before.lstrip())) + "::", ""]
        found.append(line if doctest or literal is not None or _structure(lines, i) else _keep_bullet(line))
    return found


def _formula(line):
    return re.search(r"[=<>∝~]|->|^\s*\S+\s{3,}", line) is not None and not re.match(r"\s*(-|>>>|\.\.)\s", line)


def _structure(lines, i):
    """Headings, their underlines, directives."""
    line = lines[i]
    underline = re.fullmatch(r"\s*-{3,}\s*", line) is not None
    keywords = re.fullmatch(r"\s*\*{1,2}\w+(?: : .*)?", line) is not None  # numpydoc escapes them itself
    return underline or keywords or line.lstrip().startswith(".. ") or (
        i + 1 < len(lines) and re.fullmatch(r"\s*-{3,}\s*", lines[i + 1]) is not None)


def _keep_bullet(line):
    match = re.match(r"(\s*- )(.*)", line)
    return match[1] + escaped(match[2]) if match else escaped(line)


NAMES = {"eps": r"\varepsilon", "beta": r"\beta", "tau": r"\tau", "mu": r"\mu", "rho": r"\rho", "lambda": r"\lambda",
         "gamma": r"\gamma", "delta": r"\delta", "eta": r"\eta", "kappa": r"\kappa", "sup": r"\sup", "max": r"\max",
         "min": r"\min", "exp": r"\exp", "Sign": r"\operatorname{Sign}", "sign": r"\operatorname{sign}",
         "clip": r"\operatorname{clip}", "inf": r"\infty", "pi": r"\pi", "sin": r"\sin", "cos": r"\cos",
         "floor": r"\mathrm{floor}"}
SIGNS = {"<-": r"\leftarrow ", "->": r"\to ", "<=": r"\le ", ">=": r"\ge ", "∈": r"\in ", "∝": r"\propto ",
         "²": "^2", "·": r"\cdot ", "∇": r"\nabla ", "~": r"\sim "}
TOKEN = re.compile(r"(?P<root>sqrt\(|√\(|√)|(?P<word>[A-Za-z]+)(?P<index>\d+|_\w+)?|(?P<other><-|->|<=|>=|.)", re.S)


def latex(formula, names=()):
    """LaTeX of a formula such as ``x' = -g/sqrt(v + eps)``; None where it holds a word that is no symbol."""
    found, roots, depth, end = [], [], 0, 0
    for letter, word in (("β", "beta"), ("μ", "mu"), ("λ", "lambda"), ("τ", "tau")):
        formula = formula.replace(letter, word)
    for match in TOKEN.finditer(formula):
        if match.start() < end:
            continue
        if match["root"]:
            if match["root"] == "√":
                letter = re.match(r"[A-Za-z]\d?", formula[match.end():])
                if letter is None:
                    return None
                inner = latex(letter[0], names)
                found.append(rf"\sqrt{{{inner}}}")
                end = match.end() + letter.end()
                continue
            roots.append(depth)
            depth += 1
            found.append(r"\sqrt{")
        elif match["word"]:
            symbol = _symbol(match["word"], names)
            if symbol is None and match["word"] + (match["index"] or "") in names:
                symbol = rf"\mathrm{{{match[0]}}}".replace("_", r"\_")
                found.append(symbol)
                continue
            if symbol is None:
                return None
            index = (match["index"] or "").lstrip("_")
            found.append(symbol + (f"_{{{index}}}" if index else "") + " ")
        else:
            sign = match["other"]
            depth += (sign == "(") - (sign == ")")
            if sign == ")" and roots and roots[-1] == depth:
                roots.pop()
                found.append("}")
            elif sign == "^":
                power = re.match(r"\^(\{[^}]*\}|\([^)]*\)|\w+)", formula[match.start():])
                if power is None:
                    return None
                inner = latex(power[1].strip("{}"), names)
                if inner is None:
                    return None
                found.append(f"^{{{inner}}}")
                end = match.start() + power.end()
            else:
                found.append(SIGNS.get(sign, r"\_" if sign == "_" else sign))
    return None if roots else "".join(found)


def _symbol(word, names):
    if word in NAMES:
        return NAMES[word]
    if len(word) == 1:
        return word
    return rf"\mathrm{{{word}}}" if word in names else None
