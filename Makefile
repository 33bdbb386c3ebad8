# One verb a job, the same words in CI. What a verb needs it installs into .venv.

.DEFAULT_GOAL := help
.PHONY: help serve range test check format bench soak requirements clean

help:
	@echo "make serve   the example shop on http://127.0.0.1:8000   [PORT= DATA= WORKERS=]"
	@echo "make test    every test, in two processes                [JOBS=0 ARGS='-k name']"
	@echo "make check   format, lint and types"
	@echo "make format  format, and mend what lint can mend"
	@echo "make bench   what the guard costs, beside others         [ARGS=--quick]"
	@echo "make soak    a million requests: does anything grow?     [ARGS='--requests N']"
	@echo "make range   the shooting range: vulnerable on purpose   [GUARD=off PORT= DATA= KEY=]"
	@echo "make requirements   compile requirements/*.in            [ARGS=--upgrade]"
	@echo "make clean   remove what these made, except data"

# Settings in the environment (RINGFENCE_...) reach what is started: WORKERS=2 or more need
# a store that they share, RINGFENCE_STORE=redis://127.0.0.1:6379/0 say.
serve: PORT ?= 8000
serve: WORKERS ?= 1
serve:
	@tools/venv .venv serve
	@.venv/bin/python tools/port.py "$(PORT)"
	@RINGFENCE_DATA="$(or $(DATA),$${RINGFENCE_DATA:-var})" \
	    exec .venv/bin/ringfence dev examples.shop:app --port "$(PORT)" --workers "$(WORKERS)"

range: GUARD ?= on
range: PORT ?= 8100
range: DATA ?= var/range
range: KEY ?=
range:
	@tools/venv .venv serve
	@.venv/bin/python tools/port.py "$(PORT)"
	@exec .venv/bin/python -m examples.range --guard "$(GUARD)" --port "$(PORT)" \
	    --data "$(DATA)" $(if $(KEY),--key="$(KEY)")

test: JOBS ?= 2
test:
	@tools/venv .venv test
	@.venv/bin/python -m pytest -n "$(JOBS)" --dist loadfile $(ARGS)

check:
	@tools/venv .venv test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/mypy examples tests/typing

format:
	@tools/venv .venv test
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench:
	@tools/venv .venv-bench bench
	@.venv-bench/bin/python -m benchmarks.run --write $(ARGS)

soak:
	@tools/venv .venv-bench bench
	@.venv-bench/bin/python -m benchmarks.soak $(ARGS)

requirements:
	@tools/compile $(ARGS)

clean:
	rm -rf .venv .venv-bench dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
