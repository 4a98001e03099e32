# `make demo` and `make test` start from nothing but Python 3.11, a C++20 compiler and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# one stamp a stage, so that nothing is done twice
DEPS := $(VENV)/.dependencies
INSTALLED := $(VENV)/.installed
SOURCES := $(shell find csrc cmake -type f 2>/dev/null) CMakeLists.txt pyproject.toml

.PHONY: demo test lint format bench wheel docs inplace clean

$(DEPS): requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# tools that only some targets need
$(VENV)/.requirements-%: requirements-%.txt $(DEPS)
	$(BIN)/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(INSTALLED): $(DEPS) $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

demo: $(INSTALLED)
	$(BIN)/mamrl demo --out runs/demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(DEPS)
	$(BIN)/ruff format --check python tests bench examples docs/_hooks
	$(BIN)/ruff check python tests bench examples docs/_hooks
	$(BIN)/mypy
	find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' | xargs $(BIN)/clang-format --dry-run --Werror

format: $(DEPS)
	$(BIN)/ruff format python tests bench examples docs/_hooks
	$(BIN)/ruff check --fix python tests bench examples docs/_hooks
	find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' | xargs $(BIN)/clang-format -i

bench: $(INSTALLED)
	$(BIN)/python -m bench

# dist/: the source distribution and, from it, the wheel, audited and tried in a clean environment
wheel: $(VENV)/.requirements-wheel
	bash .ci/wheel $(BIN)

# the variable silences the theme's advertisement of its successor
docs: $(VENV)/.requirements-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

# for work on the kernels: builds beside the sources, to be run with PYTHONPATH=python
inplace: $(DEPS)
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/cmake -G Ninja -S . -B build/inplace -DPython_EXECUTABLE=$(abspath $(BIN))/python
	$(BIN)/cmake --build build/inplace
	cp build/inplace/_C*.so python/mamrl/

clean:
	rm -rf build dist python/mamrl/_C*.so $(INSTALLED)
