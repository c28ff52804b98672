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
ARG BACKEND=cpu

# -- What each variant is built with ----------------------------------------------------------------------------------
FROM rust:1-slim-bookworm AS build-cpu
ENV FEATURES=""

FROM rust:1-slim-bookworm AS build-cuda
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/cuda-toolkit.sh /opt/
RUN /opt/cuda-toolkit.sh /usr/local/cuda
ARG CUDA_COMPUTE_CAP=80
ENV FEATURES="--features cuda" CUDA_COMPUTE_CAP=$CUDA_COMPUTE_CAP \
    CUDA_HOME=/usr/local/cuda CUDA_PATH=/usr/local/cuda NVCC=/usr/local/cuda/bin/nvcc \
    PATH=/usr/local/cuda/bin:$PATH LIBRARY_PATH=/usr/local/cuda/lib:/usr/local/cuda/lib/stubs

# -- The build --------------------------------------------------------------------------------------------------------
FROM build-${BACKEND} AS build
ENV CARGO_INCREMENTAL=0
WORKDIR /src
# Dependencies alone, in a layer that stands until they change; the manifest wants a file for each of its targets.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/compare \
    && echo 'fn main() {}' | tee src/main.rs benches/engine.rs benches/kernels.rs benches/compare/main.rs >/dev/null && touch src/lib.rs \
    && cargo build --release --locked $FEATURES \
    && rm -r src benches
COPY benches benches
COPY models models
COPY web web
COPY src src
RUN touch src/main.rs src/lib.rs && cargo build --release --locked $FEATURES

# -- What each variant runs on ----------------------------------------------------------------------------------------
FROM debian:bookworm-slim AS run-cpu

FROM debian:bookworm-slim AS run-cuda
# The driver and its libcuda.so.1 come from the host, by NVIDIA's container toolkit.
COPY --from=build-cuda /usr/local/cuda/lib/libcublas.so.13 /usr/local/cuda/lib/libcublasLt.so.13 \
    /usr/local/cuda/lib/libcudart.so.13 /usr/local/cuda/lib/libcurand.so.10 \
    /usr/local/cuda/lib/libnvrtc.so.13 /usr/local/cuda/lib/libnvrtc-builtins.so.13.0 /usr/local/cuda/lib/
RUN echo /usr/local/cuda/lib >/etc/ld.so.conf.d/cuda.conf && ldconfig
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM run-${BACKEND}
# Certificates for webhooks, curl for the health check.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/reprompt --create-home reprompt
COPY --from=build /src/target/release/reprompt /usr/local/bin/
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/reprompt/
USER 10001
WORKDIR /var/lib/reprompt
# Kernels that the driver has compiled are kept here.
ENV CUDA_CACHE_PATH=/var/lib/reprompt/.nv \
    REPROMPT_LISTEN=0.0.0.0:8080 REPROMPT_LOG_FORMAT=json
EXPOSE 8080
# Loading a large model takes a while.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 \
    CMD ["curl", "--silent", "--fail", "--output", "/dev/null", "http://127.0.0.1:8080/readyz"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["reprompt"]
