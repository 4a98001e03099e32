// The Python face of the batch environment. python/mamrl/games/half_cheetah.py checks and explains the
// arguments.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "mujoco/half_cheetah.h"
#include "mujoco/rollout.h"

namespace py = pybind11;

namespace {

using namespace mamrl::half_cheetah;
using mamrl::DenseNetwork;
using mamrl::DenseNetworkKernels;

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using Mask = std::optional<Array<uint8_t>>;

// A view of one of the batch's vectors, which keeps the batch alive.
template <class T>
py::array view(py::object owner, std::vector<T>& values, int width = 0) {
  std::vector<py::ssize_t> shape = {static_cast<py::ssize_t>(values.size())};
  if (width) shape = {static_cast<py::ssize_t>(values.size()) / width, width};
  return py::array(py::dtype::of<T>(), shape, values.data(), owner);
}

py::array flags(py::object owner, std::vector<uint8_t>& values) { return view(owner, values).attr("view")("bool"); }

py::dict views(py::object self) {
  Outputs& outputs = self.cast<Batch&>().outputs();
  py::dict all;
  all["observations"] = view(self, outputs.observations, kObservations);
  all["final_observations"] = view(self, outputs.final_observations, kObservations);
  all["rewards"] = view(self, outputs.rewards);
  all["reward_forward"] = view(self, outputs.forward_rewards);
  all["reward_control"] = view(self, outputs.control_rewards);
  all["x_position"] = view(self, outputs.x_positions);
  all["x_velocity"] = view(self, outputs.x_velocities);
  all["terminations"] = flags(self, outputs.terminations);
  all["truncations"] = flags(self, outputs.truncations);
  all["started"] = flags(self, outputs.started);
  all["faults"] = view(self, outputs.faults);
  return all;
}

template <class T>
void step(Batch& batch, const Array<T>& actions) {
  if (actions.size() != batch.settings().num_envs * kActions) throw std::invalid_argument("actions have a wrong size");
  const T* data = actions.data();
  const py::gil_scoped_release released;
  batch.step(data);
}

const uint8_t* mask_of(const Batch& batch, const Mask& mask) {
  if (mask && mask->size() != batch.settings().num_envs) throw std::invalid_argument("mask has a wrong size");
  return mask ? mask->data() : nullptr;
}

// Arrays of all that the batch's steps depend on and show, for `load` of another batch of the same settings.
py::list save(Batch& batch) {
  py::list arrays;
  batch.visit_state([&arrays](auto values) {
    using T = typename decltype(values)::value_type;
    arrays.append(Array<T>(static_cast<py::ssize_t>(values.size()), values.data()));
  });
  return arrays;
}

void load(Batch& batch, const py::list& arrays) {
  size_t next = 0;
  batch.visit_state([&arrays, &next](auto values) {
    using T = typename decltype(values)::value_type;
    if (next == arrays.size()) throw std::invalid_argument("a saved batch has too few arrays");
    const auto array = arrays[next++].cast<Array<T>>();
    if (static_cast<size_t>(array.size()) != values.size()) {
      throw std::invalid_argument("a saved batch has an array of " + std::to_string(array.size()) +
                                  " numbers, expected " + std::to_string(values.size()));
    }
    std::copy_n(array.data(), values.size(), values.data());
  });
}

// The model of rollouts, loaded once.
struct Robot {
  ModelPointer model;
  explicit Robot(const std::string& path) : model(load_model(path)) {}
};

// Each agent is (its seven weights in the order of DenseNetwork and log_std, observation columns, action columns).
template <class T>
using AgentArrays = std::tuple<std::vector<Array<T>>, std::vector<int64_t>, std::vector<int64_t>>;

template <class T>
Agent<T> agent_of(const AgentArrays<T>& arrays) {
  const auto& [weights, observation_columns, action_columns] = arrays;
  if (weights.size() != 8) throw std::invalid_argument("an agent has " + std::to_string(weights.size()) + " weights");
  const auto at = [&weights](int i) { return weights[i].data(); };
  DenseNetwork<T> network = {static_cast<int64_t>(observation_columns.size()),
                             weights[1].shape(1),
                             static_cast<int64_t>(action_columns.size()),
                             at(0),
                             at(1),
                             at(2),
                             at(3),
                             at(4),
                             at(5),
                             at(6)};
  return {network, at(7), observation_columns, action_columns};
}

template <class T>
void play(const Robot& robot, const std::vector<AgentArrays<T>>& agents, const Array<int64_t>& keys, double direction,
          double reset_noise, double control_cost, double reward_scale, int frame_skip, int num_threads,
          const std::string& simd_level, Array<T> observations, Array<T> actions, Array<T> rewards,
          Array<int64_t> diverged) {
  Rollout<T> rollout = {.horizon = rewards.shape(0),
                        .chains = rewards.shape(1),
                        .trajectories = rewards.shape(2),
                        .agents = {},
                        .keys = keys.data(),
                        .direction = direction,
                        .reset_noise = reset_noise,
                        .control_cost = control_cost,
                        .reward_scale = reward_scale,
                        .frame_skip = frame_skip,
                        .observations = observations.mutable_data(),
                        .actions = actions.mutable_data(),
                        .rewards = rewards.mutable_data(),
                        .diverged = diverged.mutable_data()};
  for (const AgentArrays<T>& agent : agents) rollout.agents.push_back(agent_of(agent));
  const DenseNetworkKernels<T>& kernels = mamrl::dense_network_kernels<T>(simd_level);
  const py::gil_scoped_release released;
  roll_out(robot.model.get(), rollout, kernels, num_threads);
}

// Outputs are written in place, so no array may be converted.
template <class T>
void def_play(py::module_& m) {
  m.def("play", &play<T>, py::arg("robot"), py::arg("agents").noconvert(), py::arg("keys").noconvert(), py::kw_only(),
        py::arg("direction"), py::arg("reset_noise"), py::arg("control_cost"), py::arg("reward_scale"),
        py::arg("frame_skip"), py::arg("num_threads"), py::arg("simd_level"), py::arg("observations").noconvert(),
        py::arg("actions").noconvert(), py::arg("rewards").noconvert(), py::arg("diverged").noconvert());
}

}  // namespace

