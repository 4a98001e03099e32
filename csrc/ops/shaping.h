// The ops of differentiable games and of the loss that learns meta-values over them, at the boundary to torch:
// checks and allocation, for every device.
#pragma once

#include <tuple>

#include "common/check.h"

namespace mamrl {

constexpr int64_t kMostQuantiles = 256;

// logits (B, 5) each, payoffs (2, 4) -> values (2, B), slopes (2, 2, B, 5)
template <class T>
struct Iterated2x2 {
  const T *logits_1, *logits_2, *payoffs;
  T discount;
  int64_t batch;
  T *values, *slopes;
};

// predicted (R, Q), target (R, Q') -> loss (R) and its gradients
template <class T>
struct QuantileHuber {
  const T *predicted, *target;
  int64_t rows, quantiles, targets;
  T *loss, *grad_predicted, *grad_target;
};

template <class Device>
std::tuple<Tensor, Tensor> iterated_2x2(const Tensor& logits_1_, const Tensor& logits_2_, const Tensor& payoffs_,
                                        double discount) {
  check_floating("logits_1", logits_1_);
  check_dtype("logits_2", logits_2_, logits_1_.scalar_type());
  check_dtype("payoffs", payoffs_, logits_1_.scalar_type());
  MAMRL_CHECK(logits_1_.dim() == 2, "logits_1 must have the shape (B, 5)");
  const int64_t batch = logits_1_.size(0);
  check_shape("logits_1", logits_1_, {batch, 5});
  check_shape("logits_2", logits_2_, {batch, 5});
  check_shape("payoffs", payoffs_, {2, 4});
  const Tensor logits_1 = row_major(logits_1_), logits_2 = row_major(logits_2_), payoffs = row_major(payoffs_);
  const Device device({&logits_1, &logits_2, &payoffs});
  Tensor values = new_tensor(device, logits_1, {2, batch});
  Tensor slopes = new_tensor(device, logits_1, {2, 2, batch, 5});
  dispatch_floating(logits_1, [&]<class T>() {
    device.run(Iterated2x2<T>{logits_1.const_data_ptr<T>(), logits_2.const_data_ptr<T>(), payoffs.const_data_ptr<T>(),
                              T(discount), batch, values.mutable_data_ptr<T>(), slopes.mutable_data_ptr<T>()});
  });
  return {values, slopes};
}

template <class Device>
std::tuple<Tensor, Tensor, Tensor> quantile_huber(const Tensor& predicted_, const Tensor& target_) {
  check_floating("predicted", predicted_);
  check_dtype("target", target_, predicted_.scalar_type());
  MAMRL_CHECK(predicted_.dim() == 2 && target_.dim() == 2 && predicted_.size(0) == target_.size(0),
              "predicted and target must have the shapes (R, Q) and (R, Q')");
  const int64_t rows = predicted_.size(0), quantiles = predicted_.size(1), targets = target_.size(1);
  MAMRL_CHECK(quantiles > 0 && targets > 0 && targets <= kMostQuantiles, "there must be 1 to ", kMostQuantiles,
              " target quantiles");
  const Tensor predicted = row_major(predicted_), target = row_major(target_);
  const Device device({&predicted, &target});
  Tensor loss = new_tensor(device, predicted, {rows});
  Tensor grad_predicted = new_like(device, predicted), grad_target = new_like(device, target);
  dispatch_floating(predicted, [&]<class T>() {
    device.run(QuantileHuber<T>{predicted.const_data_ptr<T>(), target.const_data_ptr<T>(), rows, quantiles, targets,
                                loss.mutable_data_ptr<T>(), grad_predicted.mutable_data_ptr<T>(),
                                grad_target.mutable_data_ptr<T>()});
  });
  return {loss, grad_predicted, grad_target};
}

}  // namespace mamrl
