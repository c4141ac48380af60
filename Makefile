# These commands set everything up on a machine with Python 3.11 to 3.13 and make:
#   make demo   attack the three shipped digit models and print the table
#   make tables measure the papers' tables in miniature, and write docs/results/papers.md
#   make tables-data  measure what there are data and weights for, into the same ledger; then make tables
#   make miniature   train the papers' methods in miniature, and write docs/results/miniature.md (18 minutes of 2 cores)
#   make test   run the linter, the type checker, the import contracts and the tests

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo tables tables-data miniature test check lock clean

demo: $(VENV)/.demo
	$(BIN)/robeval run --suite digits_linf --model natural_digits --model madry_digits --model trades_digits

# What runs/tables has is not computed again. `make tables-data` adds what there are data (ROBEVAL_DATA) and weights
# (ROBEVAL_CACHE) for: a few images of the slow attacks, more of the others, all where a minimum is sought.
TABLE := $(BIN)/robeval table
tables: $(VENV)/.demo
	mkdir -p runs
	$(TABLE) page --run --scale digits --out runs/tables > runs/papers.md
	mv runs/papers.md docs/results/papers.md

tables-data: $(VENV)/.demo
	for table in yang_table1 yang_theorem4_2 tsipras_table5 tsipras_figure5; do $(TABLE) $$table --run --out runs/tables || exit 1; done
	$(TABLE) trades_table6 --run --limit 1000 --out runs/tables
	$(TABLE) trades_table5 --run --limit 100 --out runs/tables
	$(BIN)/robeval run --suite trades_mnist_pgd40 --model trades_mnist --out runs/tables

# What runs/miniature has is not computed again.
miniature: $(VENV)/.demo
	$(BIN)/robeval miniature --out runs/miniature --page docs/results/miniature.md

test: check
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.demo: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.test: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -r requirements-dev.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

# Newest versions that pyproject.toml allows; torch is pinned by hand, since an open range pulls in another build.
lock:
	for kind in "" -dev; do \
		rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock && \
		$(VENV)-lock/bin/pip install --quiet hatchling editables torch==2.13.0 $$([ -z "$$kind" ] && echo . || echo ".[dev]") && \
		{ echo "# Made by 'make lock'."; $(VENV)-lock/bin/pip freeze --exclude robeval | sed 's/+cpu$$//'; } \
			> requirements$$kind.lock || exit 1; \
	done; rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) $(VENV)-lock dist runs trained
