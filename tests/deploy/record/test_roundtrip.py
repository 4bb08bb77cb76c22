"""What is written is what is read, by us and by the tools of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from deploy.guards import GuardConfig
from deploy.record import Recorder, StepLayout, read_log
from deploy.record.layout import HEAD, NEVER
from deploy.runtime import State
from tests.deploy.fakes import BATTERY, ODOMETRY, QUADROTOR, VELOCITY, FakePolicy, Flight, contract_of


def record(path: Path, ticks: int = 250, policy: FakePolicy | None = None) -> Flight:
    """A flight of ``ticks`` ticks, the last 20 of them after an e-stop."""
    policy = policy or FakePolicy(contract_of())
    with Recorder(path, policy, robot=QUADROTOR, config=GuardConfig(), notes={"seed": "3"}) as recorder:
        flight = Flight(policy, recorder=recorder)
        flight.runtime.activate()
        for number in range(ticks):
            if number == ticks - 20:
                flight.runtime.estop("test")
            flight.tick(position_base_in_world=np.array([1.0, 2.0, 3.0 + number * 1e-3]))
    assert recorder.problem is None
    return flight


def test_columns_come_back_as_they_were(tmp_path: Path) -> None:
    flight = record(tmp_path / "a.mcap")
    log = read_log(tmp_path / "a.mcap")
    assert (len(log), log.truncated, log.problems) == (250, False, [])
    np.testing.assert_array_equal(log.columns["tick"], np.arange(250))
    np.testing.assert_array_equal(log.stamps_ns, 5_000_000_000 + 10_000_000 * np.arange(1, 251))
    np.testing.assert_allclose(np.diff(log.columns["receipt_s"]), 0.01)
    seen = np.array([sensors["position_base_in_world"][0] for sensors, _, _ in flight.policy.seen], dtype=np.float64)
    flying = log.columns["policy_ran"] == 1
    np.testing.assert_array_equal(log.block("sensor.position_base_in_world")[flying], seen)
    np.testing.assert_array_equal(log.block("command.goal_position_in_world")[flying], np.tile([1.0, 2.0, 3.0], (230, 1)))
    np.testing.assert_array_equal(log.columns["actuation.collective_thrust.collective_thrust"][flying], np.float64(np.float32(0.3)))
    np.testing.assert_array_equal(log.block("policy")[flying], log.block("actuation")[flying])
    np.testing.assert_array_equal(log.columns["safe_distance"][flying], 1e6)


def test_a_stopped_robots_rows_say_that_nothing_ran_and_nothing_was_sent(tmp_path: Path) -> None:
    record(tmp_path / "a.mcap")
    log = read_log(tmp_path / "a.mcap")
    last = slice(230, 250)
    assert (log.columns["state"][last] == State.ESTOP).all()
    assert (log.columns["sent"][last] == 0).all()
    assert (log.columns["policy_ran"][last] == 0).all()
    for block in ("actuation", "policy", "reserved", "observation"):
        assert np.isnan(log.block(block)[last]).all()
    assert np.isfinite(log.block("sensor")[last]).all()
    assert log.columns["trips"][230] == 1 << 18
    assert not log.columns["trips"][231:].any()


def test_metadata_says_what_ran_where(tmp_path: Path) -> None:
    flight = record(tmp_path / "a.mcap")
    log = read_log(tmp_path / "a.mcap")
    assert log.contract == flight.policy.contract
    assert log.metadata["policy_digest"] == flight.policy.digest
    assert log.metadata["robot"] == "test_quadrotor"
    assert '"tilt_rad": 1.0' in log.metadata["robot_limits"]
    assert '"dead_man_s": 0.3' in log.metadata["guards"]
    assert '"numpy"' in log.metadata["versions"]
    assert log.metadata["seed"] == "3"


def test_memory_is_kept_at_every_start_and_every_second(tmp_path: Path) -> None:
    policy = FakePolicy()
    with Recorder(tmp_path / "a.mcap", policy) as recorder:
        flight = Flight(policy, recorder=recorder)
        for _ in range(5):
            flight.tick()
        flight.flying(150)
        flight.runtime.deactivate()
        flight.tick()
        flight.flying(110)
    log = read_log(tmp_path / "a.mcap")
    assert [(tick, vector.tolist()) for tick, vector in log.memory] == [(5, [0, 0]), (105, [100, 100]), (156, [0, 0]), (256, [100, 100])]


def test_ages_say_never_before_the_first(tmp_path: Path) -> None:
    policy = FakePolicy(contract_of(sensors=(*ODOMETRY, BATTERY), commands=(VELOCITY,), max_age_s={"battery": 9.0}))
    with Recorder(tmp_path / "a.mcap", policy) as recorder:
        flight = Flight(policy, recorder=recorder)
        flight.runtime.activate()
        flight.tick()
        flight.runtime.on_sensors("battery", {"battery_voltage": 3.7}, 1, flight.time_s)
        flight.tick()
        flight.runtime.on_command(VELOCITY.name, [1, 0], flight.time_s)
        flight.tick()
    log = read_log(tmp_path / "a.mcap")
    np.testing.assert_allclose(log.columns["age.battery"], [NEVER, 0.01, 0.02])
    np.testing.assert_allclose(log.columns["age.odometry"], 0.0)
    np.testing.assert_allclose(log.columns["command_age.velocity_in_base"], [NEVER, NEVER, 0.01])


def test_a_silent_tick_is_recorded_with_the_stamp_it_still_has(tmp_path: Path) -> None:
    policy = FakePolicy()
    with Recorder(tmp_path / "a.mcap", policy) as recorder:
        flight = Flight(policy, recorder=recorder).flying()
        flight.watch(1.0)
    log = read_log(tmp_path / "a.mcap")
    assert log.stamps_ns[-1] == log.stamps_ns[-2] == flight.stamp_ns
    assert log.columns["age.odometry"][-1] == pytest.approx(1.0)


def test_the_same_flight_is_the_same_file(tmp_path: Path) -> None:
    record(tmp_path / "a.mcap")
    record(tmp_path / "b.mcap")
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()


def test_layout_covers_every_column_once() -> None:
    layout = StepLayout.from_contract(contract_of(sensors=(*ODOMETRY, BATTERY), commands=(VELOCITY,)))
    assert len(set(layout.columns)) == layout.size
    assert layout.columns[: len(HEAD)] == HEAD
    covered = np.zeros(layout.size, dtype=int)
    for name in ("sensor", "age", "command", "command_age", "policy", "actuation", "reserved", "observation"):
        covered[layout.blocks[name]] += 1
    assert covered[: len(HEAD)].sum() == 0
    assert (covered[len(HEAD) :] == 1).all()
    for name, block in layout.blocks.items():
        if "." in name:
            assert all(column.startswith(name + ".") for column in layout.columns[block])


def test_mcap_reads_it_and_finds_small_chunks(tmp_path: Path) -> None:
    record(tmp_path / "a.mcap")
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.chunk_count > 20
        assert max(index.chunk_length for index in summary.chunk_indexes) < 8192
        topics = {channel.topic for _, channel, _ in reader.iter_messages()}
    assert topics == {"/tether/step", "/tether/memory"}


def test_mcaps_ros_2_decoder_reads_the_numbers(tmp_path: Path) -> None:
    decoder = pytest.importorskip("mcap_ros2.decoder")
    record(tmp_path / "a.mcap")
    log = read_log(tmp_path / "a.mcap")
    with (tmp_path / "a.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[decoder.DecoderFactory()])
        rows = [message.data for _, _, _, message in reader.iter_decoded_messages(topics=["/tether/step"])]
    np.testing.assert_array_equal(np.array(rows), log.rows)


def test_rosbags_reads_the_numbers(tmp_path: Path) -> None:
    highlevel = pytest.importorskip("rosbags.highlevel")
    record(tmp_path / "a.mcap")
    log = read_log(tmp_path / "a.mcap")
    with highlevel.AnyReader([tmp_path / "a.mcap"]) as reader:
        (connection,) = [item for item in reader.connections if item.topic == "/tether/step"]
        assert connection.msgtype == "std_msgs/msg/Float64MultiArray"
        rows = [reader.deserialize(data, connection.msgtype).data for _, _, data in reader.messages([connection])]
    np.testing.assert_array_equal(np.array(rows), log.rows)


def test_raw_messages_are_kept_as_they_came(tmp_path: Path) -> None:
    policy = FakePolicy()
    with Recorder(tmp_path / "a.mcap", policy) as recorder:
        recorder.raw("/battery", "std_msgs/msg/String", "string data\n", b"\x00\x01\x00\x00\x02\x00\x00\x00a\x00", 7)
        recorder.raw("/battery", "std_msgs/msg/String", "string data\n", b"\x00\x01\x00\x00\x02\x00\x00\x00b\x00", 8)
    with (tmp_path / "a.mcap").open("rb") as file:
        found = [
            (schema.name, channel.topic, message.data[8:9]) for schema, channel, message in make_reader(file).iter_messages() if schema
        ]
    assert found == [("std_msgs/msg/String", "/battery", b"a"), ("std_msgs/msg/String", "/battery", b"b")]
    assert len(read_log(tmp_path / "a.mcap")) == 0


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_log_that_another_tool_compressed_still_reads(tmp_path: Path, compression: str) -> None:
    from mcap.writer import CompressionType, Writer

    record(tmp_path / "a.mcap")
    with (tmp_path / "a.mcap").open("rb") as source, (tmp_path / "b.mcap").open("wb") as target:
        writer = Writer(target, compression=CompressionType[compression.upper()])
        writer.start(profile="ros2")
        reader = make_reader(source)
        for metadata in reader.iter_metadata():
            writer.add_metadata(metadata.name, metadata.metadata)
        channels: dict[int, int] = {}
        for schema, channel, message in reader.iter_messages():
            assert schema is not None
            if channel.id not in channels:
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, number, channel.metadata)
            writer.add_message(channels[channel.id], message.log_time, message.data, message.publish_time)
        writer.finish()
    original, copy = read_log(tmp_path / "a.mcap"), read_log(tmp_path / "b.mcap")
    assert copy.problems == []
    np.testing.assert_array_equal(copy.rows, original.rows)
