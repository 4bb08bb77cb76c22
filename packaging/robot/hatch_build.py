"""What the robot distribution's wheel holds. An editable install needs none of it: its .pth names the tree itself."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TREE = Path(__file__).resolve().parents[2]
CONTENTS = (
    "tether_entry.py",
    "robots",
    "deploy",
    "safety/__init__.py",
    "safety/envelope.py",
    "safety/rules",
)
ROS = "ros2_ws/src/tether_ros/tether_ros"


class Contents(BuildHookInterface):
    """Adds files that lie outside this directory."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Called before each build; ``version`` is ``standard`` or ``editable``."""
        if version == "editable":
            return
        build_data["force_include"] = {str(TREE / item): item for item in CONTENTS} | {str(TREE / ROS): "tether_ros"}
