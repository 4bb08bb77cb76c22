"""The file is whole: its checksums fit, and it holds as many messages as it says.

The reader salvages what it can; this check asks what it may have lost. A record whose kind byte is damaged is skipped by every MCAP
reader without a word, so what was read is counted against the file's own statistics, and the checksums that cover everything outside the
chunks are computed.
"""

from __future__ import annotations

import io
import struct
import zlib

from mcap.reader import make_reader

from deploy.record.writer import MEMORY_TOPIC, STEP_TOPIC
from deploy.replay.case import Case
from deploy.replay.report import Finding

MAGIC_SIZE, FOOTER_SIZE, DATA_END_SIZE = 8, 29, 13  # record head included
REMEDY = "copy the file again from the robot and compare checksums; if the original is like this, record the run again"


def check(case: Case) -> list[Finding]:
    """Every problem makes the log inconclusive; damage whose place is unknown makes every row suspect."""
    findings = [_doubt(case, problem) for problem in case.log.problems if not problem.startswith("the file has no end")]
    if case.log.truncated:
        what = "the file has no end: it was cut short, or its recorder was killed; what came after is unknown"
        findings.append(Finding(severity="inconclusive", check="container", what=what, remedy=REMEDY))
    elif case.log.path.is_file():
        findings += [_doubt(case, problem) for problem in problems(case.log.path.read_bytes(), len(case.log.rows), len(case.log.memory))]
    return findings


def _doubt(case: Case, problem: str) -> Finding:
    case.suspect[:] = True
    return Finding(severity="inconclusive", check="container", what=problem, remedy=REMEDY)


def problems(data: bytes, steps: int, snapshots: int) -> list[str]:
    """What is wrong with a finished MCAP file from which ``steps`` step records and ``snapshots`` memory snapshots were read."""
    try:
        return _checksums(data) + _counts(data, {STEP_TOPIC: steps, MEMORY_TOPIC: snapshots})
    except Exception as error:  # a damaged summary may fail in any way
        return [f"the file's summary cannot be read ({type(error).__name__}: {error})"]


def _checksums(data: bytes) -> list[str]:
    """CRC-32 of the data section and of the summary, where the file has them (0 means none)."""
    footer = len(data) - MAGIC_SIZE - FOOTER_SIZE
    summary, _, summary_crc = struct.unpack_from("<QQI", data, footer + 9)
    data_end = (summary or footer) - DATA_END_SIZE
    (data_crc,) = struct.unpack_from("<I", data, data_end + 9)
    found = []
    if data_crc and zlib.crc32(data[:data_end]) != data_crc:
        found.append("the checksum of the file's data does not match")
    if summary_crc and zlib.crc32(data[summary or footer : footer + 25]) != summary_crc:
        found.append("the checksum of the file's summary does not match")
    return found


def _counts(data: bytes, read: dict[str, int]) -> list[str]:
    """Messages read against the statistics in the summary."""
    summary = make_reader(io.BytesIO(data)).get_summary()
    if summary is None or summary.statistics is None:
        return ["the file has no summary to count its messages against"]
    stated = dict.fromkeys(read, 0)
    for channel_id, count in summary.statistics.channel_message_counts.items():
        topic = summary.channels[channel_id].topic
        stated[topic] = stated.get(topic, 0) + count
    return [
        f"{count} messages on {topic} were read, the file says {stated[topic]}" for topic, count in read.items() if stated[topic] != count
    ]
