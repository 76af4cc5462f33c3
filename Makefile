# What to do with this repository, in one word. `make` alone explains.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Debian's own Python: Mininet and python-ovs are installed for it and no other.
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
# Only what needs root gets it: installing packages, and switches with namespaces.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Debian packages; why each: docs/dependencies.md.
APT := openvswitch-switch python3-openvswitch mininet iproute2 iputils-ping ethtool openssl graphviz dnsmasq-base \
       isc-dhcp-client python3 python3-venv nmap hping3 dsniff thc-ipv6
# What only the comparison needs.
BENCH_APT := ovn-central ovn-host
BENCH_REQUIREMENTS := requirements-bench.txt
REQUIREMENTS := requirements-build.txt requirements.txt requirements-dev.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps

# What `system` sees to: those of the setup, unless a target adds more.
PACKAGES = $(APT)

# Three test files at a time, also on two processors: most of a live test is waiting. The tests of one file stay together,
# in order: many share a switch and guests, which another process would have to start anew.
PARALLEL := -n 3 --dist loadfile

# More words for pytest: make live ARGS="-k stream -x"
ARGS ?=

.PHONY: help setup system demo test lint types unit live faults attack golden fuzz upgrade bench bench-flood bench-analysis \
        clean distclean

help: ## this text
	@echo "Portcullis: a stateful firewall at every virtual NIC of every hypervisor that runs Open vSwitch."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Begin with 'make setup', then 'make demo'. 'make demo CLI=1' leaves you in the demonstration's network."
	@echo "Tests take pytest's options: make unit ARGS='-k evaluate -x'. Live tests, demo and setup need root"
	@echo "(sudo is used where you are not). docs/testing.md tells how to read a failure."

setup: system $(VENV)/.ready ## install what is missing: Debian packages, a virtual environment; quick when all is there

system:
	@missing=""
	for package in $(PACKAGES); do
	  dpkg-query -W -f '$${Status}\n' $$package 2>/dev/null | grep -qx 'install ok installed' || missing+=" $$package"
	done
	if [ -n "$$missing" ]; then
	  echo "installing Debian packages:$$missing"
	  $(SUDO) bash .ci/apt-install $$missing
	fi

# Made anew when a pin or the packaging changes; an interrupted installation is repeated, not trusted.
$(VENV)/.ready: $(REQUIREMENTS) setup.cfg pyproject.toml | system
	@echo "installing Python packages into $(VENV)"
	[ -x $(BIN)/python ] || $(PYTHON) -m venv --system-site-packages $(VENV)
	$(PIP) -r requirements-build.txt
	# Without build isolation: Ryu must be built with the setuptools just installed.
	$(PIP) --no-build-isolation -r requirements.txt -r requirements-dev.txt
	# In "compat" mode the checkout itself is on the path, so packages added later are found too.
	$(PIP) --no-build-isolation --config-settings editable_mode=compat --editable .
	touch $@

demo: setup ## the firewall at work before your eyes, on Mininet; CLI=1 to look around in it
	$(SUDO) $(BIN)/python mininet_scenarios/demo.py $(if $(CLI),--cli)

test: setup lint types ## everything: checks, then all tests, live ones included
	$(SUDO) $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

lint: setup ## ruff
	$(BIN)/ruff check

types: setup ## mypy, strict
	$(BIN)/mypy

unit: setup ## tests that need neither root nor a network
	$(BIN)/python -m pytest $(PARALLEL) --ignore tests/live --ignore tests/scenarios --ignore tests/attack \
	  --ignore tests/faults $(ARGS)

live: setup ## tests with real switches, guests and traffic, and the scenarios
	$(SUDO) $(BIN)/python -m pytest $(PARALLEL) tests/live tests/scenarios tests/attack $(ARGS)

# The page is written whatever the result: it says what got past.
attack: setup ## every attack we know, and the attackers' own tools, against the live firewall; writes docs/attacks.md
	status=0
	$(SUDO) $(BIN)/python -m pytest tests/attack --ignore tests/attack/test_page.py \
	  --attack-results build/attacks.json $(ARGS) || status=$$?
	$(BIN)/python -m tests.attack.page build/attacks.json
	exit $$status

faults: setup ## everything breaks, under traffic, many times over: some ten minutes; writes docs/reliability.md's table anew
	$(SUDO) env FAULTS=long FAULTS_RECORD=docs/reliability.json $(BIN)/python -m pytest --timeout 900 tests/faults \
	  tests/live/test_upgrade.py $(ARGS)
	$(BIN)/python -m tests.faults.page --write

golden: setup ## write the golden files anew; then review the difference like any change
	$(BIN)/python -m pytest --update-golden tests/flows $(ARGS)

fuzz: setup ## thousands of random policies, packets and histories, for a night; failures become golden cases
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest --timeout 0 tests/flows/test_roads.py tests/flows/test_real_roads.py \
	  tests/policy/test_fuzz.py tests/policy/test_passed_over.py tests/analysis tests/kubernetes \
	  tests/apps/test_histories.py tests/apps/test_learning_histories.py tests/apps/test_incremental.py $(ARGS)

upgrade: setup ## from the last commit whose tables had another layout to this one, under traffic; needs git's history
	$(SUDO) $(BIN)/python -m pytest tests/live/upgrade_from_history.py $(ARGS)

bench: PACKAGES += $(BENCH_APT)
bench: setup $(VENV)/.bench-ready ## Portcullis, OVN and a plain bridge side by side: a table; ARGS='--long --json FILE --chart FILE.png'
	$(SUDO) $(BIN)/python -m bench.compare $(ARGS)

$(VENV)/.bench-ready: $(BENCH_REQUIREMENTS) $(VENV)/.ready
	$(PIP) -r $(BENCH_REQUIREMENTS)
	touch $@

bench-flood: setup ## what a flooding guest takes from its neighbours, firewall and plain bridge in turns; ARGS='--allowed'
	$(SUDO) $(BIN)/python -m bench.flood $(ARGS)

bench-analysis: setup ## how long answers about large policies take, and how they grow: a table; ARGS='--json FILE' keeps it
	$(BIN)/python -m bench.analysis $(ARGS)

clean: ## remove caches, and what killed test runs have left in the machine
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name '*.actual' \) -print0 | xargs -0 rm -rf
	if [ -x $(BIN)/python ]; then $(SUDO) $(BIN)/python -m mininet_scenarios.lab.leftovers; fi

distclean: clean ## remove the virtual environment too
	rm -rf $(VENV)

.ONESHELL:
