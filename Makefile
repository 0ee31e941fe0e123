# make demo, make test: each makes .venv, installs and runs; a second run starts at once.
PYTHON ?= python3
BIN := .venv/bin
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell nproc)

SOURCES := pyproject.toml CMakeLists.txt README.md LICENSE \
  $(shell find cmake csrc python -type f -not -name '*.so' -not -name '*.pyc')
CPP_FILES = $(shell find csrc tests/cpp examples/cpp bench -name '*.cpp' -o -name '*.cu' -o -name '*.h' -o -name '*.inc')

.PHONY: demo test lint cpp-build cpp-test py-test bench develop docs tidy processors sanitize emulated without-cuda gpu-check embed losses clean
.DELETE_ON_ERROR:

demo: .venv/installed
	$(BIN)/shoal demo $(ARGS)

test: lint cpp-test py-test

# ---- the environment -------------------------------------------------------------------------------------------------

.venv/bin/python:
	@cmake/check_tools.sh $(PYTHON)
	$(PYTHON) -m venv .venv

# Stamps: the package is installed again only where a source is newer.
.venv/installed: .venv/bin/python $(SOURCES)
	@echo "Installing into .venv: a minute or three the first time."
	$(BIN)/pip install --quiet .
	@touch $@

.venv/installed-test: .venv/bin/python $(SOURCES)
	@echo "Installing into .venv: a minute or three the first time."
	$(BIN)/pip install --quiet '.[test]'
	@touch .venv/installed $@

# By name: it is installed already, so only what the extra asks for is missing.
.venv/installed-docs .venv/installed-bench: .venv/installed-%: .venv/installed-test pyproject.toml
	$(BIN)/pip install --quiet 'shoal[$*]'
	@touch $@

# ---- checks ----------------------------------------------------------------------------------------------------------

lint: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/stubtest shoal._core --mypy-config-file pyproject.toml --allowlist csrc/bindings/stubtest.allow
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell *.md bench cmake csrc docs examples python tests
	$(BIN)/clang-format --dry-run --Werror $(CPP_FILES)

py-test: .venv/installed-test
	$(BIN)/python -m pytest -n auto $(ARGS)

CMAKE = $(BIN)/cmake -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja
WITH_PYTHON = -DSHOAL_PYTHON=ON -DPython_EXECUTABLE=$(abspath $(BIN))/python \
  -Dpybind11_DIR=$(shell $(BIN)/python -m pybind11 --cmakedir)

# The bindings are built along: here their warnings are errors.
cpp-build: .venv/installed-test
	$(CMAKE) -B build/cpp -DSHOAL_TESTS=ON $(WITH_PYTHON)
	$(BIN)/cmake --build build/cpp

cpp-test: cpp-build
	$(BIN)/ctest --test-dir build/cpp -j $(CMAKE_BUILD_PARALLEL_LEVEL) --output-on-failure --no-tests=ignore

# One build for each: TSan cannot be combined. setarch: TSan's fixed addresses collide with a fully random layout.
sanitize: sanitize-address,undefined sanitize-thread
sanitize-%: .venv/installed-test
	$(CMAKE) -B build/$* -DSHOAL_TESTS=ON -DSHOAL_SANITIZE=$* $(if $(filter thread,$*),-DSHOAL_CUDA=OFF)
	$(BIN)/cmake --build build/$*
	setarch -R $(BIN)/ctest --test-dir build/$* -j $(CMAKE_BUILD_PARALLEL_LEVEL) --output-on-failure

# The tests that need a GPU, or two, on emulated ones: the C++ tests' build has them.
emulated: cpp-build
	rm -rf build/emulated && mkdir -p build/emulated && cp -r python/shoal build/emulated/ && rm -f build/emulated/shoal/_core*.so
	cp build/cpp/_core.*.so build/emulated/shoal/
	SHOAL_EMULATED_GPUS=2 PYTHONPATH=build/emulated $(BIN)/python -m pytest -n auto tests/gpu $(ARGS)

# The wheel as it is where there is no nvcc.
WITHOUT_CUDA = PYTHONPATH=$(abspath build/without-cuda/site) $(BIN)/python
without-cuda: .venv/installed-test
	rm -rf build/without-cuda/site
	$(BIN)/pip install --quiet --no-deps --target build/without-cuda/site . \
	  --config-settings cmake.define.SHOAL_CUDA=OFF --config-settings build-dir=build/without-cuda
	$(WITHOUT_CUDA) -c "from shoal.population import native; assert 'no CUDA' in native.why_no_gpu()"
	$(WITHOUT_CUDA) -m shoal devices
	$(WITHOUT_CUDA) -m pytest -n auto $(ARGS)

# On a machine with a GPU: build, test, sanitizers, benchmarks. Says itself what it needs.
gpu-check:
	tests/gpu/check.sh $(ARGS)

# Processors with AVX2 only, and without AVX, emulated (Debian: apt install qemu-user): every kernel, but not the tests
# that take long and run no others.
QUICK = -tce='*finite differences*,*learn with every optimiser*,*company*,*convolutional member that diverges*,cuda:*,emulation:*'
processors: cpp-build
	printf '%s\n' Haswell Nehalem | xargs -I CPU -P $(CMAKE_BUILD_PARALLEL_LEVEL) qemu-x86_64 -cpu CPU build/cpp/shoal_tests $(QUICK)

# Without the kernels, whose vector extensions are GCC's.
tidy: .venv/installed-test
	$(CMAKE) -B build/tidy -DCMAKE_UNITY_BUILD=OFF $(WITH_PYTHON)
	printf '%s\n' $(filter csrc/%.cpp,$(CPP_FILES)) | xargs -n 4 -P $(CMAKE_BUILD_PARALLEL_LEVEL) $(BIN)/clang-tidy -p build/tidy --quiet

# The C++ examples, as another project would build them: against the library that pip has built, installed.
embed: .venv/installed-test
	$(BIN)/cmake --install $(firstword $(wildcard build/cp3*)) --prefix build/installed --component development
	$(CMAKE) -S examples/cpp -B build/embed -DCMAKE_PREFIX_PATH=$(abspath build/installed) \
	  -DPython_EXECUTABLE=$(abspath $(BIN))/python
	$(BIN)/cmake --build build/embed
	$(BIN)/ctest --test-dir build/embed --output-on-failure --no-tests=error

# Losing ranks takes another MPI than the other tests have, and one environment cannot hold two.
build/losses/installed: $(SOURCES)
	$(PYTHON) -m venv build/losses
	build/losses/bin/pip install --quiet '.[mpi-ft]' pytest pytest-timeout
	@touch $@

losses: build/losses/installed
	build/losses/bin/python -m pytest tests/mpi/test_losses.py $(ARGS)

docs: .venv/installed-docs
	$(BIN)/mkdocs build --strict

# ---- for developers --------------------------------------------------------------------------------------------------

# Puts _core into python/shoal: then `PYTHONPATH=python` runs the sources themselves.
develop: .venv/installed-test
	$(CMAKE) -B build/develop $(WITH_PYTHON) -DSHOAL_IN_PLACE=ON
	$(BIN)/cmake --build build/develop

bench: .venv/installed-bench
	$(BIN)/python bench/train_throughput.py $(ARGS)

clean:
	rm -rf .venv build site
