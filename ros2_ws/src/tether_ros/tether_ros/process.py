"""How a process of ours starts, is scheduled, spins and ends: one-line errors, and signals that leave time for a last message."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from robots.errors import TetherError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
ROS_PACKAGES = ("rclpy", "rcl_interfaces", "std_srvs")
NO_ROS = (
    "ROS 2 for Python (rclpy and its messages) is not installed; run: pip install 'tether[ros]', "
    "or source your ROS 2 distribution's setup.bash"
)


def run(program: str, body: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> int:
    """Run ``body(argv)`` and return its exit code; whatever the user can put right becomes one line on stderr and exit code 2.

    A stop signal unwinds the body like Ctrl-C; the exit code is 130. `spin` handles them itself.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return body(sys.argv if arguments is None else arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        reason = NO_ROS if package in ROS_PACKAGES or package.endswith("_msgs") else f"{error}; install it for {sys.executable}"
    except TetherError as error:
        reason = str(error)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    print(f"{program}: error: {reason}", file=sys.stderr)
    return TetherError.exit_code


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def spin(make_node: Callable[[], Any], arguments: Sequence[str]) -> int:
    """Initialise ROS, spin the node on one thread until a stop signal, then call its ``stop()`` while it can still publish.

    ROS's own signal handlers invalidate the context first, and a last command would never leave. Here a signal only writes to a pipe, and a
    thread that reads it wakes the executor, which may be asleep in C. A second signal ends the process.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    signals = _signal_pipe()
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy's own types for bad --ros-args differ between distributions
        raise TetherError(f"the ROS arguments are not valid: {_first_line(error)}") from error
    try:
        node = make_node()
        done = threading.Event()
        wake = node.create_guard_condition(done.set)
        threading.Thread(target=_wait_for_stop, args=(signals, wake.trigger), daemon=True).start()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            while not done.is_set():
                executor.spin_once()
        finally:
            node.stop()
            executor.remove_node(node)
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return 0


def may_be_realtime(priority: int) -> bool:
    """Whether this process may have ``priority``; tried, since limits, capabilities and containers all have a say."""
    before, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    os.sched_setscheduler(0, before, parameter)
    return True


def prioritise(priority: int) -> None:
    """Give every thread there is, the middleware's too, a real-time priority; those started later inherit it.

    A thread without it could be put aside while it holds the interpreter's lock, and the control loop would wait for it.

    Raises:
        TetherError: if the system does not allow it.
    """
    if priority == 0:
        return
    try:
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        remedy = "raise `ulimit -r` (rtprio in /etc/security/limits.conf) or use 0"
        raise TetherError(f"realtime_priority {priority} is not allowed here ({error.strerror}); {remedy}") from error


def _signal_pipe() -> int:
    """A file descriptor that gives one byte, its number, per stop signal, whichever thread the signal found."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    return readable


def _wait_for_stop(signals: int, wake: Callable[[], None]) -> None:
    os.read(signals, 1)
    wake()
    os._exit(128 + os.read(signals, 1)[0])


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split())
