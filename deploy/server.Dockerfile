# The gRPC front end: `nevus[server]`. No numpy, no OpenCV, no TensorFlow in it.
#
#   docker build --file deploy/server.Dockerfile --tag nevus-server .
#
# The versions and hashes of everything it installs are in deploy/server.lock; deploy/README.md says how it is made.

FROM docker.io/library/python:3.11-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# The dependencies, in an environment without pip: they change seldom, so the large layer is seldom made anew.
FROM base AS dependencies
COPY deploy/server.lock /build/
RUN python -m venv --without-pip /opt/nevus \
    && pip --python /opt/nevus install --require-hashes --no-deps --only-binary=:all: -r /build/server.lock

# Our own code: a wheel, built as for PyPI, in an environment at the same place.
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
LABEL org.opencontainers.image.title="nevus front end" \
      org.opencontainers.image.description="gRPC front end of nevus. NOT FOR CLINICAL USE." \
      org.opencontainers.image.licenses="Apache-2.0"
# A number for USER, so that Kubernetes' runAsNonRoot can check it. Nothing in the image belongs to this user.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin nevus
COPY --from=dependencies /opt/nevus /opt/nevus
# Our code as a small layer of its own, last.
COPY --from=wheel /opt/nevus/lib/ /opt/nevus/lib/
COPY --from=wheel /opt/nevus/bin/nevus /opt/nevus/bin/nevus
# No .pyc is written at run time: the root file system may be read-only. Inside a container every interface is meant.
ENV PATH=/opt/nevus/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NEVUS_LISTEN=0.0.0.0:50051
USER 10001:10001
WORKDIR /tmp
EXPOSE 50051
STOPSIGNAL SIGTERM
# Readiness, not liveness: it also fails while the broker is away or no worker is alive, which no restart of this
# container would mend. Compose restarts nothing because of it; in Kubernetes make it the readiness probe.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-m", "nevus_server.probe"]
ENTRYPOINT ["nevus"]
CMD ["serve"]
