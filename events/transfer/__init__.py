"""Move a log to another server, or play it once more."""

from events.transfer.copy import MovedError
from events.transfer.export_file import ExportWriter, UnreadableExportError, read_export
from events.transfer.log_import import ForeignTargetError, import_log, plan_import
from events.transfer.playback import Playback, SameLogError, refuse_same_log

__all__ = [
    "ExportWriter",
    "ForeignTargetError",
    "MovedError",
    "Playback",
    "SameLogError",
    "UnreadableExportError",
    "import_log",
    "plan_import",
    "read_export",
    "refuse_same_log",
]
