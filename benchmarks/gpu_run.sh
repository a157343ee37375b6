#!/bin/sh
# Everything that needs a GPU, in one command, for a later run:
#
#     sh benchmarks/gpu_run.sh [FOLDER]          (default benchmarks/results/cuda)
#
# Tests, compute-sanitizer over the quick ones, the benchmark, and Burda's IWAE on a shortened schedule. It goes on
# after a failure, and exits 1 if there was one, 2 without a GPU. The log, the figures and the machine's description
# are written to FOLDER.
#
#   SITE       a folder of unpacked wheels (numba, llvmlite, scipy, pytest and what it needs), where they are not
#              installed and there is no network: `for w in *.whl; do unzip -q -d SITE "$w"; done`
#   CUDA_HOME  a toolkit with nvvm, where Numba does not find one by itself
#   MNIST      a folder with train-images-idx3-ubyte.gz and t10k-images-idx3-ubyte.gz; without it Burda is left out
#   EPOCHS     of Burda's 3280 (default 30)
#   PARTS      of "tests sanitizer benchmark burda" (default all), for machines that are lent in short pieces
set -u
cd "$(dirname "$0")/.." || exit 1
results=${1:-benchmarks/results/cuda}
python=${PYTHON:-python3}
mkdir -p "$results"
failed=0
export PYTHONPATH="${SITE:+$SITE:}$PWD${PYTHONPATH:+:$PYTHONPATH}"
export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-${TMPDIR:-/tmp}/vbref-numba-cache}"
unset NUMBA_ENABLE_CUDASIM NUMBA_FORCE_CUDA_CC

# Where Numba does not find libnvvm by itself, nvcc or a wheel that PyTorch brought may know where one is.
finds='import sys; from numba.cuda.cudadrv import libs, nvvm; libs.open_libdevice(); sys.exit(not nvvm.is_available())'
wheels='import glob, sys; print(*(p[:-5] for s in sys.path for p in glob.glob(s + "/nvidia/*/nvvm")))'
if ! "$python" -c "$finds" 2>/dev/null; then
    nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
    for home in "$(dirname "$(dirname "$(readlink -f "$nvcc")")")" /usr/local/cuda /usr/local/cuda-* $("$python" -c "$wheels"); do
        if CUDA_HOME=$home "$python" -c "$finds" 2>/dev/null; then
            export CUDA_HOME="$home"
            break
        fi
    done
fi

note() { printf '\n== %s\n' "$*" | tee -a "$results/log.txt"; }
try() {
    note "$*"
    "$@" >"$results/.part" 2>&1
    code=$?
    tee -a "$results/log.txt" <"$results/.part"
    rm -f "$results/.part"
    [ $code -eq 0 ] || { failed=1; note "exit $code"; }
}

: >"$results/log.txt"
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
        return
    fi
    for tool in memcheck racecheck; do
        # shellcheck disable=SC2086
        try timeout 280 "$sanitizer" --tool $tool --error-exitcode 9 "$python" $pytest \
            -k "draws or (multivariate and 7) or (mixture and full) or (objective and elbo) or (importance and float64)"
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
        --test "$MNIST/t10k-images-idx3-ubyte.gz" --epochs "${EPOCHS:-30}" --json "$results/burda.json"
}

for part in ${PARTS:-tests sanitizer benchmark burda}; do
    "$part"
done
note "failed: $failed"
exit $failed
