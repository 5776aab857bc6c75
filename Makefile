# drydock. `make` alone lists what there is; everything works from a fresh clone with make and Python.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

REQUEST ?= examples/vina/run.json
DIRECTORY ?= .drydock
ARGS ?=
# make chaos: how long the storm; without a SEED each is another.
SECONDS ?= 180
# make simulate: how many histories, from which seed on.
SEEDS ?= 3000
FIRST ?= 0
# Tests that run at once: most wait for processes, and each has its own S3 and its own folders.
TESTS_AT_ONCE ?= 2

python := .venv/bin/python
sam := .venv-sam/bin/sam
checked := src functions worker local cli tests benchmarks

export PYTHONPATH := src:.
# Its own directory unless another is given: what make run has settled would not be done again.
run_containers = $(if $(filter file,$(origin DIRECTORY)),.drydock/containers,$(DIRECTORY))
# What make group takes, from its command line alone.
of_a_group := NAME BUCKET IMAGES WORKER_IMAGE SECRETS KMS_KEY EMAIL BUDGET MAX_VCPUS PARAMETERS PRINT
# The SAM CLI wants a Region even where it calls nobody.
sam_environment := SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-west-2}

.PHONY: help run tools history test lint secure types validate build local-aws sam-local run-containers bench bench-more simulate mutate exhaust scale scale-plot chaos privileges prove wheel image group jobdef push test-containers test-clients test-report schema parameters costs permissions lock clean \
	environment environment-test environment-lint environment-sam environment-plot environment-snakemake environment-checkov environment-report environment-awscli environment-wheel

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: environment ## dock the sample on the embedded AWS; REQUEST=path/to/run.json docks yours
	@$(python) -m local run --request "$(REQUEST)" --directory "$(DIRECTORY)" $(ARGS)

tools: environment ## also install OpenMM, RDKit and Meeko, for the requests that need them
	@sh scripts/environment .venv tools

history: environment ## what the last run's state machine did, step by step
	@$(python) -m local history --directory "$(DIRECTORY)" $(ARGS)

test: environment-test ## all tests; ARGS="-k name" picks some
	@$(python) -m pytest --numprocesses $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: environment-lint ## ruff and cfn-lint; the state machine's definition too
	@$(python) -m ruff check $(checked)
	@$(python) -m ruff format --check $(checked)
	@.venv/bin/cfn-lint template.yaml examples/dock_then_md/template.yaml
	@for machine in statemachine/run.asl.yaml examples/dock_then_md/chain.asl.yaml; do \
		$(python) scripts/wrap_definition.py $$machine | .venv/bin/cfn-lint || exit 1; \
	done
	@sed 's/Type: Choice/Type: Chance/' statemachine/run.asl.yaml | $(python) scripts/wrap_definition.py /dev/stdin | .venv/bin/cfn-lint | grep E3601 >/dev/null || \
		{ echo "cfn-lint finds nothing in a definition with a mistake in it: it does not look any more"; exit 1; }

# Batch asks no container for its health, and the bases have their tags in arguments, into which checkov does not look.
secure: environment-checkov ## checkov over template and Dockerfiles; what it asks for and is not done says why, beside the resource
	@.venv-checkov/bin/checkov --file template.yaml worker/Dockerfile* --framework cloudformation dockerfile \
		--skip-check CKV_DOCKER_2,CKV_DOCKER_7 --compact --quiet --skip-download

types: environment-lint ## mypy --strict
	@$(python) -m mypy

validate: environment-sam ## sam validate --lint
	@$(sam_environment) $(sam) validate --lint

build: environment-sam ## sam build, with plain pip and python3.13; fails when a package is too large
	@folder=$$(sh scripts/find-python3.13) && PATH="$$folder:$$PATH" $(sam_environment) $(sam) build
	@.venv-sam/bin/python benchmarks/packages.py --check

local-aws: environment ## the embedded AWS in the foreground, for sam local invoke: docs/sam_local.md (needs Docker)
	@$(python) -m local serve $(ARGS)

sam-local: environment-test build ## every function with every file of events/ by sam local invoke, and their cold starts (needs Docker)
	@sh scripts/sam-local $(ARGS)

run-containers: environment build ## make run with the functions in Lambda's image and the jobs in the worker's (needs Docker)
	@sh scripts/image
	@$(python) -m local run --request "$(REQUEST)" --directory "$(run_containers)" --containers drydock-worker $(ARGS)

bench: environment-test ## ours beside others' ideas, in one table with what is aimed at: ten minutes
	@$(python) benchmarks/figures.py $(ARGS)

bench-more: environment-test ## the other figures of benchmarks/README.md
	@for name in slicing outdock poses vina s3_session batch_children; do \
		echo "== benchmarks/$$name.py"; $(python) benchmarks/$$name.py || exit 1; \
	done

simulate: environment-test ## histories in virtual time, each from a seed; SEEDS=100000 for many, ARGS="--replay SEED" for one
	@$(python) -m tests.simulation --seeds "$(FIRST):$$(($(FIRST) + $(SEEDS)))" $(ARGS)

mutate: environment-test ## each safety taken out: which history notices; ARGS="lease" for one, ARGS="--record" for the docs
	@$(python) -m tests.simulation.mutate $(ARGS)

