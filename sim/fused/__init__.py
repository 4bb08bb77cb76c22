"""Fused kernels: the eager code of engines and tasks, run once on symbols, becomes one loop over environments, forward and backward.

Data flows one way: `traced` runs a function on symbolic tensors and leaves its arithmetic in a `graph`, `loop` what is repeated; `adjoint`
adds the graph of its gradient; `source` writes both as C++ or CUDA; `build` compiles, caches and loads; `kernel` runs the result; `plan`
hands tensors to it; `fuse` chooses the plan, or runs eagerly. Beside it, `remembered` saves making the same arguments anew.
"""
