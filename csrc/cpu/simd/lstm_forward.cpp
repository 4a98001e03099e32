// The LSTM over recorded inputs: each task takes a part of a chain's trajectories through all of time.
#include "cpu/simd/lstm_step.h"

namespace mamrl::MAMRL_SIMD {

template <class T>
struct ForwardScratch {
  ForwardNetwork<T> net;
  GateRows<T> rows;
  __attribute__((always_inline)) ForwardScratch(Arena& arena, const LstmShape& s) : net(arena, s), rows(arena, s) {}
};

template <class T>
int64_t lstm_forward_scratch(const LstmShape& shape) {
  Arena counter{nullptr};
  ForwardScratch<T> scratch(counter, shape);
  return counter.used;
}

template <class T>
void lstm_forward(const LstmForward<T>& op, int64_t first_task, int64_t last_task, char* memory) {
  Arena arena{memory};
  const LstmShape& s = op.shape;
  ForwardScratch<T> scratch(arena, s);
  ForwardNetwork<T>& net = scratch.net;
  int64_t packed_chain = -1;
  for (int64_t task = first_task; task < last_task; ++task) {
    for_each_block(s, task, [&](int64_t chain, int64_t first, int64_t count) __attribute__((always_inline)) {
      if (chain != packed_chain) {
        net.set_chain(op.weights, chain);
        scratch.rows.set_chain(s, op.weights, chain);
        packed_chain = chain;
      }
      net.reset();
      for (int64_t t = 0; t < s.horizon; ++t) {
        const int64_t index = (t * s.chains + chain) * s.trajectories + first;
        scratch.rows.set_step(s, op.weights, index, count);
        T* saved = op.saved + index * 5 * net.padded;
        forward_step(net, scratch.rows.at, count, op.outputs + index * s.outputs, saved,
                     t + 1 < s.horizon ? saved + s.chains * s.trajectories * 5 * net.padded : nullptr);
      }
    });
  }
}

template int64_t lstm_forward_scratch<float>(const LstmShape&);
template int64_t lstm_forward_scratch<double>(const LstmShape&);
template void lstm_forward<float>(const LstmForward<float>&, int64_t, int64_t, char*);
template void lstm_forward<double>(const LstmForward<double>&, int64_t, int64_t, char*);

}  // namespace mamrl::MAMRL_SIMD
