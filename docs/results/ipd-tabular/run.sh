#!/usr/bin/env bash
# Trains and meta-tests every estimator and algorithm with a tabular agent, three seeds each; RUNS is where the runs go.
set -euo pipefail
RUNS=${RUNS:-runs/ipd-tabular}
one() {  # NAME ARGUMENTS...
  local name=$1; shift
  for seed in 1 2 3; do
    mamrl train ipd-tabular --seed $seed --threads 1 --quiet --out "$RUNS/$name-seed$seed" "$@"
    mamrl test "$RUNS/$name-seed$seed"
  done
}
one meta-mapg-expected
one meta-pg-expected --algorithm meta-pg
one meta-mapg-published-loaded-dice --estimator published
one meta-mapg-published-dice --estimator published --set inner_objective=dice
one meta-mapg-expected-dice --set inner_objective=dice
one meta-mapg-sampled --estimator sampled
one meta-mapg-without-own --algorithm meta-mapg-without-own
one meta-mapg-without-peer --algorithm meta-mapg-without-peer
one reinforce --algorithm reinforce
