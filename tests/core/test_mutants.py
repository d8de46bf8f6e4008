"""The list of equivalent mutants follows the source."""

import sys

import places

sys.path.insert(0, str(places.ROOT / "tools"))
import mutants


def test_each_equivalent_mutant_is_one_of_the_source():
    known = mutants.equivalent()
    lines = mutants.EQUIVALENT.read_text(encoding="utf-8").splitlines()
    assert lines == sorted(set(lines)) and len(known) == len(lines) and all(known.values())
    paths = {words.partition(" | ")[0] for words in known}
    found = {mutant.words for path in paths for mutant in mutants.mutants_of(mutants.ROOT / path, mutants.ROOT)}
    assert sorted(set(known) - found) == [], "these have changed or are gone: decide anew"


def test_each_area_has_its_files():
    places_of = [name for sources, _ in mutants.AREAS.values() for name in sources.split()]
    assert [name for name in places_of if not (mutants.ROOT / "odeopt" / name).exists()] == []
    tests = {path.stem.removeprefix("test_") for path in (mutants.ROOT / "tests").rglob("test_*.py")}
    assert {name for _, names in mutants.AREAS.values() for name in names.split()} - tests == set()
