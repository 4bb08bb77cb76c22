"""The policy node as a process: `policy_node --ros-args -p policy:=POLICY.onnx …`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tether_ros import process


def _body(arguments: Sequence[str]) -> int:
    from tether_ros.node import PolicyNode

    return process.spin(PolicyNode, arguments)


def main() -> int:
    """Entry point of the console script."""
    return process.run("policy_node", _body)


if __name__ == "__main__":
    sys.exit(main())
