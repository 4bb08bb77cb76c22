"""Where every console script starts. The one module with a name that nobody else has."""

from __future__ import annotations

import sys


def tether() -> int:
    """The ``tether`` command."""
    from cli.main import main

    return main(sys.argv[1:])


def policy_node() -> int:
    """The ROS 2 policy node."""
    from tether_ros.policy_node import main

    return main() or 0


def simulated_robot() -> int:
    """The simulated robot that answers over ROS 2."""
    from tether_sim.simulated_robot import main

    return main() or 0
