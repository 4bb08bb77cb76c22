"""An ONNX Runtime session set up for control: one thread, no spinning, and the provider that was asked for or none."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from deploy.policy.errors import PolicyFileError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
PATTERNS_RIGHT = (1, 31)  # 1.16.3 lays buffers of a large graph over one another from its second run on; older than this was not tried
TRIAL_STEPS = 40
LONGEST_TRIAL_PERIOD_S = 0.025


def candidates(provider: str) -> list[str]:
    """The providers to try for ``provider``: itself, or for ``auto`` all that this ONNX Runtime has, ``cpu`` first.

    Raises:
        PolicyFileError: for an unknown provider, or one that this ONNX Runtime was built without.
    """
    installed = set(onnxruntime.get_available_providers())
    available = [name for name, title in PROVIDERS.items() if title in installed]
    if provider == "auto":
        return available
    if provider not in PROVIDERS:
        raise PolicyFileError("provider", f"unknown provider {provider!r}; choose one of: auto, {', '.join(PROVIDERS)}")
    if provider not in available:
        remedy = f"use one of: auto, {', '.join(available)}, or install onnxruntime-gpu"
        raise PolicyFileError("provider", f"{provider!r} is not in this ONNX Runtime {onnxruntime.__version__}; {remedy}")
    return [provider]


def open_session(model: bytes, provider: str) -> onnxruntime.InferenceSession:
    """A session of ``model`` on exactly ``provider``.

    Raises:
        PolicyFileError: if ONNX Runtime refuses the graph, or falls back to another provider.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = _version() >= PATTERNS_RIGHT
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning takes a whole core between steps
    options.log_severity_level = 4  # errors reach the caller as exceptions
    try:
        with warnings.catch_warnings():  # of a fallback, which is an error below
            warnings.simplefilter("ignore")
            session = onnxruntime.InferenceSession(model, options, providers=[_with_options(provider)], enable_fallback=0)
        session.disable_fallback()  # or a failing step would quietly start again on another provider, in flight
        for node in (*session.get_inputs(), *session.get_outputs()):
            _ = node.name, node.shape  # raise if they are not text
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        text = f"ONNX Runtime {onnxruntime.__version__} refuses it ({first_line(error)}); export the policy again"
        raise PolicyFileError("graph", text) from error
    used = session.get_providers()[0]
    if used != PROVIDERS[provider]:
        raise PolicyFileError("provider", f"asked for {provider!r}, ONNX Runtime fell back to {used}; install its libraries or use cpu")
    return session


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _with_options(provider: str) -> Any:
    """CUDA without TF32, whose 10-bit mantissa would break parity; ONNX Runtime before 1.18 cannot say so."""
    if provider == "cuda" and _version() >= (1, 18):
        return (PROVIDERS[provider], {"use_tf32": "0"})
    return PROVIDERS[provider]


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])


def time_paced(step: Callable[[], Any], period_s: float, steps: int = TRIAL_STEPS) -> np.ndarray:
    """Durations [µs] of ``steps`` calls spaced like the control loop: back to back hides what an idle provider costs."""
    period = min(period_s, LONGEST_TRIAL_PERIOD_S)
    step()
    durations = np.empty(steps)
    due = time.monotonic()
    for index in range(steps):
        due += period
        time.sleep(max(0.0, due - time.monotonic()))
        started = time.perf_counter()
        step()
        durations[index] = (time.perf_counter() - started) * 1e6
    return durations


def fastest(timings: dict[str, np.ndarray]) -> str:
    """The provider with the smallest 99th percentile: control misses its deadline in the tail, not in the mean."""
    return min(timings, key=lambda name: float(np.percentile(timings[name], 99)))
