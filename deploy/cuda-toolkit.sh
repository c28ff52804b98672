#!/usr/bin/env bash
# Assembles the CUDA toolkit for building the feature `cuda`, from NVIDIA's Python wheels:
#
#   deploy/cuda-toolkit.sh DIR            # nvcc, headers, the libraries that the binary links to
#   deploy/cuda-toolkit.sh DIR --cudnn    # and cuDNN, for the feature `cudnn`
#
# and prints the environment to set:  eval "$(deploy/cuda-toolkit.sh DIR)"
#
# Needs python3 with pip, and gcc, which is also nvcc's host compiler; needs neither a GPU nor its driver. Existing
# files are kept. libcuda.so belongs to the driver, so DIR/lib/stubs has a stub for the linker. Each of its functions
# returns "no device" (CUDA_ERROR_NO_DEVICE), so a binary also starts on a machine without a GPU, and finds none.
set -euo pipefail

usage="usage: $0 DIR [--cudnn]"
[ $# -ge 1 ] || { echo "$usage" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift

# All from one release: candle's kernels are compiled with the version that the binary uses at run time.
wheels=(
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-nvrtc==13.0.88
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35
)
case "${1-}" in
    # The version that cudarc supports.
    --cudnn) wheels+=(nvidia-cudnn-cu13==9.21.1.3) ;;
    "") ;;
    *) echo "$usage" >&2; exit 2 ;;
esac

unpack() {
    local wheel=$1 folder
    folder=$(mktemp -d "$dir/.unpack.XXXXXX")
    python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$folder" "$wheel" >&2
    python3 -m zipfile -e "$folder"/*.whl "$folder/content"
    # Since CUDA 13 all wheels share one tree; cuDNN's wheel has its own.
    for tree in "$folder"/content/nvidia/*/; do
        cp -a "$tree." "$dir/"
    done
    rm -rf "$folder"
}

stub() {
    # Every name in the driver's header that could be a function. Superfluous names are harmless, and cudarc is not
    # needed.
    local source
    source=$(mktemp -d "$dir/.stub.XXXXXX")
    {
        echo 'int cuGetErrorString(int error, const char **text)'
        echo '{ (void)error; *text = "no driver: the linker'"'"'s stub of libcuda.so was loaded"; return 0; }'
        grep -oE '\bcu[A-Z][A-Za-z0-9_]*' "$dir/include/cuda.h" | grep -vx cuGetErrorString | sort -u |
            sed 's/.*/int &(void) { return 100; }/'
    } >"$source/stub.c"
    mkdir -p "$dir/lib/stubs"
    cc -shared -fPIC -w -O1 -Wl,-soname,libcuda.so.1 -o "$dir/lib/stubs/libcuda.so" "$source/stub.c"
    ln -sf libcuda.so "$dir/lib/stubs/libcuda.so.1"
    rm -rf "$source"
}

rm -rf "$dir"/.unpack.* "$dir"/.stub.*
mkdir -p "$dir/.installed"
for wheel in "${wheels[@]}"; do
    if [ ! -e "$dir/.installed/$wheel" ]; then
        echo "$wheel" >&2
        unpack "$wheel"
        touch "$dir/.installed/$wheel"
    fi
done
# Python's zipfile does not restore permissions.
chmod -R u+rwX,go+rX "$dir/bin" "$dir/nvvm"
find "$dir/bin" "$dir/nvvm/bin" -type f -exec chmod 755 {} +
# The linker looks for file names without a version.
for library in "$dir"/lib/*.so.*; do
    ln -sf "$(basename "$library")" "${library%%.so.*}.so"
done
[ -e "$dir/lib64" ] || ln -s lib "$dir/lib64"
[ -e "$dir/lib/stubs/libcuda.so.1" ] || stub

cat <<END
export CUDA_HOME='$dir' CUDA_PATH='$dir' NVCC='$dir/bin/nvcc'
export PATH='$dir/bin':"\$PATH"
export LIBRARY_PATH='$dir/lib:$dir/lib/stubs'"\${LIBRARY_PATH:+:\$LIBRARY_PATH}"
END
