# `make demo` runs the main job; `make test` checks everything. Both install into .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than there are cores: some tests wait for processes of their own.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

.PHONY: install demo test fast check bench clean

install: $(VENV)/installed

$(VENV)/installed: setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --no-compile --editable ".[dev]"
	# bytecode on all cores, which pip makes on one; as there, files that are no Python of this version are left
	-$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib
	touch $@

demo: install
	$(BIN)/conveyor run digits_cnn

# With bytecode, also where it is switched off: many tests start processes, which would all compile the package.
test: install
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

fast: install
	$(BIN)/pytest -m "not slow"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/link.py
	cd .link && ../$(BIN)/lint-imports --config ../pyproject.toml
	cd .link && MYPYPATH=. ../$(BIN)/mypy --config-file ../pyproject.toml -p conveyor

bench: install
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) .link build dist *.egg-info
