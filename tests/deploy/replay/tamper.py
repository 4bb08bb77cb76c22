"""Write a log again with something in it changed: every checksum fits, only the content lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mcap.writer import CompressionType, Writer

from deploy.record import Log, cdr
from deploy.record.writer import MEMORY_TOPIC, METADATA, STEP_TOPIC


@dataclass
class Edit:
    """A log's content, free to be changed: rows ``[T, columns]``, memory snapshots (tick, vector), metadata."""

    log: Log
    rows: np.ndarray
    memory: list[tuple[float, np.ndarray]]
    metadata: dict[str, str]

    @classmethod
    def of(cls, log: Log) -> Edit:
        return cls(log, log.rows.copy(), [(float(tick), vector.copy()) for tick, vector in log.memory], dict(log.metadata))

    def index(self, column: str) -> int:
        return self.log.layout.index(column)

    def block(self, name: str) -> np.ndarray:
        """A view of a block's columns."""
        return self.rows[:, self.log.layout.blocks[name]]

    def write(self, path: Path, *, data_crcs: bool = False) -> Path:
        """Encode it as a recorder would have, with a checksum over everything before the summary if ``data_crcs``."""
        with path.open("wb") as file:
            writer = Writer(file, chunk_size=4096, compression=CompressionType.NONE, enable_data_crcs=data_crcs)
            writer.start(profile="ros2", library="tether")
            writer.add_metadata(METADATA, self.metadata)
            schema = writer.register_schema(cdr.SCHEMA_NAME, "ros2msg", cdr.SCHEMA_TEXT.encode())
            step = writer.register_channel(STEP_TOPIC, "cdr", schema, {"columns": self.log.layout.to_json()})
            memory = writer.register_channel(MEMORY_TOPIC, "cdr", schema, {})
            waiting = list(self.memory)
            for number, row in enumerate(self.rows):
                while waiting and waiting[0][0] <= row[0]:
                    tick, vector = waiting.pop(0)
                    writer.add_message(memory, number, cdr.encode(np.concatenate([[tick], vector.astype(np.float64)])), number)
                writer.add_message(step, number, cdr.encode(row), number)
            writer.finish()
        return path
