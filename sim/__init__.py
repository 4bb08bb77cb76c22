"""Physics: batched tensors ``[num_envs, ...]`` on one device, behind one small interface."""
