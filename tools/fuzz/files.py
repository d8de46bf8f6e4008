"""Files written, damaged and read again (:mod:`runs` says what an operation returns)."""

import io
import json
import math

import numpy as np
from inputs import TMP, N, R, compiled, optimizer, pick
from judge import check_run

import odeopt as oo
from odeopt import stochastic
from odeopt.optimizers import State
from odeopt.studies.stability.limits import stability_table


class Unchecked(Exception):
    """A loader took arrays that compiled code would leave."""



def corrupt(path):
    """damage a file in one of several ways; returns words"""
    data = bytearray(path.read_bytes())
    how = R.choice(
        [
            "flip",
            "flip",
            "cut",
            "cut",
            "append",
            "empty",
            "zero",
            "drop",
            "shape",
            "dtype",
            "value",
            "words",
            "pickle",
            "dup",
        ]
    )
    if how == "flip":
        for _ in range(R.choice([1, 3, 50])):
            data[R.randrange(len(data))] ^= 1 << R.randrange(8)
    elif how == "cut":
        data = data[: R.randrange(len(data))]
    elif how == "append":
        data += bytes(R.randrange(256) for _ in range(50))
    elif how == "empty":
        data = b""
    elif how == "zero":
        i = R.randrange(len(data))
        data[i : i + 200] = b"\0" * len(data[i : i + 200])
    else:
        with np.load(path, allow_pickle=False) as z:
            arrays = {k: z[k] for k in z.files}
        words = json.loads(str(arrays["words"]))
        key = R.choice([k for k in arrays if k != "words"])
        if how == "drop":
            arrays.pop(key)
        elif how == "shape":
            a = arrays[key]
            arrays[key] = R.choice(
                [
                    a.ravel()[: max(0, a.size // 2)],
                    np.concatenate([a.ravel()] * 3),
                    a[..., None],
                    np.zeros((0,)),
                    a[:1] if a.ndim else a,
                    np.resize(a, (7,)),
                ]
            )
        elif how == "dtype":
            arrays[key] = (
                (lambda a: a.astype(bytes))
                if arrays[key].dtype.kind == "U"
                else R.choice(
                    [
                        lambda a: a.astype(np.float32),
                        lambda a: a.astype(complex),
                        lambda a: a.astype(str),
                        lambda a: a.astype(bool),
                        lambda a: a.astype(">f8"),
                        lambda a: np.asfortranarray(a),
                    ]
                )
            )(arrays[key])
        elif how == "value":
            a = np.array(arrays[key])
            if a.size:
                a = a.copy()
                flat = a.reshape(-1)
                try:
                    flat[R.randrange(a.size)] = (
                        R.choice([-1, 2**40, 0]) if a.dtype.kind in "iu" else R.choice([math.nan, math.inf, 1e300])
                    )
                except (ValueError, OverflowError, TypeError):
                    pass
                arrays[key] = a
        elif how == "words":
            k2 = R.choice(list(words))
            if R.random() < 0.3:
                words.pop(k2)
            else:
                words[k2] = R.choice([None, 3, "x", [], {}, -1, [[0, [5], None]], [[7]], True, 10**30])
        elif how == "dup":
            arrays[R.choice(["nope", "final.nope", "slots_9", "final", "k.x"])] = np.zeros(3)
        elif how == "pickle":
            arrays[key] = np.array([object()], dtype=object)
        arrays["words"] = np.array(json.dumps(words))
        key = key if how not in ("words", "dup") else ""
        buf = io.BytesIO()
        np.savez(buf, **arrays)
        data = buf.getvalue()
        how = (
            f"{how} {key}"
            + (f" {arrays[key].shape} {arrays[key].dtype}" if key in arrays else "")
            + (f" {k2}={words.get(k2)!r}" if how == "words" else "")
        )
    path.write_bytes(bytes(data))
    return how


def op_trajectory_file():
    p, o = R.choice(compiled), optimizer()
    path = TMP / f"t{R.randrange(10**9)}.npz"
    run = oo.record(o, p, steps=R.randint(0, 30), every=R.randint(1, 5), memory=pick(True, False), specialize=False)
    run.save(path)
    if R.random() < 0.15:
        how = "whole"
    else:
        how = corrupt(path)

    def again(how, what):
        try:
            t = oo.Trajectory.load(path)
        finally:
            path.unlink()
        if how == "whole":
            assert np.array_equal(t.x, run.x) and repr(t) == repr(run)
        return t

    return again, (how, repr(o)), {}, lambda t: (repr(t) and t._repr_html_() and "") if how == "whole" else ""


def op_resume_file():
    p, o = R.choice(compiled), optimizer()
    path = TMP / f"r{R.randrange(10**9)}.npz"
    oo.record(o, p, steps=R.randint(1, 30), every=2, specialize=False).save(path)
    how = corrupt(path)

    def again(how, what):
        try:
            t = oo.Trajectory.load(path)
        finally:
            path.unlink()
        x, s = np.asarray(t.final.get("x")), np.asarray(t.final.get("s"))
        if x.shape != (p.dim,) or s.shape != (len(o.slots), p.dim) or x.dtype != float or s.dtype != float:
            oo.record(o, p, steps=5, every=2, resume=t, specialize=False)
            raise Unchecked(f"record went on from final.x {x.shape} {x.dtype}, final.s {s.shape} {s.dtype}")
        return oo.record(o, p, steps=5, every=2, resume=t, specialize=False)

    return again, (how, repr(o)), {}, check_run


def op_state_file():
    o = optimizer()
    xs = [N.normal(size=(3,)), N.normal(size=(2, 2))]
    s = o.init(xs if R.random() < 0.6 else xs[0])
    single = s.single
    path = TMP / f"s{R.randrange(10**9)}.npz"
    s.save(path)
    how = corrupt(path)

    def again(how, what):
        try:
            t = State.load(path)
        finally:
            path.unlink()
        x = xs[0] if single else xs
        kept = [a.shape for a in s.slots], [a.dtype for a in s.slots], s.shapes, s.blocks, s.names
        if ([np.shape(a) for a in t.slots], [a.dtype for a in t.slots], t.shapes, t.blocks, t.names) != kept:
            o.update(x, np.ones_like(x) if single else [np.ones_like(a) for a in x], t)
            raise Unchecked(f"update went on from {how}")
        o.update(x, np.ones_like(x) if single else [np.ones_like(a) for a in x], t)
        return t

    return again, (how, repr(o)), {"_inplace": True}, None


def op_paths_file():
    o = R.choice([oo.GradientDescent(0.01), oo.Momentum(0.01), oo.Adam(0.01)])
    p = compiled[0]
    noise = pick(None, stochastic.gaussian(0.1))
    path = TMP / f"p{R.randrange(10**9)}.npz"
    whole = oo.sample(o, p, noise, steps=6, paths=3, every=2, threads=1)
    whole.save(path)
    how = corrupt(path)

    def again(how, what):
        try:
            t = stochastic.Paths.load(path)
        finally:
            path.unlink()
        wrong = [
            n
            for n, a in whole.final.items()
            if np.shape(a) != np.shape(t.final.get(n)) or np.asarray(a).dtype != np.asarray(t.final.get(n)).dtype
        ]
        if wrong or t.x.shape != whole.x.shape:
            oo.sample(o, p, noise, steps=4, resume=t, threads=1)
            raise Unchecked(f"sample went on from {how}")
        if R.random() < 0.7:
            return oo.sample(o, p, noise, steps=4, resume=t, threads=1)
        return t

    return again, (how, repr(o)), {}, None


def op_study_file():
    s = (
        stability_table([oo.GradientDescent(0.1)])
        if R.random() < 0.5
        else oo.convergence(oo.GradientDescent(0.01), compiled[2], t_end=0.1, levels=3)
    )
    path = TMP / f"y{R.randrange(10**9)}.npz"
    s.save(path)
    data = bytearray(path.read_bytes())
    how = R.choice(["flip", "cut", "empty", "text"])
    if how == "flip":
        for _ in range(R.choice([1, 3, 50])):
            data[R.randrange(len(data))] ^= 1 << R.randrange(8)
    elif how == "cut":
        data = data[: R.randrange(len(data))]
    elif how == "empty":
        data = b""
    else:
        data = b"hello"
    path.write_bytes(bytes(data))

    def again(how, what):
        try:
            return type(s).load(path)
        finally:
            path.unlink()

    return again, (how, type(s).__name__), {}, None
