"""The folder of a run, its checkpoints and metrics, what happens between its chunks, and the records of its results."""

from nopal.runs.checkpoints import Checkpoints
from nopal.runs.files import check_named, check_writable
from nopal.runs.folder import RunFolder, load_run, open_run
from nopal.runs.hooks import Checkpointer, Every, Interrupted, Interrupts, NaNGuard, Stopped
from nopal.runs.metrics import MetricsLog
from nopal.runs.progress import Progress
from nopal.runs.provenance import environment
from nopal.runs.records import Score, make_record, read_records, write_record, write_scores_csv
from nopal.runs.stopwatch import Stopwatch

__all__ = [
    "Checkpointer",
    "Checkpoints",
    "Every",
    "Interrupted",
    "Interrupts",
    "MetricsLog",
    "NaNGuard",
    "Progress",
    "RunFolder",
    "Score",
    "Stopped",
    "Stopwatch",
    "check_named",
    "check_writable",
    "environment",
    "load_run",
    "make_record",
    "open_run",
    "read_records",
    "write_record",
    "write_scores_csv",
]
