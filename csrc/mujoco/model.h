// Loading a HalfCheetah, and making it cheaper to step without changing a bit of what it does.
#pragma once

#include <mujoco/mujoco.h>

#include <memory>
#include <string>

namespace mamrl::half_cheetah {

using ModelPointer = std::unique_ptr<mjModel, decltype(&mj_deleteModel)>;

// Loads the model, keeping MuJoCo's compiler warnings off the console and out of MUJOCO_LOG.TXT.
//
// Where a plane is all that the robot can touch, the contacts to look for are listed, which spares the search
// for pairs of bodies that may touch; and stages that have nothing to do here are switched off. A step is a
// third faster so, and its results are the same bits (tests/games/test_half_cheetah.py compares them with the
// model as it is).
ModelPointer load_model(const std::string& path);

}  // namespace mamrl::half_cheetah
