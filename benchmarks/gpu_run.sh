#!/bin/sh
# Everything that needs a GPU, in one command, for a later run:
#
#     sh benchmarks/gpu_run.sh [FOLDER]          (default benchmarks/results/cuda)
#
# Tests, compute-sanitizer over the quick ones, the benchmark, and Burda's IWAE on a shortened schedule. It goes on
# after a failure, and exits 1 if there was one, 2 without a GPU. The figures and the machine's description are
# written to FOLDER, and the log is added to what it has there.
#
# It needs Python 3.11 or later with numpy, scipy, numba, llvmlite and pytest, a CUDA toolkit (libnvvm, libdevice and
# libcudart) that the driver is not too old for, and for the comparison PyTorch, whose torch.compile needs a C
# compiler. Without a network, what is missing can be brought as wheels of that machine's Python:
#
#     pip download --only-binary=:all: --no-deps --python-version 3.12 --platform manylinux_2_28_x86_64 \
#         --platform manylinux_2_27_x86_64 --platform manylinux2014_x86_64 -d WHEELS \
#         numba==0.68.1 llvmlite==0.50.0 pytest iniconfig pluggy packaging pygments
#     for w in WHEELS/*.whl; do unzip -q -d SITE "$w"; done
#
# They are 62 MiB; SITE without numba/tests and numba/cuda/tests is some 42 as a tar.xz.
#
#   SITE       a folder of wheels unpacked like this
#   CUDA_HOME  the toolkit, where Numba does not find one by itself
#   MNIST      a folder with train-images-idx3-ubyte.gz and t10k-images-idx3-ubyte.gz; without it Burda is left out
#   EPOCHS     of Burda's 3280 (default 100)
#   PARTS      of "tests sanitizer benchmark burda" (default all), for machines that are lent in short pieces: each
#              is meant to take less than ten minutes
set -u
here=$PWD
cd "$(dirname "$0")/.." || exit 1
results=${1:-benchmarks/results/cuda}
case ${1:-/} in /*) ;; *) results=$here/$1 ;; esac
python=${PYTHON:-python3}
mkdir -p "$results" || exit 1
failed=0
export PYTHONPATH="${SITE:+$SITE:}$PWD${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-${TMPDIR:-/tmp}/vbref-numba-cache}"
unset NUMBA_ENABLE_CUDASIM NUMBA_FORCE_CUDA_CC

# Where Numba does not find a toolkit by itself, nvcc or a wheel that PyTorch brought may know where one is.
finds='import sys; from numba.cuda.cudadrv import libs, nvvm; libs.open_libdevice(); sys.exit(not nvvm.NVVM().supported_ccs)'
wheels='import glob, sys; print(*(p[:-5] for s in sys.path for p in glob.glob(s + "/nvidia/*/nvvm")))'
if ! "$python" -c "$finds" 2>/dev/null; then
    nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
    for home in "$(dirname "$(dirname "$(readlink -f "$nvcc")")")" /usr/local/cuda /usr/local/cuda-* $("$python" -c "$wheels"); do
        # A wheel has its libraries in lib, where Numba looks in lib64.
        if [ ! -e "$home/lib64" ] && [ -d "$home/lib" ]; then
            linked=$(mktemp -d)
            ln -s "$home"/* "$linked" && ln -s "$home/lib" "$linked/lib64" && home=$linked
        fi
        if CUDA_HOME=$home "$python" -c "$finds" 2>/dev/null; then
            export CUDA_HOME="$home"
            break
        fi
    done
fi

note() { printf '\n== %s\n' "$*" | tee -a "$results/log.txt"; }
try() {
    note "$*"
    # Through a pipe, so that a run that is cut short leaves what it said; the status goes around it.
    { "$@" 2>&1; echo $? >"$results/.status"; } | tee -a "$results/log.txt"
    code=$(cat "$results/.status")
    rm -f "$results/.status"
    [ $code -eq 0 ] || { failed=1; note "exit $code"; }
}

note "$(date -u '+%Y-%m-%d %H:%M UTC'), CUDA_HOME=${CUDA_HOME:-not set}"
"$python" -c 'from vbref.cuda import device; device.require()' >>"$results/log.txt" 2>&1 || {
    tail -n 1 "$results/log.txt"
    exit 2
}
try nvidia-smi
try "$python" -c 'import numba, numpy, platform; from numba import cuda; print(platform.python_version(), numba.__version__, numpy.__version__, getattr(cuda, "implementation", "unknown"))'
# Without the conftest files, which need hypothesis, and without xdist's options.
pytest="-m pytest -o addopts= --noconftest -W default -p no:cacheprovider -q -rs -m gpu tests/cuda/test_gpu.py"

tests() {
    # shellcheck disable=SC2086
    try "$python" $pytest
}

sanitizer() {
    sanitizer=$(command -v compute-sanitizer || ls "${CUDA_HOME:-/usr/local/cuda}"/bin/compute-sanitizer 2>/dev/null)
    if [ -z "$sanitizer" ]; then
        note "no compute-sanitizer here: kernels were not checked by it"
        failed=1
        return
    fi
    # Numba asks the driver whether there is a context by calls that may fail: these are no errors of a kernel.
    for tool in "memcheck --report-api-errors no" racecheck; do
        # shellcheck disable=SC2086
        try timeout 280 "$sanitizer" --tool $tool --error-exitcode 9 "$python" $pytest \
            -k "draws or (multivariate and 7) or (mixture and full) or objective or (importance and float64) or graph"
    done
}

benchmark() {
    try "$python" -m benchmarks.cuda --json "$results/cuda.json"
}

burda() {
    if [ -z "${MNIST:-}" ]; then
        note "MNIST is not set: Burda's IWAE was left out"
        return
    fi
    try "$python" -m benchmarks.burda --train "$MNIST/train-images-idx3-ubyte.gz" \
        --test "$MNIST/t10k-images-idx3-ubyte.gz" --epochs "${EPOCHS:-100}" --json "$results/burda.json"
}

for part in ${PARTS:-tests sanitizer benchmark burda}; do
    case $part in
    tests | sanitizer | benchmark | burda) "$part" ;;
    *)
        note "no part $part: the parts are tests, sanitizer, benchmark and burda"
        failed=1
        ;;
    esac
done
note "failed: $failed"
exit $failed
