"""What the tests of this room are given besides a log."""

from pathlib import Path

import pytest

from events.log.log import EventLog
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots


@pytest.fixture
def snapshots(log: EventLog, tmp_path: Path) -> Snapshots:
    """The snapshots of partition 0, in a folder that is gone with the test."""
    return Snapshots(log, 0, SnapshotSettings(str(tmp_path)))
