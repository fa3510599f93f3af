# make demo   set up, then run the whole line on a real CT (CT=path, LABELS=path, ARGS="--phantom ..." to change that)
# make test   set up, then every check and every test
SHELL := /bin/bash
VENV := .venv
RUN := $(VENV)/bin
CT ?=
LABELS ?=
ARGS ?=

.PHONY: setup demo test lint bench peers pictures clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml scripts/setup.sh
	bash scripts/setup.sh $(VENV)
	touch $@

demo: setup
	$(RUN)/cryoneuro demo $(if $(CT),--ct "$(CT)") $(if $(LABELS),--labels "$(LABELS)") $(ARGS)

lint: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

test: lint
	$(RUN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20 $(ARGS)

# Programs that the benchmark compares with, in an environment of their own; without them it says so and goes on.
peers: setup
	test -x .venv-peers/bin/python || $(RUN)/python -m venv .venv-peers
	-.venv-peers/bin/python -m pip install --quiet devito

bench: setup peers
	$(RUN)/python benchmarks/straight_line.py
	$(RUN)/python benchmarks/thermal.py
	$(RUN)/python benchmarks/anatomy.py
	$(RUN)/python benchmarks/planning.py
	$(RUN)/python benchmarks/panel.py
	$(RUN)/python benchmarks/live.py
	$(RUN)/python benchmarks/live_accuracy.py

# Every step of the panel beside the views, as docs/pictures/panel-*.png.
pictures: setup
	$(RUN)/python scripts/draw_panel.py

clean:
	rm -rf $(VENV) .venv-peers demo-results build dist .pytest_cache .mypy_cache .ruff_cache