exhaust: environment-test ## every interleaving of small scenes, with crashes and lost answers; FAULTS=2, ARGS='"two rounds"' for one
	@$(python) -m tests.simulation.exhaustion $(if $(FAULTS),--faults "$(FAULTS)") $(ARGS)

scale: environment-test ## what a million inputs ask of AWS, in virtual time; INPUTS as you like, ARGS="--pack 100" for packs
	@$(python) -m tests.simulation.scale --inputs "$(or $(INPUTS),1000000)" $(ARGS)

scale-plot: environment-test environment-plot ## draw docs/scale.svg from docs/scale.json; COUNT=1 also counts that anew (half an hour)
	@if [ -n "$(COUNT)" ]; then $(python) -m tests.costs.sizes $(ARGS) > docs/scale.new && mv docs/scale.new docs/scale.json; fi
	@$(python) -m scripts.scale
	@.venv-plot/bin/python -m scripts.scale_plot

chaos: environment-test ## a run under kills, faults and reclaims; SEED, INPUTS and SECONDS as you like
	@$(python) -m tests.chaos --inputs "$(or $(INPUTS),300)" --seconds "$(SECONDS)" $(if $(SEED),--seed "$(SEED)")

privileges: environment-test ## what each role may do and which run showed it; ARGS=--write keeps it in docs/privileges.md
	@$(python) -m tests.least_privilege $(ARGS)

prove: lint secure types validate build test test-containers sam-local test-report test-clients simulate mutate exhaust scale chaos ## what the gate runs, and every proof that takes longer (an hour or two)

wheel: environment-wheel ## the worker as a wheel in dist/, for images that are made elsewhere
	@rm -f dist/*.whl
	@.venv-wheel/bin/python -m hatchling build -t wheel

image: ## the worker's image; FROM=<image> wraps one of yours, DOCK=<image> takes dock64 out of yours
	@FROM="$(FROM)" DOCK="$(DOCK)" DOCK64="$(DOCK64)" TAG="$(TAG)" sh scripts/image $(ARGS)

group: export DRYDOCK_GIVEN = $(foreach each,$(of_a_group),$(if $(filter command,$(origin $(each))),$(each)))
group: environment ## deploy a group's own stack: NAME=doe-j BUCKET=its-bucket, and what docs/groups.md lists; PRINT=1 only says how
	@$(python) -m cli.group

jobdef: export DRYDOCK_GROUP = $(if $(filter command,$(origin GROUP)),$(GROUP))
jobdef: environment ## print a job definition to edit, for jobs by hand: make --silent jobdef GROUP=doe-j > jobdef.json
	@$(python) -m cli jobdef

push: environment ## push that image to the stack's repository and print the URI of its digest; REPOSITORY, TAG, IMAGE, LOGIN: docs/images.md
	@$(python) scripts/push.py --image "$(IMAGE)" --repository "$(REPOSITORY)" --tag "$(TAG)" --login "$(LOGIN)"

test-containers: environment-test environment-snakemake ## the tools in their containers, against the embedded AWS (needs Docker)
	@sh scripts/test-containers $(ARGS)

test-report: environment-report ## a run's page in a browser without a window (needs Chromium)
	@sh scripts/test-report $(ARGS)

test-clients: environment-test environment-awscli ## every command of docs/submitting.md and docs/monitoring.md, by the AWS CLI and boto3
	@$(python) -m pytest tests/clients $(ARGS)

snakemake: environment-test environment-snakemake ## what Snakemake's executors make of what a workflow says: the table of examples/snakemake (minutes; needs PyPI)
	@$(python) -m tests.snakemake

schema: environment ## write docs/request.schema.json from the request's model
	@$(python) -m local schema > docs/request.schema.json

parameters: environment-test ## write docs/parameters.md, and what docs/deploying.md lists, from template.yaml
	@$(python) scripts/parameters.py

costs: environment-test ## write docs/costs.md from docs/prices.yaml; COUNT=1 also counts anew what is paid for (ten minutes)
	@if [ -n "$(COUNT)" ]; then $(python) -m tests.costs.counting > docs/counts.new && mv docs/counts.new docs/counts.json; fi
	@$(python) scripts/costs.py > docs/costs.md

permissions: environment-lint ## write what CloudFormation calls for the template's types, which docs/deployer-policy.json must allow
	@$(python) scripts/handler_permissions.py > tests/deployer/handlers.json

lock: ## pin the newest packages that requirements/*.in allow (needs uv)
	@sh scripts/lock

clean: ## remove what the targets above made, but the runs' data in .drydock
	rm -rf .venv .venv-* .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

environment:
	@sh scripts/environment .venv run

environment-test:
	@sh scripts/environment .venv test tools run

environment-lint:
	@sh scripts/environment .venv lint test tools run

environment-sam:
	@sh scripts/environment .venv-sam sam

environment-plot:
	@sh scripts/environment .venv-plot plot

environment-snakemake:
	@sh scripts/environment .venv-snakemake snakemake

environment-checkov:
	@sh scripts/environment .venv-checkov checkov

environment-report:
	@sh scripts/environment .venv-report report

environment-awscli:
	@sh scripts/environment .venv-awscli awscli

environment-wheel:
	@sh scripts/environment .venv-wheel build
