# Two commands: `make demo` and `make test`. Both make the environment first and reuse it afterwards.
PYTHON ?= python3
RUN := .venv/bin/python -m
# Test files that run at a time. What is marked `alone` runs by itself afterwards.
JOBS ?= 2

# What needs neither an engine nor special hardware, without the files that take long together.
UNIT := not engine and not slow and not gpu and not cluster and not browser

.DEFAULT_GOAL := help
.PHONY: help env demo test check lint unit docs chart cluster images compatibility families media lock clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

env: ## Make .venv over the shared environment (first time: minutes and 4 GB; then a second)
	@PYTHONPATH=core $(PYTHON) -m freehold.core.environment --venv .venv

demo: env ## A model answers a question behind an OpenAI API; KEEP=1 leaves it serving
	@.venv/bin/freehold demo $(if $(KEEP),--keep)

test: lint ## Lint, types and the whole suite, the real engine included; JOBS=1 for one file at a time
	@ended=0; \
	$(RUN) pytest -n $(JOBS) -m "not alone" || ended=$$?; \
	$(RUN) pytest -m alone || ended=$$?; \
	exit $$ended

check: lint unit ## Lint, types and unit tests: under three minutes

lint: env
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

unit: env
	@$(RUN) pytest -n $(JOBS) -m "$(UNIT)"

docs: env ## Write the generated pages anew
	@$(RUN) freehold.core.cli.reference docs/reference/commands.md
	@$(RUN) freehold.serve.config_reference docs/configuration.md
	@$(RUN) freehold.serve.openapi_reference docs/reference/openapi.json
	@$(RUN) freehold.quantize.methods.reference docs/quantization.md
	@$(RUN) freehold.core.manifest.schema manifests/model.schema.json
	@$(RUN) freehold.core.policy.schema manifests/policy.schema.json
	@$(RUN) freehold.core.manifest.reference docs/models.md
	@$(RUN) freehold.core.plan.counting manifests/sizes.json

chart: env ## Write anew what is made of the chart: its schema, its README and manifests/kubernetes
	@.venv/bin/freehold deploy schema > helm/freehold/values.schema.json.new
	@mv helm/freehold/values.schema.json.new helm/freehold/values.schema.json
	@WRITE_PAGE=1 $(RUN) pytest -q tests/helm/test_readme.py tests/helm/test_manifests.py

cluster: env ## Install the chart into the cluster of the current context, ask it, upgrade, roll back, uninstall
	@.venv/bin/python -m tests.cluster

images: ## Build the container images; BUILDER=podman or buildah
	@for image in toolkit jobs ray; do \
	  $(or $(BUILDER),docker) build -f helm/images/$$image/Dockerfile -t freehold-$$image . || exit 1; \
	done

compatibility: env ## Send every request of the compatibility matrix to a real engine; write docs/compatibility.md
	@WRITE_PAGE=1 $(RUN) pytest tests/e2e/compatibility

families: env ## Take a tiny model of every family through every step; write docs/families.md; GPU=1 insists on a GPU
	@$(if $(GPU),nvidia-smi -L,true)
	@WRITE_PAGE=1 $(RUN) pytest tests/e2e/families

media: env ## Ask tiny models for images and sound behind a real gateway; write docs/media.md; GPU=1 insists on a GPU
	@$(if $(GPU),nvidia-smi -L,true)
	@WRITE_PAGE=1 $(RUN) pytest tests/e2e/media

lock: env ## Write the locks anew from pyproject.toml; UPGRADE=1 takes the newest versions
	@$(RUN) freehold.core.environment.relock $(if $(UPGRADE),--upgrade)

clean: ## Remove .venv and caches of this clone; the shared environment stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
