# The workflow with the packages of envs/lock.txt. Build: docker build --tag lesionbench .
# Run, with data, configuration and results in the working directory of the host:
#   docker run --rm --gpus all --shm-size 2g --user "$(id -u):$(id -g)" --volume "$PWD:/work" lesionbench --cores 8 --resources gpu=1
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/lesionbench
COPY envs/lock.txt envs/lock.txt
RUN pip install --no-cache-dir --require-hashes --requirement envs/lock.txt

COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && git config --system --add safe.directory /opt/lesionbench

# Users without an entry in /etc/passwd have no home of their own.
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /work
ENTRYPOINT ["snakemake", "--snakefile", "/opt/lesionbench/workflow/Snakefile", "--workflow-profile", "/opt/lesionbench/profiles/default"]
