#!/usr/bin/env bash
# bench/cuda_session.sh: everything that needs a GPU, in one go, on a machine with a CUDA build of torch, nvcc, cmake and
# ninja. Builds with that torch, runs the gpu tests, compute-sanitizer where it is, and bench.cuda; each step leaves its
# log in $OUT (default: runs/cuda) and says whether it failed, and the next one runs all the same.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-runs/cuda}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"
export PYTHONPATH=python:tests:tests/ops PYTHONUNBUFFERED=1
failed=0

step() {
  local name=$1
  shift
  echo "== $name"
  if "$@" >"$OUT/$name.log" 2>&1; then echo "   done"; else echo "   FAILED ($?), see $name.log" && failed=1; fi
  tail -n 15 "$OUT/$name.log"
}

build() {
  # this GPU's own architecture is enough here
  cmake -G Ninja -S . -B build/cuda -DPython_EXECUTABLE="$(command -v "$PYTHON")" \
    -DCMAKE_CUDA_ARCHITECTURES="${CUDA_ARCHITECTURES:-90}" &&
    cmake --build build/cuda && cp build/cuda/_C*.so python/mamrl/
}

# addopts name pytest-benchmark's options, and that plugin may not be here
tests() { "$PYTHON" -m pytest -o addopts=--strict-markers -q -m gpu tests/ops tests/test_device.py "$@"; }

sanitize() {
  compute-sanitizer --tool "$1" --error-exitcode 3 --target-processes all \
    "$PYTHON" -m pytest -o addopts=--strict-markers -q -m gpu tests/ops \
    -k "sizes1 or sizes2 or game3 or game5"
}

nvidia-smi >"$OUT/nvidia-smi.log" 2>&1
step build build
step info "$PYTHON" -m mamrl info
step tests tests
if command -v compute-sanitizer >/dev/null; then
  step memcheck sanitize memcheck
  step racecheck sanitize racecheck
else
  echo "== compute-sanitizer is not here"
fi
step bench "$PYTHON" -m bench.cuda --json "$OUT/bench.json"
step train "$PYTHON" -m mamrl train ipd-tabular --device cuda --iterations 20 --out "$OUT/train" --quiet
exit $failed
