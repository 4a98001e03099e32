// The iterated game of two players with two actions each: exact values and their Jacobian for memory-one
// policies (Foerster et al. 2018, LOLA), W pairs of policies side by side, so that every line below is one
// vector instruction.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace mamrl {

// own action first: player 2 calls player 1's DC its own CD
MAMRL_FN int other_side(int state) { return state == 2 ? 3 : state == 3 ? 2 : state; }

// Joint actions are numbered DD, DC, CD, CC from player 1's side; states are the initial one, then those
// four.
template <class T, int W>
struct Iterated2x2Lanes {
  T p[5][W], q[5][W];   // probability of cooperation of players 1 and 2, states from player 1's side
  T value[2][W];        // normalised: (1 - d) p_0 (I - d P)^-1 r
  T slope[2][2][5][W];  // d value[i] / d logit of player j in state s

  MAMRL_METHOD void evaluate(const T* payoffs, T discount) {
    // columns of I - d P^T are dominated by their diagonals, so elimination needs no pivoting
    T m[4][4][W], occupancy[4][W], future[2][4][W];
    for (int s = 0; s < 4; ++s)
      for (int w = 0; w < W; ++w) {
        const T a = p[s + 1][w], b = q[s + 1][w];
        m[0][s][w] = -discount * (1 - a) * (1 - b);
        m[1][s][w] = -discount * (1 - a) * b;
        m[2][s][w] = -discount * a * (1 - b);
        m[3][s][w] = -discount * a * b;
        m[s][s][w] += 1;
      }
    for (int w = 0; w < W; ++w) {
      const T a = p[0][w], b = q[0][w], scale = 1 - discount;
      occupancy[0][w] = scale * (1 - a) * (1 - b);
      occupancy[1][w] = scale * (1 - a) * b;
      occupancy[2][w] = scale * a * (1 - b);
      occupancy[3][w] = scale * a * b;
    }
    // M = L U in place, L with ones on its diagonal
    for (int k = 0; k < 3; ++k)
      for (int i = k + 1; i < 4; ++i)
        for (int w = 0; w < W; ++w) {
          const T factor = m[i][k][w] / m[k][k][w];
          m[i][k][w] = factor;
          for (int j = k + 1; j < 4; ++j) m[i][j][w] -= factor * m[k][j][w];
        }
    // occupancy = M^-1 start
    for (int i = 1; i < 4; ++i)
      for (int j = 0; j < i; ++j)
        for (int w = 0; w < W; ++w) occupancy[i][w] -= m[i][j][w] * occupancy[j][w];
    for (int i = 3; i >= 0; --i) {
      for (int j = i + 1; j < 4; ++j)
        for (int w = 0; w < W; ++w) occupancy[i][w] -= m[i][j][w] * occupancy[j][w];
      for (int w = 0; w < W; ++w) occupancy[i][w] /= m[i][i][w];
    }
    // future = M^-T r: what a player still gets, this step's payoff included, after each joint action
    for (int player = 0; player < 2; ++player) {
      for (int i = 0; i < 4; ++i) {
        for (int w = 0; w < W; ++w) future[player][i][w] = payoffs[4 * player + i];
        for (int j = 0; j < i; ++j)
          for (int w = 0; w < W; ++w) future[player][i][w] -= m[j][i][w] * future[player][j][w];
        for (int w = 0; w < W; ++w) future[player][i][w] /= m[i][i][w];
      }
      for (int i = 3; i >= 0; --i)
        for (int j = i + 1; j < 4; ++j)
          for (int w = 0; w < W; ++w) future[player][i][w] -= m[j][i][w] * future[player][j][w];
      for (int w = 0; w < W; ++w) {
        T total = 0;
        for (int i = 0; i < 4; ++i) total += payoffs[4 * player + i] * occupancy[i][w];
        value[player][w] = total;
      }
      for (int s = 0; s < 5; ++s)
        for (int w = 0; w < W; ++w) {
          const T a = p[s][w], b = q[s][w];
          // how often state s is acted in, discounted
          const T visits = s == 0 ? 1 - discount : discount * occupancy[s ? s - 1 : 0][w];
          const T dd = future[player][0][w], dc = future[player][1][w];
          const T cd = future[player][2][w], cc = future[player][3][w];
          slope[player][0][s][w] = visits * a * (1 - a) * (b * (cc - dc) + (1 - b) * (cd - dd));
          slope[player][1][s][w] = visits * b * (1 - b) * (a * (cc - cd) + (1 - a) * (dc - dd));
        }
    }
  }
};

}  // namespace mamrl
