"""ament_python package of launch files, parameters and the flight that needs no launch system."""

from glob import glob

from setuptools import setup

setup(
    name="tether_bringup",
    version="0.1.0",
    packages=["tether_bringup"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/tether_bringup"]),
        ("share/tether_bringup", ["package.xml"]),
        ("share/tether_bringup/launch", glob("launch/*.launch.py")),
        ("share/tether_bringup/config", glob("config/*.yaml")),
    ],
    zip_safe=True,
    maintainer="Tether contributors",
    maintainer_email="tether@example.org",
    description="Brings the policy node and a robot up together",
    license="Apache-2.0",
    entry_points={"console_scripts": ["tether_flight = tether_bringup.flight:main", "tether_walk = tether_bringup.walk:main"]},
)
