"""Logs as CSV files: a row per step, or per evaluation, readable while the run goes on."""

import csv
import os

from ..files import written_aside


class Log:
    """A CSV file with a header. A run that resumes drops the rows after the step it starts from."""

    def __init__(self, path, columns, first_step):
        self.path, self.columns = path, columns
        rows = [row for row in self._rows() if int(row["step"]) <= first_step] if first_step else []
        with written_aside(path, "w") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self._file = open(path, "a", encoding="utf-8")

    def _rows(self):
        if not os.path.exists(self.path):
            return []
        with open(self.path, encoding="utf-8", newline="") as file:
            # A killed run may leave half a row at the end.
            return [row for row in csv.DictReader(file) if all(row.get(c) for c in self.columns)]

    def write(self, *values):
        """Add a row, `values` in the order of the columns."""
        csv.writer(self._file, lineterminator="\n").writerow(values)
        self._file.flush()

    def close(self):
        self._file.close()
