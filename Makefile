# `make demo` and `make test` need Python 3.9 to 3.11 and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3.10 || command -v python3.9 || echo python3)
VENV ?= .venv
RUN = $(VENV)/bin/python
DEMO = runs/demo

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(RUN) train_main.py --config=configs/demo.py --workdir=$(DEMO)
	$(RUN) eval_main.py --workdir=$(DEMO) --export_dir=$(DEMO)/served

test: $(VENV)/installed
	$(RUN) -m pytest -q

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

clean:
	rm -rf $(VENV) runs

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable .[test]
	touch $@
