# filled by the HalfCheetah issue: adds _C_mujoco where mujoco headers are found
