# `make demo` and `make test` start from nothing but Python (3.11, or PYTHON=python3.13), a C++20 compiler and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# one stamp a stage, so that nothing is done twice
DEPS := $(VENV)/.dependencies
INSTALLED := $(VENV)/.installed
NVCC ?= $(or $(shell command -v nvcc),$(wildcard /usr/local/cuda/bin/nvcc))
SOURCES := $(shell find csrc cmake -type f 2>/dev/null) CMakeLists.txt pyproject.toml

.PHONY: demo test test-ops test-others lint format sanitize bench bench-rivals cuda-check wheel docs inplace clean

# pip's progress bars and, at -v, the compiler's steps are shown: each stage takes minutes on a slow machine
PIP := $(BIN)/pip --disable-pip-version-check

$(DEPS): requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install torch==2.13.0
	$(PIP) install -r requirements-dev.txt
	touch $@

# tools that only some targets need
$(VENV)/.requirements-%: requirements-%.txt $(DEPS)
	$(PIP) install -r $<
	touch $@

$(INSTALLED): $(DEPS) $(SOURCES)
	$(PIP) install --verbose --no-build-isolation --no-deps \
		--config-settings=cmake.define.MAMRL_EMULATE_CUDA=ON -e .
	touch $@

demo: $(INSTALLED)
	$(BIN)/mamrl demo --out runs/demo

# two halves at once, of about the same length; each goes on where the other fails
test: $(INSTALLED)
	$(MAKE) --no-print-directory --keep-going --output-sync=line --jobs=2 test-ops test-others

# the ops once more through torch's dispatcher: a torch whose private parts change must cost time and not results
test-ops: $(INSTALLED)
	$(BIN)/python -m pytest tests/ops
	MAMRL_DIRECT_CALLS=0 $(BIN)/python -m pytest tests/ops --ignore=tests/ops/test_emulated_cuda.py --ignore=tests/ops/test_simd.py \
		--ignore=tests/ops/test_simd_small_ops.py --ignore=tests/ops/test_direct.py

test-others: $(INSTALLED)
	$(BIN)/python -m pytest --ignore=tests/ops

lint: $(DEPS) $(if $(NVCC),cuda-check)
	$(BIN)/ruff format --check python tests bench examples docs/_hooks
	$(BIN)/ruff check python tests bench examples docs/_hooks
	$(BIN)/mypy
	find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' | xargs $(BIN)/clang-format --dry-run --Werror

format: $(DEPS)
	$(BIN)/ruff format python tests bench examples docs/_hooks
	$(BIN)/ruff check --fix python tests bench examples docs/_hooks
	find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' | xargs $(BIN)/clang-format -i

# the C++ under three kinds of scrutiny, over its tests; half an hour
sanitize: $(INSTALLED)
	PYTHON=$(BIN)/python bash .ci/sanitize

bench: $(INSTALLED)
	$(BIN)/python -m bench

# Other people's libraries beside this one, in an environment of their own: docs/rivals.md. What cannot be installed here is
# said and skipped: all at once, which is quicker, or one after the other.
RIVALS := .venv-rivals
RIVALS_PIP := $(RIVALS)/bin/pip --disable-pip-version-check
BUILD_TOOLS := scikit_build_core|pybind11|cmake|ninja|mujoco|numpy|scipy|tqdm

$(RIVALS)/.installed: requirements-rivals.txt requirements-dev.txt $(SOURCES)
	$(PYTHON) -m venv $(RIVALS)
	$(RIVALS_PIP) install torch==2.13.0 $$(grep -E '^($(BUILD_TOOLS))==' requirements-dev.txt)
	$(RIVALS_PIP) install -r requirements-rivals.txt || \
		grep -v '^#' requirements-rivals.txt | while read -r rival; do $(RIVALS_PIP) install "$$rival" || echo "skipped: $$rival"; done
	PATH=$(abspath $(RIVALS)/bin):$$PATH $(RIVALS_PIP) install --no-build-isolation --no-deps --config-settings=build-dir=build/rivals -e .
	touch $@

bench-rivals: $(RIVALS)/.installed
	$(RIVALS)/bin/python -m bench.rivals

# The CUDA kernels compile, whether or not there is a GPU or a CUDA build of torch. One nvcc at a time: each takes a core.
CUDA_CHECKED := $(patsubst csrc/cuda/%.cu,build/cuda-check/%.o,$(wildcard csrc/cuda/*.cu))
CUDA_ARCHITECTURES ?= arch=compute_80,code=sm_80 arch=compute_90,code=[sm_90,compute_90]

cuda-check: $(CUDA_CHECKED)

build/cuda-check/%.o: csrc/cuda/%.cu $(wildcard csrc/cuda/*.h csrc/common/*.h csrc/ops/*.h) | $(DEPS)
	@test -n "$(NVCC)" || { echo "make cuda-check needs nvcc: put it on PATH, or set NVCC"; exit 1; }
	@mkdir -p $(@D)
	flock build/cuda-check $(NVCC) -std=c++20 -O3 -c $< -o $@ $(addprefix -gencode ,$(CUDA_ARCHITECTURES)) -Icsrc \
		-isystem $$($(BIN)/python -c "import torch; print(torch.__path__[0])")/include \
		-DUSE_CUDA -DTORCH_TARGET_VERSION=0x020b000000000000 -Xcompiler -Wall,-Wextra,-fPIC -Werror all-warnings

# dist/: the source distribution and, from it, the wheel, audited and tried in a clean environment
wheel: $(VENV)/.requirements-wheel
	bash .ci/wheel $(BIN)

# the variable silences the theme's advertisement of its successor
docs: $(VENV)/.requirements-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

# for work on the kernels: builds beside the sources, to be run with PYTHONPATH=python. An editable install would be
# imported before them, so it goes (make test brings it back); a module is replaced and not overwritten, so that a
# process that has the old one mapped goes on with it.
inplace: $(DEPS)
	$(PIP) uninstall --quiet --yes mamrl
	rm -f $(INSTALLED)
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/cmake -G Ninja -S . -B build/inplace -DPython_EXECUTABLE=$(abspath $(BIN))/python \
		-DMAMRL_EMULATE_CUDA=ON
	$(BIN)/cmake --build build/inplace
	cp --remove-destination build/inplace/_C*.so python/mamrl/

clean:
	rm -rf build dist python/mamrl/_C*.so $(INSTALLED)
