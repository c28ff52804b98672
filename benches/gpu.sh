#!/usr/bin/env bash
# Runs tests and benchmarks on a GPU, on a machine without cargo and without a network:
#
#   benches/gpu.sh pack [FILE]       # on the build machine: packs the binaries, the fixtures and this script
#   tar xJf FILE && reprompt-gpu/benches/gpu.sh run [OUT]          # on the GPU machine
#   MODEL=/models/sd15 SIZE=512 reprompt-gpu/benches/gpu.sh run    # also benchmarks another model
#
# `pack` needs cargo and the toolkit (it calls deploy/cuda-toolkit.sh), and no GPU. CUDA_COMPUTE_CAP is the oldest
# supported GPU (default 80); CUDNN=1 adds the feature cudnn. `run` needs the driver and CUDA 13's libraries: in the
# loader's path, in /usr/local/cuda, or in the wheels of a Python on the PATH (`nvidia-cublas` and others; PyTorch
# includes them).
#
# Writes OUT/gpu.log, the complete output, and OUT/gpu.json, the passed tests and all times. Exits with 1 if a test
# failed. DTYPES and ROUNDS reduce the work. DEVICE selects another device than `cuda`: `cuda:1`, or `cpu` to test the
# script itself.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

pack() {
    local archive=${1-reprompt-gpu.tar.xz} features=cuda cudnn=() folder
    if [ -n "${CUDNN-}" ]; then
        features=cudnn cudnn=(--cudnn)
    fi
    archive=$(realpath -m "$archive")
    cd "$root"
    eval "$(deploy/cuda-toolkit.sh target/cuda-toolkit "${cudnn[@]}")"
    export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP-80} CARGO_TARGET_DIR=target/cuda CARGO_INCREMENTAL=0
    local build=(--release --locked --features "$features")
    cargo build "${build[@]}"
    # Cargo names each executable that it has built in a line of JSON.
    cargo test "${build[@]}" --no-run --lib --test it --bench engine --message-format=json |
        python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable"):
        print(message["target"]["kind"][0], message["executable"])' >target/cuda/executables
    folder=$(mktemp -d)
    mkdir -p "$folder/reprompt-gpu/bin" "$folder/reprompt-gpu/benches" "$folder/reprompt-gpu/tests"
    cp target/cuda/release/reprompt "$folder/reprompt-gpu/bin/reprompt"
    local kind executable
    while read -r kind executable; do
        case "$kind" in
            lib | test | bench) cp "$executable" "$folder/reprompt-gpu/bin/$kind" ;;
        esac
    done <target/cuda/executables
    strip "$folder"/reprompt-gpu/bin/*
    cp benches/gpu.sh "$folder/reprompt-gpu/benches/"
    cp -r tests/fixtures "$folder/reprompt-gpu/tests/"
    git describe --always --dirty >"$folder/reprompt-gpu/version"
    echo "$features, compute capability $CUDA_COMPUTE_CAP" >>"$folder/reprompt-gpu/version"
    # The binaries have the model and candle's kernels in common, some 50 MB each: a dictionary that spans two of them.
    tar -C "$folder" -c reprompt-gpu | xz --threads=1 --lzma2=preset=3,dict=256MiB >"$archive"
    rm -rf "$folder"
    ls -l "$archive"
}

# Lets the loader find CUDA's libraries.
find_libraries() {
    local folders=() folder missing
    for folder in /usr/local/cuda/lib64 /usr/local/cuda/lib; do
        if [ -d "$folder" ]; then folders+=("$folder"); fi
    done
    while read -r folder; do folders+=("$folder"); done < <(python3 - 2>/dev/null <<'END'
import glob, os, sys
for path in sys.path:
    for folder in sorted(glob.glob(os.path.join(path, "nvidia", "*", "lib")), reverse=True):
        print(folder)
END
    )
    export LD_LIBRARY_PATH
    for folder in "${folders[@]}"; do
        LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
    done
    missing=$(ldd "$root/bin/reprompt" | grep 'not found' || true)
    if [ -n "$missing" ]; then
        echo "missing libraries, with LD_LIBRARY_PATH=${LD_LIBRARY_PATH-}:" >&2
        echo "$missing" >&2
        return 1
    fi
}

# The number before a word in the last line of a test executable's output.
count() { sed -n "s/^test result: .* \([0-9]*\) $1.*/\1/p" "$2" | tail -1; }

# Runs the tests of an executable and records the number of passed ones: NAME EXECUTABLE [ARGUMENT...]
tests() {
    local name=$1 executable=$2 said="$out/$1.log" status=0
    shift 2
    echo "== tests: $name"
    "$root/bin/$executable" --test-threads=1 --nocapture "$@" >"$said" 2>&1 || status=$?
    cat "$said"
    local passed failed
    passed=$(count passed "$said") failed=$(count failed "$said")
    if [ "$status" != 0 ] || [ "${passed:-0}" = 0 ]; then all_is_well=false; fi
    results+=("$(printf '"%s": {"passed": %s, "failed": %s, "status": %s}' "$name" "${passed:-0}" "${failed:-0}" "$status")")
}

# Runs a benchmark: NAME [ARGUMENT...]
measure() {
    local name=$1
    shift
    echo "== measured: $name"
    if "$root/bin/bench" --rounds "${ROUNDS-5}" --device "${DEVICE-cuda}" --json "$out/$name.json" "$@"; then
        measured+=("\"$name\": $(cat "$out/$name.json")")
    else
        all_is_well=false
        measured+=("\"$name\": null")
    fi
}

run() {
    out=$(realpath -m "${1-gpu-$(date +%Y%m%d-%H%M%S)}")
    mkdir -p "$out"
    exec > >(tee "$out/gpu.log") 2>&1
    cat "$root/version"
    nvidia-smi || true
    find_libraries
    export CARGO_MANIFEST_DIR=$root REPROMPT_TEST_DEVICE=${DEVICE-cuda} RUST_BACKTRACE=0
    results=() measured=() all_is_well=true

    tests compiler lib kernels::cuda
    local dtype
    for dtype in ${DTYPES-f32 f16 bf16}; do
        export REPROMPT_TEST_DTYPE=$dtype
        tests "device-$dtype" test device::
        tests "golden-$dtype" test golden:: model::the_autoencoder
    done

    echo "== an edit by the binary"
    if ! "$root/bin/reprompt" edit --device "${DEVICE-cuda}" --prompt "a car in the city" --to "a bus in the city" --seed 7 \
        --output "$out/edit"; then
        all_is_well=false
    fi

    for dtype in ${DTYPES-f32 f16 bf16}; do
        measure "embedded-$dtype" --dtype "$dtype"
        if [ -n "${MODEL-}" ]; then
            measure "model-$dtype" --dtype "$dtype" --model "$MODEL" --size "${SIZE-512}" --steps "${STEPS-50}"
        fi
    done

    local gpu
    gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -1 || true)
    {
        printf '{"version": "%s", "gpu": "%s", "all_is_well": %s,\n' "$(head -1 "$root/version")" "$gpu" "$all_is_well"
        printf '"tests": {%s},\n' "$(IFS=,; echo "${results[*]}")"
        printf '"measured": {%s}}\n' "$(IFS=,; echo "${measured[*]}")"
    } >"$out/gpu.json"
    echo "== $out/gpu.json, all is well: $all_is_well"
    $all_is_well
}

case "${1-}" in
    pack | run) "$@" ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
esac
