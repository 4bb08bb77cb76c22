"""The file is whole: it ends properly, nothing in it is damaged, and it holds as many messages as it says.

The reader reports checksums that do not fit and salvages what it can; this check asks what it may have lost. A record whose kind byte is
damaged is skipped by every MCAP reader without a word, so what was read is counted against the file's own statistics.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from mcap.reader import make_reader

from deploy.record.writer import MEMORY_TOPIC, STEP_TOPIC
from deploy.replay.case import Case
from deploy.replay.report import Finding

MAGIC_SIZE, FOOTER_SIZE = 8, 29  # of the last record, its head included
REMEDY = "copy the file again from the robot and compare checksums; if the original is like this, record the run again"


def check(case: Case) -> list[Finding]:
    """Every problem makes the log inconclusive; damage whose place is unknown makes every row suspect."""
    findings = [_doubt(case, problem) for problem in case.log.problems if not problem.startswith("the file has no end")]
    if case.log.truncated:
        what = "the file has no end: it was cut short, or its recorder was killed; what came after is unknown"
        findings.append(Finding(severity="inconclusive", check="container", what=what, remedy=REMEDY))
    elif case.log.path.is_file():
        read = {STEP_TOPIC: len(case.log.rows), MEMORY_TOPIC: len(case.log.memory)}
        findings += [_doubt(case, problem) for problem in problems(case.log.path, read)]
    return findings


def _doubt(case: Case, problem: str) -> Finding:
    case.suspect[:] = True
    return Finding(severity="inconclusive", check="container", what=problem, remedy=REMEDY)


def problems(path: Path, read: Mapping[str, int]) -> list[str]:
    """What is wrong with a finished MCAP file from which so many messages of each topic were ``read``."""
    try:
        with path.open("rb") as file:
            return _summary(file) + _counts(file, read)
    except Exception as error:  # a damaged summary may fail in any way
        return [f"the file's summary cannot be read ({type(error).__name__}: {error})"]


def _summary(file: BinaryIO) -> list[str]:
    """CRC-32 of the summary and the footer up to the checksum itself, if the file has one (0 means none)."""
    footer = file.seek(-MAGIC_SIZE - FOOTER_SIZE, os.SEEK_END)
    start, _, checksum = struct.unpack("<QQI", file.read(FOOTER_SIZE)[9:])
    file.seek(start or footer)
    fits = not checksum or zlib.crc32(file.read(footer + FOOTER_SIZE - 4 - (start or footer))) == checksum
    return [] if fits else ["the checksum of the file's summary does not match"]


def _counts(file: BinaryIO, read: Mapping[str, int]) -> list[str]:
    """Messages read against the statistics in the summary."""
    file.seek(0)
    summary = make_reader(file).get_summary()
    if summary is None or summary.statistics is None:
        return ["the file has no summary to count its messages against"]
    stated = dict.fromkeys(read, 0)
    for channel_id, count in summary.statistics.channel_message_counts.items():
        topic = summary.channels[channel_id].topic
        stated[topic] = stated.get(topic, 0) + count
    return [
        f"{count} messages on {topic} were read, the file says {stated[topic]}" for topic, count in read.items() if stated[topic] != count
    ]
