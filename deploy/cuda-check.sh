#!/usr/bin/env bash
# Checks, without a GPU, that the GPU code compiles, computes correctly, passes its lints, links and starts:
#
#   deploy/cuda-check.sh                       # for compute capability 8.0
#   CUDA_COMPUTE_CAP=90 deploy/cuda-check.sh
#   CUDNN=1 deploy/cuda-check.sh               # with the feature cudnn
#
# The first run takes a quarter of an hour on two cores, nearly all of it for candle's own kernels; docs/gpu.md says
# when to run it. Builds in target/cuda, apart from other builds. Debian's gcc and g++ are the host compilers.
set -euo pipefail
cd "$(dirname "$0")/.."

features=cuda
cudnn=()
if [ -n "${CUDNN-}" ]; then
    features=cudnn
    cudnn=(--cudnn)
fi
toolkit=target/cuda-toolkit
eval "$(deploy/cuda-toolkit.sh $toolkit "${cudnn[@]}")"
# Tests load NVRTC at run time, and the stub of the driver.
export LD_LIBRARY_PATH="$PWD/$toolkit/lib:$PWD/$toolkit/lib/stubs"
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP-80} CARGO_TARGET_DIR=target/cuda CARGO_INCREMENTAL=0

kernels=src/kernels/cuda/attention.cu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo "== $kernels: machine code, what a thread has is in registers"
for arch in 75 80 90 120; do
    for element in 0 1 2; do
        for head_dim in 16 40 64 80 160 256; do
            nvcc -cubin "-arch=sm_$arch" -DELEMENT=$element -DHEAD_DIM=$head_dim -Werror all-warnings -Xptxas -v \
                -o "$scratch/kernels.cubin" $kernels >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; exit 1; }
            # A few spilled bytes are fine: they let more threads fit. An array outside registers takes many bytes. No
            # model has heads of 256.
            if [ $head_dim -lt 256 ] && grep -E '([0-9]{3,}|[7-9][0-9]) bytes stack frame' "$scratch/said"; then
                echo "sm_$arch, element $element, $head_dim channels a head: not in registers" >&2
                exit 1
            fi
        done
    done
done

echo "== $kernels: results"
for element in 0 1 2; do
    for head_dim in 7 16 40 80 160 256; do
        g++ -std=c++17 -O1 -g -fsanitize=address,alignment -fno-sanitize-recover=all -Wno-unknown-pragmas \
            -DELEMENT=$element -DHEAD_DIM=$head_dim -o "$scratch/emulation" tests/cuda/emulation.cpp
        "$scratch/emulation" 2>"$scratch/said" || { cat "$scratch/said" >&2; exit 1; }
    done
done

echo "== the crate with the feature $features"
cargo clippy --release --locked --features $features --all-targets -- -D warnings
cargo build --release --locked --features $features
cargo test --release --locked --features $features --lib -- kernels::cuda cli::device config::

echo "== the binary, without a GPU"
said=$("$CARGO_TARGET_DIR/release/reprompt" --device cuda 2>&1 >/dev/null) && status=0 || status=$?
case "$status $said" in
    "1 "*"reprompt: device: unsupported value cuda:0; it cannot be opened: "*) echo "${said##*$'\n'}" ;;
    *) echo "ended with $status: $said" >&2; exit 1 ;;
esac
"$CARGO_TARGET_DIR/release/reprompt" edit --device auto --prompt "a cat" --to "a dog" --steps 1 --output "$scratch/out"
echo "== passed"
