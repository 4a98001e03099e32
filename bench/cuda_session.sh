#!/usr/bin/env bash
# bench/cuda_session.sh [build-and-test|bench|train]...: everything that needs a GPU, on a machine with a CUDA build of
# torch, nvcc, cmake and ninja; without arguments all of it. Each argument fits in ten minutes, builds first where
# nothing is built yet, and leaves its log and a few files in $OUT (default: runs/cuda); a step that fails does not keep
# the next from running.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-runs/cuda}
PYTHON=${PYTHON:-python3}
WORK=build/cuda-session
mkdir -p "$OUT" "$WORK"
export PYTHONPATH=python:tests:tests/ops PYTHONUNBUFFERED=1
# nvcc, and the cmake and ninja of the python's own environment
export PATH=$PATH:/usr/local/cuda/bin:$(dirname "$(command -v "$PYTHON")")
log=$OUT/session.log
failed=0

# step SECONDS NAME COMMAND: a python program that is interrupted keeps what it has
step() {
  local limit=$1 name=$2 started=$SECONDS
  shift 2
  echo "== $name" | tee -a "$log"
  if timeout -s INT -k 10 "$limit" "$@" >"$WORK/$name.log" 2>&1; then
    echo "   done in $((SECONDS - started)) s"
  else
    echo "   FAILED ($?) after $((SECONDS - started)) s" && failed=1
  fi
  cat "$WORK/$name.log" >>"$log"
  tail -n 25 "$WORK/$name.log"
}

# for this GPU's own architecture; what is built stays (remove python/mamrl/_C_cuda.so to build anew)
build() {
  ls python/mamrl/_C_cuda*.so >/dev/null 2>&1 && return
  step 60 configure cmake -G Ninja -S . -B build/cuda -DPython_EXECUTABLE="$(command -v "$PYTHON")" \
    -DCMAKE_CUDA_ARCHITECTURES="${CUDA_ARCHITECTURES:-90}"
  step 240 build cmake --build build/cuda
  cp build/cuda/_C*.so python/mamrl/
  step 30 info "$PYTHON" -m mamrl info
}

# addopts name pytest-benchmark's options, and that plugin may not be here
gpu_tests=("$PYTHON" -m pytest -o addopts=--strict-markers -q -m gpu)

sanitize() {
  step 70 "$1" compute-sanitizer --tool "$1" --error-exitcode 3 --target-processes all \
    "${gpu_tests[@]}" tests/ops -k "sizes1 or sizes2 or game3 or game5"
}

build_and_test() {
  step 140 tests "${gpu_tests[@]}" --tb=short tests/ops tests/test_device.py tests/training/test_capture.py
  command -v compute-sanitizer >/dev/null || { echo "== compute-sanitizer is not here"; return; }
  sanitize memcheck
  sanitize racecheck
}

bench() { step 420 bench "$PYTHON" -m bench.cuda --json "$OUT/bench.json"; }

# as many iterations as five minutes hold, by the fastest of a few
train() {
  local run=$WORK/ipd
  local settings=(ipd --device cuda --seed 1 --quiet --set "chains=${CHAINS:-264}")
  rm -rf "$WORK/pace" "$run"
  step 60 pace "$PYTHON" -m mamrl train "${settings[@]}" --iterations 12 --out "$WORK/pace"
  local iterations
  iterations=$("$PYTHON" - "$WORK/pace/log.jsonl" <<'PACE'
import json, sys
seconds = min(json.loads(line)["seconds"] for line in open(sys.argv[1]))
print(max(20, min(2000, int(280 / seconds))))
PACE
  ) || iterations=400
  step 360 train "$PYTHON" -m mamrl train "${settings[@]}" --set lr_decay=true --iterations "$iterations" --out "$run"
  "$PYTHON" - "$run/log.jsonl" >"$OUT/ipd-curve.csv" <<'CURVE'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
positions = range(len(lines[0]["rewards"]))
print("iteration", *(f"reward_{l}" for l in positions), "gradient_norm", "seconds", "validation_auc", sep=",")
for line in lines:
    numbers = [f"{reward:.4f}" for reward in line["rewards"]] + [f"{line['gradient_norm']:.4g}", line["seconds"]]
    print(line["iteration"], *numbers, line.get("validation_auc", ""), sep=",")
CURVE
  step 60 meta-test "$PYTHON" -m mamrl test "$run" --repeats 3
  step 30 learning "$PYTHON" -m mamrl plot "$run" --learning --out "$OUT/ipd-learning.png"
  cp "$run/test.csv" "$OUT/ipd-test.csv"
  cp "$run/best.pt" "$run/experiment.json" "$OUT/"
}

: >"$log"
nvidia-smi | tee -a "$log"
build
[ $# -gt 0 ] || set -- build-and-test bench train
for part; do
  case $part in
    build-and-test) build_and_test ;;
    bench) bench ;;
    train) train ;;
    *) echo "no part is called '$part', expected build-and-test, bench or train" && exit 2 ;;
  esac
done
exit $failed
