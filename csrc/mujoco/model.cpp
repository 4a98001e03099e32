#include "mujoco/model.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "mujoco/robot.h"

namespace mamrl::half_cheetah {
namespace {

// Silences MuJoCo's log while it lives.
class QuietLog {
 public:
  QuietLog() : previous_(mju_setLogHandler([](const mjLogMessage*) {})) {}
  ~QuietLog() { mju_setLogHandler(previous_); }
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;

 private:
  mjfLogHandler previous_;
};

struct Geoms {
  mjsGeom* floor = nullptr;
  std::vector<mjsGeom*> robot;
};

Geoms geoms_of(mjSpec* spec) {
  Geoms geoms;
  for (mjsElement* e = mjs_firstElement(spec, mjOBJ_GEOM); e; e = mjs_nextElement(spec, e)) {
    mjsGeom* geom = mjs_asGeom(e);
    if (geom->type == mjGEOM_PLANE && !geoms.floor) {
      geoms.floor = geom;
    } else {
      geoms.robot.push_back(geom);
    }
  }
  return geoms;
}

const char* name_of(mjsGeom* geom) { return mjs_getString(mjs_getName(geom->element)); }

// Whether two geoms touch with the parameters of either, so that there is nothing to mix.
bool same_contact(const mjsGeom& a, const mjsGeom& b) {
  return std::equal(a.solref, a.solref + mjNREF, b.solref) && std::equal(a.solimp, a.solimp + mjNIMP, b.solimp) &&
         std::equal(a.friction, a.friction + 3, b.friction) && a.condim == b.condim && a.priority == b.priority &&
         a.solmix == b.solmix && a.margin == 0 && b.margin == 0 && a.gap == 0 && b.gap == 0;
}

bool only_floor_is_touched(const Geoms& geoms) {
  if (!geoms.floor || !*name_of(geoms.floor)) return false;
  return std::all_of(geoms.robot.begin(), geoms.robot.end(), [&](const mjsGeom* geom) {
    return geom->type == mjGEOM_CAPSULE && *name_of(const_cast<mjsGeom*>(geom)) && geom->conaffinity == 0 &&
           (geom->contype & geoms.floor->conaffinity) && same_contact(*geom, *geoms.floor);
  });
}

// One listed pair for each geom of the robot, in the order in which the search would have found them.
void list_contacts(mjSpec* spec, const Geoms& geoms) {
  for (mjsGeom* geom : geoms.robot) {
    mjsPair* pair = mjs_addPair(spec, nullptr);
    mjs_setString(pair->geomname1, name_of(geoms.floor));
    mjs_setString(pair->geomname2, name_of(geom));
    std::copy_n(geom->solref, mjNREF, pair->solref);
    std::copy_n(geom->solimp, mjNIMP, pair->solimp);
    const double slide = geom->friction[0], spin = geom->friction[1], roll = geom->friction[2];
    std::copy_n(std::vector<double>{slide, slide, spin, roll, roll}.begin(), 5, pair->friction);
    pair->condim = geom->condim;
    pair->margin = pair->gap = 0;
    geom->contype = 0;
  }
  geoms.floor->contype = geoms.floor->conaffinity = 0;
}

}  // namespace

ModelPointer load_model(const std::string& path) {
  const QuietLog quiet;
  char error[1024] = "";
  const std::unique_ptr<mjSpec, decltype(&mj_deleteSpec)> spec(mj_parseXML(path.c_str(), nullptr, error, sizeof(error)),
                                                               mj_deleteSpec);
  if (!spec) throw std::invalid_argument("MuJoCo cannot load the model '" + path + "': " + error);
  const Geoms geoms = geoms_of(spec.get());
  const bool listed = only_floor_is_touched(geoms);
  if (listed) list_contacts(spec.get(), geoms);
  ModelPointer model(mj_compile(spec.get(), nullptr), mj_deleteModel);
  if (!model) {
    throw std::invalid_argument("MuJoCo cannot compile the model '" + path + "': " + mjs_getError(spec.get()));
  }
  if (model->nq != kCoordinates || model->nv != kCoordinates || model->nu != kActions) {
    throw std::invalid_argument("the model '" + path + "' has nq, nv, nu = " + std::to_string(model->nq) + ", " +
                                std::to_string(model->nv) + ", " + std::to_string(model->nu) +
                                ", expected a HalfCheetah's 9, 9, 6");
  }
  // one robot is one island of constraints: finding it is work that changes nothing
  if (listed) model->opt.disableflags |= mjDSBL_ISLAND | mjDSBL_MIDPHASE;
  if (model->nsensor == 0) model->opt.disableflags |= mjDSBL_SENSOR;
  return model;
}

}  // namespace mamrl::half_cheetah
