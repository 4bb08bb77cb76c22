"""Obstacles on the wire: a cloud from the simulated robot's side, read by the policy's, whatever the order, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2, PointField

from robots.crazyflie import OBSTACLES, crazyflie, crazyflie_scout
from robots.errors import TetherError
from robots.signals import FAR_M
from sim.obstacles import RANGE_M
from tether_ros.messages import ObstacleReader, no_obstacles
from tether_sim.flyer import obstacle
from tether_sim.messages import fill_obstacles, obstacle_cloud
from tether_sim.vehicle import Vehicle

READ = ObstacleReader(OBSTACLES)


def over_the_wire(message: PointCloud2) -> PointCloud2:
    return deserialize_message(serialize_message(message), PointCloud2)


def cloud(points: list[list[float]]) -> PointCloud2:
    message = no_obstacles()
    message.width, message.row_step = len(points), 16 * len(points)
    message.data = np.array(points, dtype="<f4").tobytes()
    return message


def test_what_the_robot_says_is_what_the_policy_reads() -> None:
    reading = np.tile([FAR_M, 0.0, 0.0, 0.0], (6, 1))
    reading[:3] = [[1.0, -0.5, 0.25, 0.25], [0.0, 2.0, 0.5, 0.5], [-1.5, 2.0, 0.0, 0.125]]
    message = obstacle_cloud("base_link")
    fill_obstacles(message, reading.ravel(), RANGE_M, 5_000_000_007)
    received = over_the_wire(message)
    assert (received.width, received.header.stamp.nanosec, received.header.frame_id) == (3, 7, "base_link")
    np.testing.assert_array_equal(READ(received)[OBSTACLES.name], reading.ravel())


def test_the_nearest_surfaces_come_first_and_the_rest_is_left_out() -> None:
    points = [[float(number), 0.0, 0.0, 0.5] for number in range(9, 1, -1)] + [[0.0, 9.0, 0.0, 8.0]]
    slots = READ(cloud(points))[OBSTACLES.name].reshape(6, 4)
    assert slots[:, 3].tolist() == [8.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert slots[1:, 0].tolist() == [2.0, 3.0, 4.0, 5.0, 6.0]


def test_nobody_around_reads_far_away() -> None:
    assert READ(no_obstacles())[OBSTACLES.name].tolist() == [FAR_M, 0.0, 0.0, 0.0] * 6


def test_other_layouts_are_read_by_their_fields() -> None:
    names = ["intensity", "radius", "z", "y", "x"]
    message = PointCloud2(height=1, width=1, point_step=40, row_step=40, is_bigendian=True)
    message.fields = [PointField(name=n, offset=8 * k, datatype=PointField.FLOAT64, count=1) for k, n in enumerate(names)]
    message.data = np.array([7.0, 0.3, 3.0, 2.0, 1.0], dtype=">f8").tobytes()
    assert READ(over_the_wire(message))[OBSTACLES.name][:4].tolist() == [1.0, 2.0, 3.0, 0.3]


def test_clouds_that_cannot_be_used_are_refused() -> None:
    without = no_obstacles()
    without.fields = without.fields[:3]
    with pytest.raises(TetherError, match="lack the field radius"):
        READ(without)
    short = cloud([[1.0, 0.0, 0.0, 0.1]])
    short.width = 2
    with pytest.raises(TetherError, match="bytes for 2 points"):
        READ(short)
    with pytest.raises(TetherError, match="not finite"):
        READ(cloud([[np.nan, 0.0, 0.0, 0.1]]))


def test_a_simulated_scout_senses_what_it_is_told_is_there() -> None:
    around = [obstacle("ball 1 0 1 0.25"), obstacle("pillar 0 -2 0.5")]
    vehicle = Vehicle(crazyflie_scout, "ctbr", 50.0, {}, 0, around)
    vehicle.place([0.0, 0.0, 1.0], [0.0, 0.0, np.pi / 2], [0.0, 0.0, 0.0])
    slots = vehicle.read()[OBSTACLES.name].reshape(6, 4)
    np.testing.assert_allclose(slots[0], [0.0, -1.0, 0.0, 0.25], atol=1e-5)  # ahead in the world is to the right of who looks left
    np.testing.assert_allclose(slots[1], [-2.0, 0.0, 0.0, 0.5], atol=1e-5)
    assert slots[2:, 0].tolist() == [FAR_M] * 4
    assert OBSTACLES.name not in Vehicle(crazyflie, "ctbr", 50.0, {}, 0).read()


def test_obstacles_are_written_in_one_of_two_ways() -> None:
    with pytest.raises(TetherError, match="neither `ball X Y Z RADIUS` nor"):
        obstacle("pillar 1 2 3 4 5")
