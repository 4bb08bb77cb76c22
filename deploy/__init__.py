"""What runs on a robot: load a policy file, run it behind guards, record, replay. numpy and onnxruntime; no torch, no simulator."""
