# syntax=docker/dockerfile:1
#
#   docker build -t reprompt .                                                          # for processors
#   docker build -t reprompt:cuda --build-arg BACKEND=cuda --build-arg CUDA_COMPUTE_CAP=80 .   # for NVIDIA GPUs
#   docker run --rm -p 127.0.0.1:8080:8080 -e REPROMPT_INSECURE=true reprompt
#   docker run --rm -p 127.0.0.1:8080:8080 -e REPROMPT_INSECURE=true --gpus all reprompt:cuda
#
# For others than this machine with a file of API keys in place of REPROMPT_INSECURE (docs/operating.md):
#   docker run --rm -p 8080:8080 -v "$PWD/api-keys:/run/secrets/api-keys:ro" -e REPROMPT_API_KEYS_FILE=/run/secrets/api-keys reprompt
#
# CUDA_COMPUTE_CAP is the oldest GPU that the image is for: 80 for A100, 86 for RTX 30, 89 for L4 and RTX 40, 90 for H100.
# A model of your own and files of recordings are mounted:
#   -v /models/sd15:/model:ro -e REPROMPT_MODEL=/model -v recordings:/var/lib/reprompt -e REPROMPT_RECORDINGS_DIR=/var/lib/reprompt
#
# FEATURES are further features of the crate, with commas between them.
#
# The root may be read-only: nothing is written outside /var/lib/reprompt. deploy/test/files.sh checks this file.
ARG BACKEND=cpu
# Tags that are not moved to other versions; both of one Debian, for the binary is linked with its C library.
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-20260824-slim

# -- What each variant is built with ----------------------------------------------------------------------------------
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
# Dependencies alone, in a layer that stands until they change. The manifest wants a file for each of its targets: benches
# are here, for the rest an empty one will do.
COPY Cargo.toml Cargo.lock ./
COPY benches benches
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' >src/main.rs \
    && cargo build --release --locked --features "$BACKEND_FEATURES,$FEATURES" \
    && rm -r src
COPY models models
COPY web web
COPY src src
# What is newer than the empty files is built; copies have the times of the files that they are of.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --features "$BACKEND_FEATURES,$FEATURES"

# -- What each variant runs on ----------------------------------------------------------------------------------------
FROM ${DEBIAN_IMAGE} AS run-cpu

FROM ${DEBIAN_IMAGE} AS run-cuda
# The driver and its libcuda.so.1 come from the host, by NVIDIA's container toolkit.
COPY --from=build-cuda /usr/local/cuda/lib/libcublas.so.13 /usr/local/cuda/lib/libcublasLt.so.13 \
    /usr/local/cuda/lib/libcudart.so.13 /usr/local/cuda/lib/libcurand.so.10 \
    /usr/local/cuda/lib/libnvrtc.so.13 /usr/local/cuda/lib/libnvrtc-builtins.so.13.0 /usr/local/cuda/lib/
RUN echo /usr/local/cuda/lib >/etc/ld.so.conf.d/cuda.conf && ldconfig
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

# hadolint ignore=DL3006
FROM run-${BACKEND}
# Certificates for webhooks. The health check needs nothing but bash.
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
# Kernels that the driver has compiled are kept here.
ENV CUDA_CACHE_PATH=/var/lib/reprompt/.nv \
    REPROMPT_LISTEN=0.0.0.0:8080 REPROMPT_LOG_FORMAT=json
EXPOSE 8080
# Loading a large model takes a while.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 CMD ["reprompt-healthy"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["reprompt"]
# What changes with each build comes last, so that all above it is found in the cache.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="reprompt" \
    org.opencontainers.image.description="Image editing by editing the prompt: Prompt-to-Prompt on Stable Diffusion, as an HTTP service" \
    org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"
