"""ament_python package of the simulated robot; `tether` installs the same modules without colcon."""

from setuptools import setup

setup(
    name="tether_sim",
    version="0.1.0",
    packages=["tether_sim"],
    data_files=[("share/ament_index/resource_index/packages", ["resource/tether_sim"]), ("share/tether_sim", ["package.xml"])],
    zip_safe=True,
    maintainer="Tether contributors",
    maintainer_email="tether@example.org",
    description="A simulated robot that stands in at the message boundary",
    license="Apache-2.0",
    entry_points={"console_scripts": ["simulated_robot = tether_sim.simulated_robot:main"]},
)
