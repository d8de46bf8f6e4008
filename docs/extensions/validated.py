"""numpydoc's validation of the public face, with the checks that this package holds itself to.

Left out: where quotes stand (GL01, GL02); that a summary begins with a capital (SS02) and fits one line (SS06), since a
function is often best said by its formula; that its first word is no verb in the third person (SS05), which takes every
plural for one; an extended summary, See Also and Examples everywhere (ES01, SA01, EX01); a description beside a type
that says all (PR07, RT03) and types beside names that share one (PR04); a capital before a description that begins
with a symbol (PR08); sections for parameters and return values where
one sentence says both (RT01; PR01 counts only where a Parameters section leaves some out, and not for the fields of
results, which stand under Attributes). A function of ``**options`` may name theirs (PR02). A description may be a
table, which ends without a full stop (RT05).
"""

import inspect

import face

CHECKS = ("GL03 GL05 GL06 GL07 GL08 GL09 GL10 SS01 SS03 SS04 PR01 PR02 PR03 PR05 PR06 PR09 PR10 RT02 RT04 RT05 "
          "YD01 SA02 SA03 SA04").split()


def faults():
    """``(name, code, message)`` of each fault."""
    from numpydoc.docscrape import get_doc_object
    from numpydoc.validate import validate

    found = []
    for one in face.names():
        if one.kind == "data" or inspect.isclass(one.value) and issubclass(one.value, Exception):  # has no signature
            continue
        doc, signature = inspect.getdoc(one.value) or "", _signature(one.value)
        for code, message in validate(get_doc_object(one.value))["errors"]:
            if code == "PR01" and ("Parameters\n---" not in doc or "Attributes\n---" in doc):
                continue
            if code == "PR02" and any(p.kind is p.VAR_KEYWORD for p in signature):
                continue
            if code == "RT05" and "====" in doc:
                continue
            if code in CHECKS:
                found.append((one.full, code, message))
    return found


def _signature(value):
    return inspect.signature(value).parameters.values()
