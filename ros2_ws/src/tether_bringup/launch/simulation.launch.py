"""The policy node and the simulated robot: `ros2 launch tether_bringup simulation.launch.py policy:=POLICY.onnx log:=FILE.mcap`.

For a policy of the Go2 add `robot_config:=simulated_go2.yaml`.
"""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """The policy node stays unconfigured until an operator configures it, for example `tether_operator`."""
    config = PathJoinSubstitution([FindPackageShare("tether_bringup"), "config"])
    policy = {"policy": LaunchConfiguration("policy"), "log": LaunchConfiguration("log")}
    return LaunchDescription(
        [
            DeclareLaunchArgument("policy", description="policy file, .onnx"),
            DeclareLaunchArgument("log", default_value="", description="where to record, .mcap; empty for no log"),
            DeclareLaunchArgument("robot_config", default_value="simulated_robot.yaml", description="which robot is simulated; in config/"),
            Node(
                package="tether_sim",
                executable="simulated_robot",
                name="simulated_robot",
                parameters=[PathJoinSubstitution([config, LaunchConfiguration("robot_config")])],
            ),
            LifecycleNode(
                package="tether_ros",
                executable="policy_node",
                name="policy_node",
                namespace="",
                parameters=[PathJoinSubstitution([config, "policy_node.yaml"]), policy],
            ),
        ]
    )
