// Every op's schema, in one place. Kernels are registered beside their code in cpu/ and cuda/, fake kernels and
// autograd in python/mamrl/ops/; python/mamrl/ops/reference/ holds a plain-torch twin of each.
//
// T is time, M chains, K trajectories, n players, A actions, S states (rows of a table), N hidden units.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(mamrl, m) {
  // ---- the CPU's memory for large results (cpu/memory.h): bytes handed back to the system ----
  m.def("release_memory() -> int");

  // ---- estimators over time; rewards (T, ...) ----
  // values has one row more than rewards, or, where next_values is given, as many
  m.def(
      "gae(Tensor rewards, Tensor values, Tensor? next_values, Tensor? terminations, Tensor? truncations, "
      "float discount, float gae_lambda) -> Tensor");
  // grad_next_values is empty unless `separate`: its share is then in grad_values, which has one row more
  m.def(
      "gae_backward(Tensor grad, Tensor? terminations, Tensor? truncations, float discount, float gae_lambda, "
      "bool separate) -> (Tensor grad_rewards, Tensor grad_values, Tensor grad_next_values)");
  m.def(
      "discounted_returns(Tensor rewards, Tensor? next_values, Tensor? terminations, Tensor? truncations, "
      "float discount) -> Tensor");
  m.def(
      "discounted_returns_backward(Tensor grad, Tensor? terminations, Tensor? truncations, float discount) "
      "-> (Tensor grad_rewards, Tensor grad_next_values)");
  m.def("linear_baseline(Tensor observations, Tensor returns, int num_states, float ridge) -> Tensor");

  // ---- DiCE in the summed log-probabilities (T, M, K): value (M), gradient, Hessian-vector product ----
  // pair_weights rho (T, M, K): the second derivative at (t, s) is rho[max(t, s)] - [t = s] discount^t baseline[t]
  m.def(
      "dice_objective(Tensor log_probs, Tensor rewards, Tensor baseline, float discount) "
      "-> (Tensor objective, Tensor pair_weights)");
  m.def(
      "loaded_dice_objective(Tensor log_probs, Tensor advantages, float discount) "
      "-> (Tensor objective, Tensor pair_weights)");
  m.def(
      "dice_gradient(Tensor log_probs, Tensor grad, Tensor pair_weights, Tensor? baseline, float discount) "
      "-> Tensor");
  m.def(
      "dice_hessian_product(Tensor log_probs, Tensor vector, Tensor grad, Tensor pair_weights, Tensor? baseline, "
      "float discount) -> (Tensor grad_log_probs, Tensor grad_grad)");
  // the three at once
  m.def(
      "dice_derivatives(Tensor log_probs, Tensor rewards, Tensor baseline, Tensor vector, float discount) "
      "-> (Tensor objective, Tensor gradient, Tensor product)");

  // ---- tables (M, R) read at indices (T, M, K), and the transpose ----
  m.def("table_lookup(Tensor table, Tensor index) -> Tensor");
  m.def("table_accumulate(Tensor values, Tensor index, int num_rows) -> Tensor");

  // ---- the LSTM with its output layer, per-chain weights ----
  m.def(
      "lstm(Tensor gate_inputs, Tensor? states, Tensor recurrent_weight, Tensor head_weight, Tensor head_bias, "
      "float gradient_carry) -> (Tensor outputs, Tensor saved)");
  m.def(
      "lstm_recorded(Tensor gate_inputs, Tensor? states, Tensor recurrent_weight, Tensor head_weight, "
      "Tensor head_bias, Tensor outputs, Tensor saved, float gradient_carry) -> Tensor");
  m.def(
      "lstm_backward(Tensor grad_outputs, Tensor gate_inputs, Tensor? states, Tensor recurrent_weight, "
      "Tensor head_weight, Tensor saved, float gradient_carry) "
      "-> (Tensor grad_gate_inputs, Tensor grad_recurrent_weight, Tensor grad_head_weight, Tensor grad_head_bias, "
      "Tensor adjoints)");
  m.def(
      "lstm_double_backward(Tensor dir_gate_inputs, Tensor dir_recurrent_weight, Tensor dir_head_weight, "
      "Tensor dir_head_bias, Tensor grad_outputs, Tensor gate_inputs, Tensor? states, Tensor recurrent_weight, "
      "Tensor head_weight, Tensor saved, Tensor adjoints, float gradient_carry) "
      "-> (Tensor grad_grad_outputs, Tensor grad_gate_inputs, Tensor grad_recurrent_weight, Tensor grad_head_weight)");

  // ---- the GRU with its output layer, per-chain weights; recurrent_bias (M, N) ----
  m.def(
      "gru(Tensor gate_inputs, Tensor? states, Tensor recurrent_weight, Tensor recurrent_bias, Tensor head_weight, "
      "Tensor head_bias, float gradient_carry) -> (Tensor outputs, Tensor saved)");
  m.def(
      "gru_backward(Tensor grad_outputs, Tensor gate_inputs, Tensor? states, Tensor recurrent_weight, "
      "Tensor recurrent_bias, Tensor head_weight, Tensor saved, float gradient_carry) "
      "-> (Tensor grad_gate_inputs, Tensor grad_recurrent_weight, Tensor grad_recurrent_bias, "
      "Tensor grad_head_weight, Tensor grad_head_bias, Tensor adjoints)");
  m.def(
      "gru_double_backward(Tensor dir_gate_inputs, Tensor dir_recurrent_weight, Tensor dir_recurrent_bias, "
      "Tensor dir_head_weight, Tensor dir_head_bias, Tensor grad_outputs, Tensor gate_inputs, Tensor? states, "
      "Tensor recurrent_weight, Tensor recurrent_bias, Tensor head_weight, Tensor saved, Tensor adjoints, "
      "float gradient_carry) "
      "-> (Tensor grad_grad_outputs, Tensor grad_gate_inputs, Tensor grad_recurrent_weight, "
      "Tensor grad_recurrent_bias, Tensor grad_head_weight)");

  // ---- rollouts of matrix games, actions sampled by a counter-based generator ----
  m.def(
      "matrix_game_rollout(Tensor payoffs, Tensor[] networks, int[] kinds, Tensor keys, int num_trajectories, "
      "int horizon, bool record=True) -> Tensor[]");

  // ---- matrix games as environments: E at once, given actions; the actions of tabular policies ----
  // writes into the caller's memory, which an environment uses again and again
  m.def(
      "matrix_game_steps(Tensor payoffs, Tensor actions, Tensor elapsed, int episode_length, str autoreset, "
      "Tensor(a!) states, Tensor(b!) final_states, Tensor(c!) rewards, Tensor(d!) truncations, "
      "Tensor(e!) elapsed_after) -> ()");
  m.def(
      "tabular_actions(Tensor probabilities, Tensor states, Tensor? rows, Tensor? seeds, Tensor? clocks, int player) "
      "-> Tensor");
  // both: a step of two players, the second one's actions drawn; the first one's come as int64, as does what it sees
  m.def(
      "matrix_game_turn(Tensor payoffs, Tensor probabilities, Tensor? rows, Tensor? seeds, Tensor? clocks, "
      "Tensor actions, Tensor states_before, Tensor elapsed, int episode_length, str autoreset, Tensor(a!) joint, "
      "Tensor(b!) states, Tensor(c!) final_states, Tensor(d!) rewards, Tensor(e!) truncations, "
      "Tensor(f!) elapsed_after, Tensor(g!) seen) -> ()");

  // ---- the coin game: E at once, given actions; what is random is drawn by seeds (E) and clocks (E) ----
  // rules: the fields of CoinRules (common/coin_game.h); observations as bytes (2, T, E, 4) or planes (2, T, E, 4, H,
  // W)
  m.def(
      "coin_game_steps(int[] rules, Tensor state, Tensor actions, Tensor elapsed, Tensor seeds, Tensor clocks, "
      "int episode_length, str autoreset, Tensor(a!) observations, Tensor(b!) final_observations, Tensor(c!) rewards, "
      "Tensor(d!) truncations, Tensor(e!) state_after, Tensor(f!) elapsed_after, Tensor(g!) clocks_after) -> ()");

  // ---- differentiable games: values (2, B) and their Jacobian (2, 2, B, 5); quantile loss ----
  m.def(
      "iterated_2x2(Tensor logits_1, Tensor logits_2, Tensor payoffs, float discount) "
      "-> (Tensor values, Tensor slopes)");
  m.def("quantile_huber(Tensor predicted, Tensor target) -> (Tensor loss, Tensor grad_predicted, Tensor grad_target)");

  // ---- networks over pairs of policies: weights (P), x (2, B, D), gamma (2, B), outputs (2, B, Q) ----
  // eight numbers a layer: source, units, beside, swapped, activation, norm, skip, roles (cpu/pair_kernels.h)
  m.def("pair_network(Tensor weights, int[] layers, Tensor x, Tensor gamma) -> Tensor");
  m.def("pair_network_recorded(Tensor weights, int[] layers, Tensor x, Tensor gamma, Tensor outputs) -> Tensor");
  // of each player's mean output in its own policy; signs (2, B, units) flip units of the layer before the last
  m.def(
      "pair_network_own_gradient(Tensor weights, int[] layers, Tensor x, Tensor gamma, Tensor? signs) "
      "-> (Tensor outputs, Tensor gradient)");
  // the weights' gradient
  m.def("pair_network_backward(Tensor grad, Tensor weights, int[] layers, Tensor x, Tensor gamma) -> Tensor");

  // ---- what `mamrl info` prints ----
  m.def("simd_level() -> str");
  m.def("_set_simd_level(str level) -> ()");
}
