# syntax=docker/dockerfile:1
#
#   docker build -t reprompt .                                                          # for CPUs
#   docker build -t reprompt:cuda --build-arg BACKEND=cuda --build-arg CUDA_COMPUTE_CAP=80 .   # for NVIDIA GPUs
#   docker run --rm -p 127.0.0.1:8080:8080 -e REPROMPT_INSECURE=true reprompt
#   docker run --rm -p 127.0.0.1:8080:8080 -e REPROMPT_INSECURE=true --gpus all reprompt:cuda
#
# To serve other machines, use a file of API keys instead of REPROMPT_INSECURE (docs/operating.md):
#   docker run --rm -p 8080:8080 -v "$PWD/api-keys:/run/secrets/api-keys:ro" -e REPROMPT_API_KEYS_FILE=/run/secrets/api-keys reprompt
#
# CUDA_COMPUTE_CAP is the oldest GPU that the image supports: 80 A100, 86 RTX 30, 89 L4 and RTX 40, 90 H100.
# Mount your own model, and a volume for recordings:
#   -v /models/sd15:/model:ro -e REPROMPT_MODEL=/model -v recordings:/var/lib/reprompt -e REPROMPT_RECORDINGS_DIR=/var/lib/reprompt
#
# FEATURES are additional features of the crate, separated by commas.
#
# The root filesystem may be read-only: writes go only to /var/lib/reprompt. deploy/test/files.sh checks this file.
ARG BACKEND=cpu
# Immutable tags. Both images have the same Debian release, because the binary links to its C library.
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-20260824-slim

# -- Build environment of each variant --------------------------------------------------------------------------------
FROM ${RUST_IMAGE} AS build-cpu
ENV BACKEND_FEATURES=""

FROM ${RUST_IMAGE} AS build-cuda
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/cuda-toolkit.sh /opt/
RUN /opt/cuda-toolkit.sh /usr/local/cuda
ARG CUDA_COMPUTE_CAP=80
ENV BACKEND_FEATURES=cuda CUDA_COMPUTE_CAP=$CUDA_COMPUTE_CAP \
    CUDA_HOME=/usr/local/cuda CUDA_PATH=/usr/local/cuda NVCC=/usr/local/cuda/bin/nvcc \
    PATH=/usr/local/cuda/bin:$PATH LIBRARY_PATH=/usr/local/cuda/lib:/usr/local/cuda/lib/stubs

# -- The build --------------------------------------------------------------------------------------------------------
# hadolint ignore=DL3006
FROM build-${BACKEND} AS build
ARG FEATURES=""
ENV CARGO_INCREMENTAL=0
WORKDIR /src
# Only the dependencies, in a layer that is reused until they change. Cargo requires a file for each target of the
# manifest: benches are copied, the others are empty files.
COPY Cargo.toml Cargo.lock ./
COPY benches benches
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' >src/main.rs \
    && cargo build --release --locked --features "$BACKEND_FEATURES,$FEATURES" \
    && rm -r src
COPY models models
COPY web web
COPY src src
COPY build.rs ./
# Cargo rebuilds files that are newer than the empty ones. Copied files keep their old times, so touch them.
ARG REVISION=unknown
RUN touch src/main.rs src/lib.rs && REPROMPT_REVISION="$REVISION" cargo build --release --locked --features "$BACKEND_FEATURES,$FEATURES"

# -- Runtime environment of each variant ------------------------------------------------------------------------------
FROM ${DEBIAN_IMAGE} AS run-cpu

FROM ${DEBIAN_IMAGE} AS run-cuda
# NVIDIA's container toolkit provides the driver and its libcuda.so.1 from the host.
COPY --from=build-cuda /usr/local/cuda/lib/libcublas.so.13 /usr/local/cuda/lib/libcublasLt.so.13 \
    /usr/local/cuda/lib/libcudart.so.13 /usr/local/cuda/lib/libcurand.so.10 \
    /usr/local/cuda/lib/libnvrtc.so.13 /usr/local/cuda/lib/libnvrtc-builtins.so.13.0 /usr/local/cuda/lib/
RUN echo /usr/local/cuda/lib >/etc/ld.so.conf.d/cuda.conf && ldconfig
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

# hadolint ignore=DL3006
FROM run-${BACKEND}
# CA certificates for webhooks. The health check needs only bash.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --no-log-init --uid 10001 --shell /usr/sbin/nologin --home-dir /var/lib/reprompt --no-create-home reprompt \
    && install -d -o reprompt -g reprompt /var/lib/reprompt
COPY --from=build /src/target/release/reprompt /usr/local/bin/
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/reprompt/
COPY deploy/healthy.sh /usr/local/bin/reprompt-healthy
USER 10001:10001
WORKDIR /var/lib/reprompt
# Cache of kernels that the driver compiles.
ENV CUDA_CACHE_PATH=/var/lib/reprompt/.nv \
    REPROMPT_LISTEN=0.0.0.0:8080 REPROMPT_LOG_FORMAT=json
EXPOSE 8080
# A large model takes minutes to load.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 CMD ["reprompt-healthy"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["reprompt"]
# Values that change with each build come last, so that all layers above are cached.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="reprompt" \
    org.opencontainers.image.description="Image editing by editing the prompt: Prompt-to-Prompt on Stable Diffusion, as an HTTP service" \
    org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"
