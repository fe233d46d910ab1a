# medtui in a container.
#
#   docker build --tag medtui .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD/dataset:/app/dataset" -v "$PWD/outputs:/app/outputs" medtui \
#       --dataset bloodmnist
#
# A first argument that begins with `-`, or none, means `medtui run`; anything else is a command: `medtui runs`, `show last`.
# Make both folders before the first run: what Docker makes for a missing one belongs to root. A data set that is missing from
# dataset/ is fetched into it; `-e MEDTUI_OFFLINE=1` forbids that. A writable folder mounted on
# /var/cache/medtui keeps decoded data and ImageNet weights from one container to the next.
#
# `docker stop` aborts the run with a checkpoint (exit code 7). It kills after ten seconds, which a slow batch and its
# checkpoint may exceed: give it more, `docker stop --time 60`.
#
# Build arguments:
#   TORCH_INDEX                   package index for torch and torchvision, as PyTorch's installation page names it: the one
#                                 of its CPU builds, or of a CUDA version. Empty: what the default index has, which is
#                                 a CUDA build on x86-64. Run a CUDA image with `--gpus all`.
#   DOCKER_REPRODUCIBILITY_MODE   TRUE makes every run strict; the same at run time: `-e DOCKER_REPRODUCIBILITY_MODE=TRUE`.

# ---- the wheel -------------------------------------------------------------------------------------------------------
FROM python:3.12-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY medtui medtui
COPY recipes recipes
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

# ---- the environment: torch first, which changes least -----------------------------------------------------------------
FROM python:3.12-slim AS environment
ARG TORCH_INDEX=""
RUN python -m venv /opt/medtui
RUN /opt/medtui/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.9" "torchvision>=0.24"
COPY --from=wheel /wheel /wheel
RUN /opt/medtui/bin/pip install --no-cache-dir /wheel/*.whl
COPY docker/entrypoint.sh /opt/medtui/bin/entrypoint
RUN chmod 0755 /opt/medtui/bin/entrypoint

# ---- what runs: no compiler, no package manager's caches, no root ----------------------------------------------------
FROM python:3.12-slim
COPY --from=environment /opt/medtui /opt/medtui

# `-u` may give any user, who has no entry in /etc/passwd: these folders can be written by all.
RUN install -d -m 1777 /app/dataset /app/outputs /home/medtui /var/cache/medtui

ARG DOCKER_REPRODUCIBILITY_MODE=FALSE
ENV PATH=/opt/medtui/bin:/usr/local/bin:/usr/bin:/bin \
    IN_DOCKER=TRUE \
    DOCKER_REPRODUCIBILITY_MODE=${DOCKER_REPRODUCIBILITY_MODE} \
    PYTHONHASHSEED=42 \
    CUBLAS_WORKSPACE_CONFIG=:4096:8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/home/medtui \
    XDG_CACHE_HOME=/var/cache/medtui \
    XDG_CONFIG_HOME=/home/medtui/.config \
    MEDTUI_CACHE=/var/cache/medtui/data \
    MEDTUI_DATA=/app/dataset \
    TORCH_HOME=/var/cache/medtui/torch \
    TORCHINDUCTOR_CACHE_DIR=/var/cache/medtui/inductor \
    MPLCONFIGDIR=/var/cache/medtui/matplotlib

WORKDIR /app
VOLUME ["/app/dataset", "/app/outputs"]
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/medtui/bin/entrypoint"]
