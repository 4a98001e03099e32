/* The ceiling: environments stepped by mj_step in a plain loop, one mjData each, nothing else done. */
#include <mujoco/mujoco.h>
#include <string.h>

typedef struct {
  mjModel* model;
  mjData** data;
  int num_envs;
} Raw;

void* raw_make(const char* path, int num_envs) {
  Raw* raw = mju_malloc(sizeof(Raw));
  raw->model = mj_loadXML(path, NULL, NULL, 0);
  raw->data = mju_malloc(num_envs * sizeof(mjData*));
  raw->num_envs = num_envs;
  for (int i = 0; i < num_envs; i++) raw->data[i] = mj_makeData(raw->model);
  return raw;
}

void raw_step(void* handle, const double* actions, int frame_skip) {
  Raw* raw = handle;
  for (int i = 0; i < raw->num_envs; i++) {
    mjData* data = raw->data[i];
    memcpy(data->ctrl, actions + 6 * i, 6 * sizeof(double));
    for (int k = 0; k < frame_skip; k++) mj_step(raw->model, data);
  }
}
