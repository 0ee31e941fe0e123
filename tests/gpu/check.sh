#!/bin/sh
# The check of the GPU engine on a machine with a GPU, nvcc, and a Python with NumPy, SciPy, safetensors, pybind11,
# scikit-build-core and pytest, and no network. CuPy, PyTorch and JAX are compared with where they are; the benchmarks
# ask PyTorch for the GPU's peak.
#
#   tests/gpu/check.sh [build] [test] [sanitize] [bench] [peers]     all of them by default, one after the other
#
# build comes first; the others need what it made. A piece that fails, or is not done within LIMIT seconds (540), leaves
# what it has found and stops no other. OUT is the folder of the results (build/gpu-check by default): a log each and
# JSON lines. NETS, MEMBERS and PRECISIONS choose what bench and peers measure.
set -eu
cd "$(dirname "$0")/../.."
OUT=$(mkdir -p "${OUT:-build/gpu-check}" && cd "${OUT:-build/gpu-check}" && pwd)
SITE=$PWD/build/gpu-site
LIMIT=${LIMIT:-540}
export OUT LIMIT PYTHONPATH="$SITE:$PWD"
export PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1  # a log that is cut short has all that was said
export XLA_PYTHON_CLIENT_PREALLOCATE=false      # JAX shares the GPU

build() {
  rm -rf "$SITE"
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
  [ "$capability" != 90 ] || capability=90a
  python3 -m pip install --quiet --no-build-isolation --no-deps --target "$SITE" . \
    --config-settings cmake.define.SHOAL_CUDA=ON \
    --config-settings "cmake.define.CMAKE_CUDA_ARCHITECTURES=${capability:?no GPU}-real" \
    --config-settings build-dir=build/gpu --config-settings install.strip=false
  python3 -c 'import shoal; print(*shoal.devices(), sep="\n"); assert shoal.devices()[0].name != "cpu", "no GPU"'
}

# A kernel that hangs is one test's failure, where pytest has the plugins for that.
test() {
  apart=""
  if python3 -c 'import pytest_timeout, xdist'; then apart="-n 4 --timeout 100 --timeout-method thread"; fi
  python3 -m pytest -c /dev/null --rootdir . --import-mode=importlib -p no:cacheprovider -q -ra --tb short $apart \
    tests/gpu
}

sanitize() {
  for tool in memcheck racecheck synccheck; do
    echo "== $tool"
    timeout --kill-after=5 $((LIMIT / 3 - 8)) compute-sanitizer --tool "$tool" --target-processes all \
      --error-exitcode 1 python3 tests/gpu/short_training.py || broken "$tool"
  done
}

bench() {
  for net in b64 d; do
    python3 bench/exploit.py --net "$net" --device cuda --repeats 10 --out "$OUT/exploit.jsonl" || broken "exploit $net"
  done
  python3 bench/distances.py --device cuda --peers "" --out "$OUT/distances.jsonl" || broken distances
  for precision in ${PRECISIONS:-fp32 tf32 bf16 tf32x3}; do
    throughput 1,32,256,1024 --precision "$precision" --peers none || broken "$precision"
  done
}

# They compute in float32, so they run beside shoal's float32 only.
peers() { throughput 256,32 --peers torch,jax; }

throughput() {
  members=${MEMBERS:-$1}
  shift
  python3 bench/train_throughput.py --device cuda --nets "${NETS:-b64,d,a,c,e,b,resnet20}" --members "$members" \
    --repeats 3 --seconds 0.3 "$@" >>"$OUT/train_throughput.jsonl"
}

broken() {
  echo "broken: $1"
  status=1
}

if [ "${1:-}" = only ]; then
  status=0
  "$2"
  exit $status
fi

failed=""
for piece in ${*:-build test sanitize bench peers}; do
  echo "==== $piece"
  # Interrupted, a benchmark still shows what it has measured.
  timeout --signal=INT --kill-after=20 "$LIMIT" \
    sh tests/gpu/check.sh only "$piece" >"$OUT/$piece.log" 2>&1 || failed="$failed $piece ($?)"
  tail -n 130 "$OUT/$piece.log"
done
[ -z "$failed" ] || { echo "failed, with status (124: out of time):$failed"; exit 1; }
