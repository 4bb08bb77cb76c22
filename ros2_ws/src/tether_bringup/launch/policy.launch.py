"""The policy node alone, for a robot that brings its own topics: `ros2 launch tether_bringup policy.launch.py policy:=POLICY.onnx`."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Unconfigured until an operator configures it; nothing moves by itself."""
    config = PathJoinSubstitution([FindPackageShare("tether_bringup"), "config", "policy_node.yaml"])
    policy = {"policy": LaunchConfiguration("policy"), "log": LaunchConfiguration("log")}
    return LaunchDescription(
        [
            DeclareLaunchArgument("policy", description="policy file, .onnx"),
            DeclareLaunchArgument("log", default_value="", description="where to record, .mcap; empty for no log"),
            LifecycleNode(package="tether_ros", executable="policy_node", name="policy_node", namespace="", parameters=[config, policy]),
        ]
    )
