# What a developer types. Everything lives in .venv; `make install` does nothing when nothing changed.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SEEDS ?= 1000
DEMO_BUCKET ?= $(CURDIR)/demo-bucket
ENGINE ?= docker
IMAGE ?= watcher
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: help install run test simulate e2e parts lint bench bench-check docs alerts image lock clean
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make install  .venv with the program and its tools
install: $(INSTALLED)
$(INSTALLED): requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer needed: make PYTHON=…")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

## make run      back up the current cluster, or a simulated one, into demo-bucket/
run: install
	@if cat $$(echo "$${KUBECONFIG:-$$HOME/.kube/config}" | tr : ' ') 2>/dev/null \
			| grep -Eq '^current-context: *"?[^" ]'; then \
		echo "Backing up the current context of your kubeconfig. Ctrl-C ends it. Look at"; \
		echo "  $(DEMO_BUCKET)/example.com/my-cluster"; \
		echo "  http://127.0.0.1:8080/metrics"; \
		mkdir -p "$(DEMO_BUCKET)" && exec $(BIN)/watcher run --cluster-domain example.com \
			--cluster-name my-cluster --minio-bucket "file://$(DEMO_BUCKET)"; \
	else \
		echo "No kubeconfig with a current context: here is a simulated cluster."; \
		exec $(BIN)/python -m bench.demo --bucket "$(DEMO_BUCKET)"; \
	fi

## make test     the fast tests: no network, no real parts
test: install
	$(BIN)/python -m pytest -q -m "not e2e" --ignore=tests/e2e -n logical

## make simulate the simulation by hand; SEEDS=100000
simulate: install
	PYTHONHASHSEED=0 $(BIN)/python -m tests.simulation --seeds $(SEEDS)

## make e2e      the tests on a real API server and a real MinIO, built on first use (needs Go)
e2e: parts
	$(BIN)/python -m pytest -q -m e2e

## make parts    build those real parts
parts: install
	$(BIN)/python -m tests.e2e.parts.build

## make lint     style, types and which module may import which
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## make bench    how fast, how big, beside what (10 minutes); ARGS="--help" for more
bench: parts
	$(BIN)/python -m bench $(ARGS)

## make bench-check  the short form, held to its floors: ratios and counts
bench-check: parts
	$(BIN)/python -m bench --short --check $(ARGS)

## make docs     docs/settings.md from the table of settings
docs: install
	$(BIN)/watcher settings --output markdown > docs/settings.md

## make alerts   the operator's PrometheusRule from manifests/monitoring/alerts.yaml
alerts:
	cd manifests/monitoring && { sed '/^spec:/q' prometheusrule.yaml; sed 's/^./  &/' alerts.yaml; } \
		> .new && mv .new prometheusrule.yaml

## make image    watcher:VERSION (alpine) and watcher:VERSION-ubi9, and for git-sync watcher-git with
##               the same tags, for this machine; with PUSH=1 IMAGE=registry.company.com/watcher
##               for amd64 and arm64, with SBOM and provenance
image:
	version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) && \
	for target in alpine ubi9 alpine-git ubi9-git; do \
		case $$target in *-git) name=$(IMAGE)-git;; *) name=$(IMAGE);; esac; \
		case $$target in ubi9*) tag=$$version-ubi9;; *) tag=$$version;; esac; \
		$(ENGINE) buildx build --target $$target --tag $$name:$$tag \
			--build-arg VERSION=$$version --build-arg REVISION=$$(git rev-parse HEAD) \
			$(if $(PUSH),--platform=linux/amd64 --platform=linux/arm64 --sbom=true --provenance=mode=max --push,--load) \
			. || exit; \
	done

## make lock     pin the newest versions, with hashes
lock: install
	$(LOCK) --upgrade --output-file requirements.txt
	$(LOCK) --upgrade --group dev --constraint requirements.txt --output-file requirements-dev.txt

## make clean    remove what make made here
clean:
	rm -rf .venv build dist *.egg-info bench/out demo-bucket
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
