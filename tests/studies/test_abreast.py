"""Several items of a study at the same time: the order, errors and Ctrl-C are those of one after the other."""

import json
import signal
import threading

import pytest

from odeopt.cli import main
from odeopt.studies.inner import gather


@pytest.fixture
def sigint():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_results_come_in_the_order_of_the_items_and_two_are_at_work():
    meeting, names = threading.Barrier(2, timeout=20), set()

    def work(item):
        if item < 2:
            meeting.wait()  # one alone would wait for ever
        names.add(threading.current_thread().name)
        return item**2

    assert gather(range(7), work, jobs=2) == ([0, 1, 4, 9, 16, 25, 36], False) and len(names) == 2
    assert gather(range(3), lambda item: item, jobs=9) == ([0, 1, 2], False)


def test_the_error_of_the_first_item_is_raised_and_nothing_more_begun():
    second_failed, begun = threading.Event(), []

    def work(item):
        begun.append(item)
        if item == 0:
            assert second_failed.wait(20)
        else:
            second_failed.set()
        raise ValueError(f"item {item}")

    before = threading.active_count()
    with pytest.raises(ValueError, match="item 0"):
        gather(range(9), work, jobs=2)
    assert sorted(begun) == [0, 1] and threading.active_count() == before


def test_an_interrupt_reaches_what_is_at_work_and_keeps_what_has_ended(sigint):
    ended, reached = [], []

    def work(item):
        if item < 3:
            ended.append(item)
            return item
        try:
            if item == 4:
                signal.raise_signal(signal.SIGINT)  # its handler runs in the main thread
            while True:  # as a solution that goes on
                threading.Event().wait(0.01)
        except KeyboardInterrupt:
            reached.append(item)
            raise

    before = threading.active_count()
    assert gather(range(9), work, jobs=2) == ([0, 1, 2], True)
    assert sorted(ended) == [0, 1, 2] and sorted(reached) == [3, 4] and threading.active_count() == before


OWN = """
import odeopt as oo
class Mine(oo.GradientDescent):
    key = "mine"
"""


def test_compare_prints_the_same_for_any_number_of_jobs(tmp_path, capsys):
    file = tmp_path / "own_of_a_test.py"
    file.write_text(OWN, encoding="utf-8")
    words = ["compare", "(1-x)^2 + 3*(y-x^2)^2", "--start=-1,1", "--optimizers", f"gd,rprop,{file}:Mine:lr=.02,adam",
             "--steps", "30", "--json"]
    documents = []
    for jobs in "1", "3":
        assert main([*words, "--jobs", jobs]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    assert documents[0] == documents[1] and len(documents[0]["rows"]) == 4
    assert main([*words, "--jobs", "0"]) == 2 and "--jobs must be" in capsys.readouterr().err


def test_an_interrupt_of_jobs_prints_what_is_done(monkeypatch, capsys, sigint):
    import odeopt.studies.order.comparison as comparison

    whole = comparison.compare

    def compare(optimizer, *args, **options):
        if optimizer.key == "adam":
            signal.raise_signal(signal.SIGINT)
            threading.Event().wait(20)
        return whole(optimizer, *args, **options)

    monkeypatch.setattr(comparison, "compare", compare)
    assert main(["compare", "beale", "--optimizers", "gd,momentum,adam", "--steps", "20", "--jobs", "2"]) == 130
    assert "gradient descent" in capsys.readouterr().out


def test_threads_are_taken_by_themselves_only_for_long_gradients():
    from types import SimpleNamespace

    import odeopt as oo
    from odeopt import threads
    from odeopt.cli import _output

    auto = SimpleNamespace(jobs=None)
    large, small = oo.problems.digits_mlp(), oo.problems.beale()
    assert _output.jobs_of(auto, small, small.x0) == 1
    assert _output.jobs_of(auto, large, large.x0) == threads.available()
    plain = oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, dim=2)
    assert _output.jobs_of(auto, plain, plain.x0) == 1
    assert _output.jobs_of(SimpleNamespace(jobs=4), plain, plain.x0) == 4
