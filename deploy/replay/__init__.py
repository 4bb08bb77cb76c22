"""Judge logged flights: is the log whole, did the policy do what the file says, did the robot stay inside its envelope, in time?"""

from deploy.replay.replay import examine, replay
from deploy.replay.report import Finding, Report

__all__ = ["Finding", "Report", "examine", "replay"]
