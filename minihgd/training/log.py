"""Logs as CSV files: a row per step, or per evaluation, readable while the run goes on (docs/13-training.md)."""

import csv
import os

from ..files import naming, written_aside


class Log:
    """A CSV file with a header, which appears, with its folder, when the first row is written.

    path: of the file. columns: the header, "step" among it. first_step: the step that the run starts from; rows up
    to it are kept.
    """

    def __init__(self, path, columns, first_step):
        self.path, self.columns, self.first_step, self._file = path, columns, first_step, None

    def _open(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        rows = [row for row in self._rows() if int(row["step"]) <= self.first_step] if self.first_step else []
        with written_aside(self.path, "w") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self._file = open(self.path, "a", encoding="utf-8")

    def _rows(self):
        if not os.path.exists(self.path):
            return []
        with open(self.path, encoding="utf-8", newline="") as file:
            # A killed run may leave half a row at the end.
            return [row for row in csv.DictReader(file) if all(row.get(c) for c in self.columns)]

    def write(self, *values):
        """Add a row, `values` in the order of the columns. Raises OSError, naming the file."""
        if self._file is None:
            self._open()
        with naming(self.path):
            csv.writer(self._file, lineterminator="\n").writerow(values)
            self._file.flush()

    def has(self, step):
        """Whether there is a row of a step already."""
        return any(int(row["step"]) == step for row in self._rows())

    def close(self):
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


class NoLog:
    """Of a process whose rows another one writes: nothing ever lacks here."""

    def write(self, *values):
        """Nothing: the row is another process's to write."""
        pass

    def has(self, step):
        """Yes: no row is missed here."""
        return True

    def close(self):
        """Nothing: no file is open."""
        pass