PYBIND11_MODULE(_C_mujoco, m) {
  py::enum_<Autoreset>(m, "Autoreset")
      .value("next_step", Autoreset::kNextStep)
      .value("same_step", Autoreset::kSameStep)
      .value("disabled", Autoreset::kDisabled);

  py::class_<Settings>(m, "Settings")
      .def(py::init<>())
      .def_readwrite("model_path", &Settings::model_path)
      .def_readwrite("num_envs", &Settings::num_envs)
      .def_readwrite("num_threads", &Settings::num_threads)
      .def_readwrite("frame_skip", &Settings::frame_skip)
      .def_readwrite("episode_length", &Settings::episode_length)
      .def_readwrite("reset_noise", &Settings::reset_noise)
      .def_readwrite("control_cost", &Settings::control_cost)
      .def_readwrite("reward_scale", &Settings::reward_scale)
      .def_readwrite("autoreset", &Settings::autoreset);

  py::class_<Batch>(m, "Batch")
      .def(py::init<const Settings&>())
      .def("views", &views)
      .def("directions", [](py::object self) { return view(self, self.cast<Batch&>().directions()); })
      .def("seed",
           [](Batch& batch, const std::vector<int64_t>& seeds, const std::vector<int64_t>& indices, const Mask& mask) {
             const auto size = static_cast<size_t>(batch.settings().num_envs);
             if (seeds.size() != size || indices.size() != size) {
               throw std::invalid_argument("seeds have a wrong size");
             }
             batch.seed(seeds, indices, mask_of(batch, mask));
           })
      .def("reset", [](Batch& batch, const Mask& mask) { batch.reset(mask_of(batch, mask)); })
      .def("step", &step<float>, py::arg("actions").noconvert())
      .def("step", &step<double>, py::arg("actions").noconvert())
      .def("get_state",
           [](Batch& batch) {
             Array<double> rows({batch.settings().num_envs, batch.num_state()});
             batch.get_state(rows.mutable_data());
             return rows;
           })
      .def("set_state",
           [](Batch& batch, const Array<double>& rows, const Mask& mask) {
             if (rows.size() != int64_t{batch.settings().num_envs} * batch.num_state()) {
               throw std::invalid_argument("state rows have a wrong size");
             }
             batch.set_state(rows.data(), mask_of(batch, mask));
           })
      .def("close", &Batch::close)
      .def("save", &save)
      .def("load", &load)
      .def_property_readonly("closed", &Batch::closed)
      .def_property_readonly("num_state", &Batch::num_state)
      .def_property_readonly("time_step", &Batch::time_step);

  py::class_<Robot>(m, "Robot").def(py::init<const std::string&>());
  def_play<float>(m);
  def_play<double>(m);

  m.def("fault_text", [](int fault) -> std::string {
    if (fault == kFaultState) return "the state holds NaN or a number beyond mjMAXVAL";
    if (fault == kFaultError) return "MuJoCo raised an error";
    return fault ? mju_warningText(fault - 1, 0) : "";
  });
}
