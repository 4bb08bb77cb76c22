"""ament_python package of the policy node; `tether-robot` installs the same modules without colcon."""

from setuptools import setup

setup(
    name="tether_ros",
    version="0.1.0",
    packages=["tether_ros"],
    data_files=[("share/ament_index/resource_index/packages", ["resource/tether_ros"]), ("share/tether_ros", ["package.xml"])],
    zip_safe=True,
    maintainer="Tether contributors",
    maintainer_email="tether@example.org",
    description="Flies a Tether policy file over ROS 2",
    license="Apache-2.0",
    entry_points={"console_scripts": ["policy_node = tether_ros.policy_node:main", "tether_operator = tether_ros.operator:main"]},
)
