# Everything runs in .venv, which is made from the hash-pinned locks. Needs git, make and python3 (3.11-3.13) with venv.
PYTHON ?= python3
BIN := .venv/bin
ROOMS := allot bandit portfolio offline_eval governance warehouse engine sims api
SOURCES := $(ROOMS) benchmarks tests examples
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: install demo test check lint openapi examples bench soak soak-service lock clean

install: .venv/.installed ## make .venv from the lock, install allot, compile it and its kernels once

.venv/.installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" || { echo "allot needs Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/one"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q $(ROOMS)
	$(BIN)/python -m api.warm
	touch $@

demo: install ## from nothing to an allocation, two rounds of learning, an evaluation and a report, in world nbo
	$(BIN)/allot demo

# Where nothing may write bytecode, every process of the tests would compile its modules and rewrite its assertions anew.
test: install ## the tests, some ten minutes on two cores
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not soak" --numprocesses 3 --dist loadfile --no-loadscope-reorder

check: lint test ## what must be green before a commit

lint: install
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

openapi: install ## write the service's contract as its routes are now
	$(BIN)/python -m api.service.contract > docs/openapi.json

examples: install ## real data: Hillstrom and Starbucks, ours beside the reference
	$(BIN)/python -m examples.run

bench: install .venv-bench/.installed ## comparisons, written to docs/benchmarks.md by hand from what they print
	$(BIN)/python -m benchmarks.allocate
	$(BIN)/python -m benchmarks.optimizer
	$(BIN)/python -m benchmarks.scoring
	$(BIN)/python -m benchmarks.learner
	$(BIN)/python -m benchmarks.learning
	$(BIN)/python -m benchmarks.simulation
	$(BIN)/python -m benchmarks.off_policy
	$(BIN)/python -m benchmarks.chance
	$(BIN)/python -m benchmarks.arena
	$(BIN)/python -m benchmarks.classification --vw
	$(BIN)/python -m benchmarks.replay
	$(BIN)/python -m benchmarks.evaluation
	$(BIN)/python -m benchmarks.evaluation_sets
	$(BIN)/python -m benchmarks.service_feedback
	$(BIN)/python -m benchmarks.service_feedback --postgres
	$(BIN)/python -m benchmarks.service_decisions
	$(BIN)/python -m benchmarks.service_decisions --postgres
	$(BIN)/python -m benchmarks.service_fold
	$(BIN)/python -m benchmarks.service_half_load
	$(BIN)/python -m benchmarks.service_half_load --postgres

.venv-bench/.installed: requirements/bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --require-hashes --requirement requirements/bench.txt
	touch $@

soak: install ## the long runs, some two hours; the output is docs/soak.md and docs/soak-service.md
	$(BIN)/python -m tests.soak

soak-service: install ## those of the service alone, some three quarters of an hour; the output is docs/soak-service.md
	$(BIN)/python -m tests.soak --part service

lock: ## refresh the locks; needs uv in PATH
	$(LOCK) --extra dev pyproject.toml --output-file requirements/dev.txt
	$(LOCK) requirements/bench.in --output-file requirements/bench.txt

clean:
	rm -rf .venv .venv-bench allot-demo .mypy_cache .ruff_cache .hypothesis
