# Everything runs in .venv, made from the pinned, hashed envs/lock.txt.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)

.PHONY: help setup method-nnunet demo test test-faults test-slurm check bench fuzz docs niivue names lock clean

help:  ## Show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

setup: .venv/ready  ## Make .venv; without what only GPUs need, on Linux: make setup TORCH=cpu (see docs/install.md)

PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# PyTorch's wheels for the CPU alone are on an index of its own, which pip is told by the user.
ifeq ($(TORCH),cpu)
INSTALL = awk '/^[a-z0-9]/ {skip = /^(torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z0-9-]*)==/} !skip' envs/lock.txt \
	> .venv/lock.txt && $(PIP) --no-deps --require-hashes -r .venv/lock.txt \
	&& $(PIP) --no-deps $$(sed -nE 's/^(torch|torchvision)==([^ ;]+).*/\1==\2+cpu/p' envs/lock.txt)
else
INSTALL = $(PIP) --require-hashes -r envs/lock.txt
endif

.venv/ready: envs/lock.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(INSTALL)
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

method-nnunet: .venv-nnunet/ready  ## Make .venv-nnunet, in which the external method nnunet runs

# What a method pins as .venv has it is not installed again: a .pth file shows it there.
.venv-%/ready: workflow/methods/%/requirements.txt .venv/ready
	$(BIN)/python -m venv .venv-$*
	site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
		$(BIN)/python -c "$$site" > "$$(.venv-$*/bin/python -c "$$site")/shared.pth"
	.venv-$*/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

demo: setup  ## Run all of the workflow on a small synthetic data set into results/demo/
	$(BIN)/snakemake --cores $(CORES) --configfile presets/demo.yaml
	$(BIN)/snakemake --report results/demo/report.html --configfile presets/demo.yaml
	@printf '\n'
	@grep '^|' results/demo/tables/comparison.md | cut -d '|' -f 1-5,8-
	@printf '\n%s\n' 'Synthetic data: the scores show that the workflow works and say nothing about the models.' \
		'Report:   results/demo/report.html (open it in a browser)' \
		'Figures:  results/demo/figures/' \
		'Tables:   results/demo/tables/' \
		'Masks:    results/demo/predictions/ (NIfTI: open them over their CT in 3D Slicer or ITK-SNAP)'

test: setup  ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-faults: setup  ## Kill the workflow at 28 random moments and fill its disk (as root, for the disk); an hour on two cores
	LESIONBENCH_FAULTS=28 $(BIN)/python -m pytest -s tests/faults

test-slurm: setup  ## Run only the tests of SLURM, on one that they start (as root, with Debian's slurmctld, slurmd, slurm-client, munge)
	$(BIN)/python -m pytest tests/slurm

check: setup  ## Run the linters and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint --configfile presets/demo.yaml

bench: setup  ## Measure speed and memory; with a GPU: make bench BENCH="--device cuda"
	$(BIN)/python -m benchmarks.run $(BENCH)

fuzz: setup  ## Damage files and read them for an hour; for ten minutes: make fuzz FUZZ="--minutes 10"
	$(BIN)/python -m fuzz.run $(FUZZ)

docs: setup  ## Build the documentation as a site into site/
	$(BIN)/python -m docs.make_config
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

niivue:  ## Fetch NiiVue, which draws the pages of the viewer, anew in its pinned version (needs npm)
	workflow/report/viewer/niivue/fetch.sh

names: setup  ## Renew the list of architectures, encoders and options, after a new version of smp or timm
	$(BIN)/python -c "from lesionbench.models import names, networks; names.write_list(networks.installed_names())"

# Trackers of trainings are left out: they bring many packages, and no rule needs them.
LOCKED := capsule completion dicom monai report slurm workflow dev docs

lock:  ## Renew envs/lock.txt from pyproject.toml, and the locks of methods by it (needs uv)
	uv pip compile pyproject.toml $(addprefix --extra ,$(LOCKED)) --universal --generate-hashes \
		--python-version 3.11 --no-header --no-annotate --no-emit-index-url --output-file envs/lock.txt
	grep -oE '^[a-z0-9][^\\]*' envs/lock.txt | grep -v '^timm=' > .constraints.txt  # nnU-Net needs an older timm
	uv pip compile workflow/methods/nnunet/requirements.in --constraint .constraints.txt --universal --generate-hashes \
		--python-version 3.11 --no-header --no-annotate --no-emit-index-url \
		--output-file workflow/methods/nnunet/requirements.txt
	rm .constraints.txt

clean:  ## Remove .venv, the environments of methods, the site and what the demo made
	rm -rf .venv .venv-* site results/demo logs/demo
