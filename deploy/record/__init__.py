"""The log: one fixed-width record per control step, in an MCAP file that ROS 2 tools open."""

from deploy.record.layout import StepLayout
from deploy.record.reader import Log, read_log
from deploy.record.writer import Recorder

__all__ = ["Log", "Recorder", "StepLayout", "read_log"]
