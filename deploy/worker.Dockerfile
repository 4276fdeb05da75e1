# A worker process: `nevus[worker]` and the model repository.
#
#   docker build --file deploy/worker.Dockerfile --tag nevus-worker .
#   docker build --file deploy/worker.Dockerfile --tag nevus-worker-gpu --build-arg LOCK=worker-gpu .
#
# LOCK names the file deploy/<LOCK>.lock with the versions and hashes of everything that is installed: `worker` is for
# CPUs; `worker-gpu` (Linux on x86-64 only) brings TensorFlow with its CUDA libraries, some gigabytes of them, and needs
# of the host no more than the driver and the NVIDIA container toolkit. deploy/README.md says how they are made.
ARG LOCK=worker

FROM docker.io/library/python:3.11-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# The dependencies, in an environment without pip: they change seldom, so the large layer is seldom made anew.
FROM base AS dependencies
ARG LOCK
COPY deploy/${LOCK}.lock /build/
RUN python -m venv --without-pip /opt/nevus \
    && pip --python /opt/nevus install --require-hashes --no-deps --only-binary=:all: -r /build/${LOCK}.lock

# Our own code: a wheel, built as for PyPI, in an environment at the same place. The same steps as in
# server.Dockerfile, so that they are done once for both.
FROM base AS wheel
COPY deploy/build.lock /build/
RUN pip install --require-hashes --no-deps --only-binary=:all: -r /build/build.lock
WORKDIR /src
COPY LICENSE README.md pyproject.toml ./
COPY clients clients
COPY core core
COPY server server
COPY workers workers
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
    && python -m venv --without-pip /opt/nevus \
    && pip --python /opt/nevus install --no-deps --no-index /dist/nevus-*.whl

FROM base
LABEL org.opencontainers.image.title="nevus worker" \
      org.opencontainers.image.description="Worker of nevus, with its models. NOT FOR CLINICAL USE." \
      org.opencontainers.image.licenses="Apache-2.0"
# A number for USER, so that Kubernetes' runAsNonRoot can check it. Nothing in the image belongs to this user.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin nevus
COPY --from=dependencies /opt/nevus /opt/nevus
COPY models /models
# Our code as a small layer of its own, last.
COPY --from=wheel /opt/nevus/lib/ /opt/nevus/lib/
COPY --from=wheel /opt/nevus/bin/nevus /opt/nevus/bin/nevus
# No .pyc is written at run time: the root file system may be read-only. Keras keeps its settings file under KERAS_HOME.
ENV PATH=/opt/nevus/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    KERAS_HOME=/tmp/keras \
    TF_CPP_MIN_LOG_LEVEL=2 \
    NEVUS_MODELS=/models
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
# Healthy once the models are loaded and warmed, and for as long as the heartbeat reaches the broker.
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 CMD ["python", "-m", "nevus_workers.probe"]
ENTRYPOINT ["nevus"]
CMD ["work"]
