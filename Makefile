# `make demo` needs Python 3.10 or 3.11 and nothing else, `make test` also g++.
PYTHON ?= $(shell for p in python3.11 python3.10 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
RUN = $(VENV)/bin/python
DEMO = runs/demo
export PYTHONDONTWRITEBYTECODE =# or every process would compile TensorFlow anew, which takes 10 seconds

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(RUN) train_main.py --config=configs/demo.py --workdir=$(DEMO)
	rm -rf $(DEMO)/served
	$(RUN) eval_main.py --workdir=$(DEMO) --export_dir=$(DEMO)/served

test: $(VENV)/installed
	$(RUN) -m pytest -q --numprocesses=2 --dist=loadfile --no-loadscope-reorder

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) runs

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --no-compile --editable .[test]
	touch $@
