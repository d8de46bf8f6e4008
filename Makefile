# The few verbs of the project; each works from a fresh checkout. PYTHON: the interpreter to build with.
PYTHON ?= python3
VENV = .venv
RUN = $(VENV)/bin/python

.PHONY: install test lint types stubs docs browser certificates figures bench floor processors boundscheck fuzz mutants

install: $(VENV)/bin/odeopt

$(VENV)/bin/odeopt: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q -e '.[test]'
	touch $@

test: install
	$(RUN) -m pytest -n 2

lint: install
	$(VENV)/bin/ruff check .

# Types: pyright on the package, the examples and README's Python, with the wheel installed in an environment of its own.
types:
	PYTHON=$(PYTHON) tools/types.sh

# What editors see of the optimizers' folder.
stubs: install
	$(RUN) tools/stubs.py

# The site, in docs/_build/html; a warning is an error.
docs: $(VENV)/bin/sphinx-build
	$(RUN) -m sphinx -q -W --keep-going -b html docs docs/_build/html

$(VENV)/bin/sphinx-build: $(VENV)/bin/odeopt
	$(RUN) -m pip install -q -e '.[docs]'
	touch $@

# The explorer in a browser: Debian's chromium, where there is one.
browser: install
	$(RUN) -m pip install -q -e '.[browser]'
	$(RUN) -m pytest -rs tests/explore

# The measured orders on the optimizers' pages: some minutes.
certificates: install
	$(RUN) tools/certificates.py

figures: install
	$(RUN) -m odeopt figures

bench: install
	$(RUN) -m odeopt bench

# The oldest and the newest versions that setup.cfg allows. TESTS="tests/engine" runs a part.
floor:
	PYTHON=$(PYTHON) tools/floor.sh $(TESTS)

# Other processors, thread counts, array bounds looked at, and a part without the compiler.
processors: install
	$(RUN) tools/processors.py $(TESTS)

boundscheck: install
	$(RUN) tools/processors.py --only boundscheck $(TESTS)

# Random calls, right and hostile: BATCHES processes of COUNT calls, from the seed SEED on.
BATCHES ?= 2
COUNT ?= 1000
SEED ?= 300
fuzz: install
	$(RUN) tools/fuzz run $(BATCHES) $(COUNT) $(SEED)

# Slips of the numerics that the tests should notice. AREAS="loops schemes", default all; some seconds a mutant. HOW="":
# with the compiler and all tests, some minutes each.
MUTANTS ?= 15
HOW ?= --plain --quick 2
mutants: install
	$(RUN) tools/mutants.py $(AREAS) --count $(MUTANTS) --seed $(SEED) $(HOW)
