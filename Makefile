# Users need `make demo` and `make test`; the other targets are for developers (CONTRIBUTING.md).
#
#   PYTHON=python3.12   the interpreter that the virtual environment is made with (3.10 or newer)
#   VENV=.venv          where the virtual environment lies
#   ARGS="..."          passed on to `fastrfm demo`, `fastrfm bench` or pytest
#   FASTRFM_CUDA=ON     compile the CUDA kernels too, which takes minutes (pip does where it finds nvcc)

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
FASTRFM_CUDA ?= OFF
export FASTRFM_CUDA

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CPP := $(shell find src/cpp -name '*.cpp' -o -name '*.hpp')
# Folders are prerequisites too: a folder's time changes when a file in it comes or goes.
CPP_TREE := $(CPP) $(shell find src/cpp -type d)
CUDA := $(shell find src/cuda -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.hpp' -o -name '*.h')
CUDA_TREE := $(CUDA) $(shell find src/cuda -type d -o -name CMakeLists.txt)
# The emulator's module needs no more of src/cpp than this.
CUDA_NEEDS := $(wildcard src/cpp/*.hpp src/cpp/common/*.hpp)
PY_FOLDERS := $(shell find src/python -name __pycache__ -prune -o -type d -print)
PY_TREE := $(PY_FOLDERS) $(shell find src/python -name '*.py' -o -name '*.pyi' -o -name py.typed)
BUILD_FILES := pyproject.toml CMakeLists.txt build_support/git_version.py

# The build runs inside the virtual environment, not in pip's throw-away one, so that a changed file
# recompiles alone. This is pyproject.toml's build-system.requires, the two tools it drives, and what
# build_support/git_version.py asks for.
BUILD_REQUIRES := "scikit-build-core>=0.11" "pybind11>=3.0" "cmake>=3.24" ninja "setuptools-scm>=8"

# Stamps in $(VENV): what is installed there. `make dev` switches to an editable installation, and
# the other targets then keep it.
PACKAGE := $(VENV)/$(if $(wildcard $(VENV)/.editable),.editable,.package)

.PHONY: help demo test slow examples bench docs dev lint types format symbols emulator sanitize cuda aarch64 clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make demo      build, install and run the demonstration on real data"
	@echo "make test      build, install and run the test suite"
	@echo "make slow      the slow tests"
	@echo "make examples  the claims of the scripts in examples/, and the tests that need PyTorch"
	@echo "make bench     build, install the rivals and measure against them (ARGS=--quick: half a minute)"
	@echo "make docs      the documentation, in docs/_build/html; a warning is an error"
	@echo "make dev       editable installation with the developers' tools; again after a C++ edit"
	@echo "make lint      ruff and clang-format, changing nothing"
	@echo "make types     mypy, and _cpu.pyi against the compiled module"
	@echo "make format    rewrite the sources as make lint wants them"
	@echo "make symbols   no code of an ISA level can stand in for portable code"
	@echo "make emulator  the CUDA kernels on the CPU, for the tests (part of make test)"
	@echo "make sanitize  the tests of the core under AddressSanitizer and UBSan"
	@echo "make wheel     dist/fastrfm-*.whl with CUDA, repaired for other machines; fails if a kernel spills"
	@echo "make test-wheel   the tests, in an environment that has only that wheel and its dependencies"
	@echo "make test-oldest  the estimators' tests, with the oldest dependencies that pyproject.toml allows"
	@echo "make sdist     dist/fastrfm-*.tar.gz; make test-sdist builds from it without a network"
	@echo "make aarch64   cross-compile the core for 64-bit ARM"
	@echo "make clean     remove what the targets above made"

# ---- what users run

demo: $(PACKAGE) $(VENV)/.extra-demo
	$(BIN)/fastrfm demo $(ARGS)

test: $(PACKAGE) $(VENV)/.extra-test emulator
	$(BIN)/pytest $(ARGS)

slow: $(PACKAGE) $(VENV)/.extra-test emulator
	$(BIN)/pytest -m slow $(ARGS)

# The extra names one version of PyTorch: `pip install torch` alone takes gigabytes of CUDA.
examples: $(PACKAGE) $(VENV)/.extra-test $(VENV)/.extra-claims
	$(BIN)/pytest $(ARGS) tests/test_neural.py tests/test_neural_without_torch.py
	$(BIN)/pytest -m claims $(ARGS)

bench: $(PACKAGE) $(VENV)/.extra-bench
	$(BIN)/fastrfm bench $(ARGS)

# In one process: the examples and the pages' own fits use all cores.
docs: $(PACKAGE) $(VENV)/.extra-docs
	$(BIN)/sphinx-build -W --keep-going -n -b html $(ARGS) docs docs/_build/html
	@echo "docs: open docs/_build/html/index.html"

# ---- the installation

$(VENV)/.tools:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
	    "fastrfm needs Python 3.10 or newer. Name one: make PYTHON=python3.12 ...")'
	@echo "== making the virtual environment $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet $(BUILD_REQUIRES)
	@touch $@

# With the CUDA kernels, their sources count as well.
PACKAGE_TREE := $(CPP_TREE) $(BUILD_FILES) src/cuda/CMakeLists.txt $(if $(filter-out OFF,$(FASTRFM_CUDA)),$(CUDA_TREE))

$(VENV)/.package: $(PY_TREE) $(PACKAGE_TREE) README.md LICENSE THIRD_PARTY.md | $(VENV)/.tools
	@echo "== building and installing fastrfm (the first time compiles all of the C++ core)"
	@rm -f $(VENV)/.editable
	$(PIP) install --quiet --no-build-isolation --no-deps --force-reinstall .
	@touch $@

# Python edits need no new installation here, but a new or removed file does.
$(VENV)/.editable: $(PY_FOLDERS) $(PACKAGE_TREE) | $(VENV)/.tools
	@echo "== building fastrfm, editable"
	@rm -f $(VENV)/.package
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

# fastrfm itself is already installed, so pip only adds what the extra names.
$(VENV)/.extra-%: pyproject.toml | $(PACKAGE)
	@echo "== installing the dependencies of fastrfm[$*]"
	$(PIP) install --quiet "fastrfm[$*]"
	@touch $@

# ---- what developers run

dev: $(VENV)/.editable
	@$(MAKE) --no-print-directory $(VENV)/.extra-dev

lint: $(VENV)/.extra-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run -Werror $(CPP) $(CUDA)

types: $(PACKAGE) $(VENV)/.extra-dev
	$(BIN)/mypy
	MYPYPATH=src/python $(BIN)/stubtest --mypy-config-file pyproject.toml fastrfm._cpu

format: $(VENV)/.extra-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CPP) $(CUDA)

# The linker keeps one copy of a function that is inline or a template, whichever object it came
# from. Were it the AVX-512 one, a machine without AVX-512 would die in code that looks portable.
# So every such function in level_NAME.cpp must carry the level's own namespace, fastrfm::NAME.
symbols: $(PACKAGE)
	@for level in avx2 avx512; do \
	    for object in $$(find build/cp* -name "level_$$level.cpp.o"); do \
	        echo "symbols: $$object"; \
	        if nm -C --defined-only "$$object" | grep -E ' [WVu] ' | \
	            grep -vE "fastrfm::$$level::| DW\.ref\."; then \
	            echo "symbols: those can replace portable functions; move them into fastrfm::$$level"; \
	            exit 1; \
	        fi; \
	    done; \
	done

# The module in which the tests run the CUDA kernels without a GPU (src/cuda/emulator); and a test of
# the emulator itself.
EMULATOR := build/emulator
CONFIGURE_EMULATOR = PATH="$(abspath $(BIN)):$$PATH" cmake -G Ninja -S . \
    -DFASTRFM_CUDA_EMULATOR=ON -DFASTRFM_CUDA=OFF $(CMAKE_ARGS) \
    -DPython_EXECUTABLE="$(abspath $(BIN)/python)" \
    -Dpybind11_DIR="$$($(BIN)/python -m pybind11 --cmakedir)"
BUILD_EMULATOR = PATH="$(abspath $(BIN)):$$PATH" cmake --build $1 --target _cuda_emulated test_emulator

emulator: $(EMULATOR)/.built

$(EMULATOR)/.built: $(CUDA_TREE) $(CUDA_NEEDS) $(BUILD_FILES) | $(VENV)/.tools
	@echo "== building the CUDA kernels for the CPU, which the tests run them on"
	@$(CONFIGURE_EMULATOR) -B $(EMULATOR) > /dev/null
	@$(call BUILD_EMULATOR,$(EMULATOR))
	$(EMULATOR)/test_emulator
	@touch $@

# A virtual environment that sees the other one's packages, but first the fastrfm in its own site/.
build/%/venv/bin/python: | $(VENV)/.tools
	$(BIN)/python -m venv --without-pip build/$*/venv
	site() { "$$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }; \
	    { echo "$(abspath build/$*)/site"; site $(BIN)/python; } > "$$(site $@)/fastrfm_site.pth"

SANITIZE := build/sanitize
SANITIZE_PYTHON := $(SANITIZE)/venv/bin/python
PRELOAD = $(shell $(or $(CXX),g++) -print-file-name=libasan.so) \
          $(shell $(or $(CXX),g++) -print-file-name=libstdc++.so)
SANITIZED = ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 LD_PRELOAD="$(PRELOAD)" \
    FASTRFM_EMULATOR_DIR="$(abspath $(SANITIZE))/emulator"

# Of the CUDA tests on the CPU the two files that reach every kernel and every repair: all take twice
# as long as the rest together.
sanitize: $(PACKAGE) $(VENV)/.extra-test $(SANITIZE_PYTHON)
	SKBUILD_BUILD_DIR=$(SANITIZE)/cmake SKBUILD_CMAKE_BUILD_TYPE=Debug \
	    SKBUILD_CMAKE_DEFINE=FASTRFM_SANITIZE=ON FASTRFM_CUDA=OFF \
	    $(PIP) install --quiet --no-build-isolation --no-deps --upgrade --target $(SANITIZE)/site .
	$(CONFIGURE_EMULATOR) -DCMAKE_BUILD_TYPE=Debug -DFASTRFM_SANITIZE=ON -B $(SANITIZE)/emulator \
	    > /dev/null
	$(call BUILD_EMULATOR,$(SANITIZE)/emulator)
	ASAN_OPTIONS=detect_leaks=0 $(SANITIZE)/emulator/test_emulator
	$(SANITIZED) $(SANITIZE_PYTHON) -c \
	    'import fastrfm._cpu as m; assert "$(SANITIZE)/site" in m.__file__, m'
	$(SANITIZED) $(SANITIZE_PYTHON) -m pytest -m "core and not slow and not emulated" --timeout 1200 $(ARGS)
	$(SANITIZED) $(SANITIZE_PYTHON) -m pytest -m "emulated and not slow" --timeout 1200 $(ARGS) \
	    tests/test_cuda.py tests/test_numerics.py

# ---- what is published

# A wheel has CUDA unless FASTRFM_CUDA is set: OFF for a quick one, pypi for nvcc from PyPI.
WHEEL_CUDA := $(if $(filter file,$(origin FASTRFM_CUDA)),ON,$(FASTRFM_CUDA))
WHEEL_BUILD := build/wheel
WHEEL_PYTHON := $(WHEEL_BUILD)/venv/bin/python
WHEEL_STAMP := $(VENV)/.wheel-$(WHEEL_CUDA)
PYTHON_TAG = $(shell $(BIN)/python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
# Not $(wildcard), which does not see what a recipe has made.
WHEEL = $(shell ls dist/fastrfm-*-$(PYTHON_TAG)-$(PYTHON_TAG)-*.whl 2> /dev/null)

.PHONY: wheel check-cuda test-wheel test-oldest sdist test-sdist
wheel: $(WHEEL_STAMP)
cuda: wheel

# With pip's own build environment, as users build it. auditwheel finds the oldest glibc that the
# wheel runs on (that of this machine's symbols: releases are built in manylinux_2_28, see
# CONTRIBUTING.md) and puts libgomp into it.
$(WHEEL_STAMP): $(PY_TREE) $(CPP_TREE) $(CUDA_TREE) $(BUILD_FILES) README.md LICENSE THIRD_PARTY.md | $(VENV)/.extra-dev $(WHEEL_PYTHON)
	@rm -rf $(VENV)/.wheel-* $(WHEEL_BUILD)/plain $(WHEEL_BUILD)/site $(WHEEL)
	SKBUILD_BUILD_DIR=$(WHEEL_BUILD)/cmake-$(PYTHON_TAG) SKBUILD_CMAKE_DEFINE=FASTRFM_PTXAS_REPORT=ON \
	    FASTRFM_CUDA=$(WHEEL_CUDA) \
	    $(PIP) wheel --quiet --no-deps --wheel-dir $(WHEEL_BUILD)/plain .
	PATH="$(abspath $(BIN)):$$PATH" auditwheel repair --wheel-dir dist $(WHEEL_BUILD)/plain/*.whl
	$(BIN)/python .ci/check_wheel --cuda $(WHEEL_CUDA) $$(ls -t dist/*.whl | head -1)
	$(PIP) install --quiet --no-deps --target $(WHEEL_BUILD)/site $$(ls -t dist/*.whl | head -1)
	@if [ $(WHEEL_CUDA) != OFF ]; then $(MAKE) --no-print-directory check-cuda; fi
	@touch $@

check-cuda:
	.ci/check_spills $(WHEEL_BUILD)/cmake-$(PYTHON_TAG)
	$(WHEEL_PYTHON) -c 'import fastrfm._cuda as m; print(m.__file__, "for", m.architectures); \
	    assert "$(WHEEL_BUILD)/site" in m.__file__; \
	    assert m.driver_version() > 0 or m.device_count() == 0'
	MYPYPATH=src/python $(WHEEL_PYTHON) -m mypy.stubtest --mypy-config-file pyproject.toml \
	    --allowlist .ci/stubtest_allowed fastrfm._cuda

# In a folder from which neither src/ nor .venv can be imported; `emulated`: the wheel has no emulator.
define RUN_TESTS
cd $1 && venv/bin/python -c 'import fastrfm; \
    print(fastrfm.show_config()); assert "$1/venv" in fastrfm.__file__, fastrfm.__file__'
cd $1 && venv/bin/python -m pytest -c $(CURDIR)/pyproject.toml --rootdir $(CURDIR) -p no:cacheprovider
endef

TEST_WHEEL := build/test-wheel
test-wheel: $(WHEEL_STAMP)
	rm -rf $(TEST_WHEEL) && $(BIN)/python -m venv $(TEST_WHEEL)/venv
	$(TEST_WHEEL)/venv/bin/python -m pip --disable-pip-version-check install --quiet "$(WHEEL)[test]"
	$(call RUN_TESTS,$(TEST_WHEEL)) -m "not emulated and not slow and not claims" $(ARGS) $(CURDIR)/tests

# What the estimators use of scikit-learn, pandas and polars changes most between versions; and an old
# scikit-learn has an old libgomp (test_fork.py).
TEST_OLDEST := build/test-oldest
OLDEST_TESTS := test_scikit_learn.py test_estimators.py test_auto.py test_tables_in_estimators.py \
    test_table_encoder.py test_weighted_fits.py test_persistence.py test_fork.py
test-oldest: $(WHEEL_STAMP)
	rm -rf $(TEST_OLDEST) && $(BIN)/python -m venv $(TEST_OLDEST)/venv
	$(BIN)/python .ci/oldest_versions test > $(TEST_OLDEST)/constraints.txt
	$(TEST_OLDEST)/venv/bin/python -m pip --disable-pip-version-check install --quiet \
	    --constraint $(TEST_OLDEST)/constraints.txt "$(WHEEL)[test]"
	$(call RUN_TESTS,$(TEST_OLDEST)) -m "not slow and not claims" $(ARGS) $(OLDEST_TESTS:%=$(CURDIR)/tests/%)

sdist: $(VENV)/.extra-dev
	@rm -f dist/fastrfm-*.tar.gz
	$(BIN)/python -m build --sdist --no-isolation --outdir dist .

test-sdist: sdist
	.ci/check_sdist dist/fastrfm-*.tar.gz $(BIN)/python

AARCH64_CXX ?= aarch64-linux-gnu-g++

aarch64: $(VENV)/.tools
	@if ! command -v $(AARCH64_CXX) > /dev/null; then \
	    echo "aarch64: skipped, no $(AARCH64_CXX) (Debian: apt-get install g++-aarch64-linux-gnu)"; \
	    exit 0; \
	fi; \
	PATH="$(abspath $(BIN)):$$PATH" && set -e && \
	cmake -G Ninja -S . -B build/aarch64 -DSKBUILD_PROJECT_VERSION=0 -DFASTRFM_WERROR=ON \
	    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
	    -DCMAKE_CXX_COMPILER=$(AARCH64_CXX) -DFASTRFM_CORE_ONLY=ON; \
	cmake --build build/aarch64 --target fastrfm_core

clean:
	rm -rf build dist $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis \
	    docs/_build docs/api docs/auto_examples docs/sg_execution_times.rst
	find src tests -name __pycache__ -prune -exec rm -rf {} +
