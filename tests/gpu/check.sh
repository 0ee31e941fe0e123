#!/bin/sh
# The check of the GPU engine on a machine with a GPU, nvcc, and a Python with NumPy, pybind11, scikit-build-core, pytest
# (CuPy, PyTorch and JAX, for what is compared with them), and no network.
#
#   tests/gpu/check.sh [build] [test] [sanitize] [bench]        all of them by default, one after the other
#
# OUT is the folder of the results (build/gpu-check by default): logs and JSON lines. NETS, MEMBERS and PRECISIONS choose
# what bench measures. build comes first; the others need what it made.
set -eu
cd "$(dirname "$0")/../.."
OUT=$(mkdir -p "${OUT:-build/gpu-check}" && cd "${OUT:-build/gpu-check}" && pwd)
SITE=$PWD/build/gpu-site
export PYTHONPATH="$SITE:$PWD"

build() {
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
  [ "$capability" != 90 ] || capability=90a
  python3 -m pip install --quiet --no-build-isolation --no-deps --upgrade --target "$SITE" . \
    -C cmake.define.SHOAL_CUDA=ON -C "cmake.define.CMAKE_CUDA_ARCHITECTURES=$capability-real" \
    -C build-dir=build/gpu -C install.strip=false
  python3 -c 'import shoal; print(*shoal.devices(), sep="\n")'
}

test() {
  python3 -m pytest -c /dev/null --rootdir . --import-mode=importlib -p no:cacheprovider -q -ra tests/gpu
}

sanitize() {
  for tool in memcheck racecheck synccheck; do
    echo "== $tool"
    compute-sanitizer --tool "$tool" --error-exitcode 1 python3 tests/gpu/short_training.py
  done
}

# Peers compute in float32, so they run beside shoal's float32 only.
bench() {
  broken=""
  for precision in ${PRECISIONS:-fp32 tf32 bf16 tf32x3}; do
    peers=none
    [ "$precision" != fp32 ] || peers=torch,jax
    python3 bench/train_throughput.py --device cuda --precision "$precision" --peers "$peers" \
      --nets "${NETS:-a,b64,b,e,c,d,resnet20}" --members "${MEMBERS:-1,32,256,1024}" --repeats 3 --seconds 0.3 \
      --out "$OUT/train_throughput_cuda_$precision.jsonl" || broken="$broken $precision"
  done
  [ -z "$broken" ] || { echo "broken:$broken"; return 1; }
  for net in b64 d; do python3 bench/exploit.py --net "$net" --device cuda --out "$OUT/exploit_cuda.jsonl"; done
  python3 bench/distances.py --device cuda --peers "" --out "$OUT/distances_cuda.jsonl"
}

failed=""
for piece in ${*:-build test sanitize bench}; do
  echo "==== $piece"
  "$piece" >"$OUT/$piece.log" 2>&1 || failed="$failed $piece"
  tail -25 "$OUT/$piece.log"
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
