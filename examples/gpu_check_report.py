"""The report of gpu_check.py: checks, tables and sentences, printed as they come and written to report.md and .json."""

import contextlib
import datetime
import json
import shlex
import sys
import time
import traceback
from pathlib import Path

from minihgd.report.tables import aligned


class Report:
    """Sections of a report in a folder. `facts` (device, versions) stand at its beginning."""

    def __init__(self, folder):
        self.folder, self.sections, self.numbers = Path(folder), [], {}
        self.facts = {"date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
                      "command": shlex.join(["python", *sys.argv])}
        self.folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def section(self, title):
        """What is said inside belongs to this section."""
        started, content = time.perf_counter(), []
        self.sections.append(dict(title=title, content=content, checks=[], seconds=0))
        print(f"\n== {title}", flush=True)
        with self.part(title):
            yield
        self.sections[-1]["seconds"] = time.perf_counter() - started
        self.write()

    @contextlib.contextmanager
    def part(self, title):
        """An error ends what is inside, and not the program; it is a check that failed."""
        try:
            yield
        except Exception as error:  # whatever it is, the other parts go on
            self.verify(f"{title}: {type(error).__name__}: {error}", False)
            self._add("code", traceback.format_exc().splitlines()[-30:])

    def say(self, text):
        self._add("text", text)

    def table(self, rows, left=(0,)):
        """Rows of texts, the first of them the header; columns whose numbers are in `left` are set to the left."""
        self._add("table", [[str(cell) for cell in row] for row in rows], left=list(left))

    def keep(self, name, value):
        """Numbers for report.json alone, in full."""
        self.numbers[name] = value

    def check(self, text, found, limit):
        """Note whether a number is at most `limit`; not a number is not."""
        return self.verify(f"{text}: {found:.1e}, limit {limit:g}", found <= limit)

    def verify(self, text, passed, quiet=False):
        """Note a check that passed or failed. quiet: it is not said where it passed, for a table says it."""
        if not (passed and quiet):
            self._add("text", f"{'passed' if passed else 'FAILED'}: {text}")
        self.sections[-1]["checks"].append(dict(text=text, passed=bool(passed)))
        return bool(passed)

    def _add(self, kind, value, **more):
        self.sections[-1]["content"].append(dict(kind=kind, value=value, **more))
        print("\n".join(_lines(kind, value, more.get("left", (0,)))), flush=True)

    def checks(self):
        """(passed, failed): how many so far."""
        passed = [check["passed"] for section in self.sections for check in section["checks"]]
        return sum(passed), len(passed) - sum(passed)

    def write(self):
        """Both files, of the sections so far: what was measured is not lost if the next section ends the program."""
        passed, failed = self.checks()
        everything = dict(self.facts, passed=passed, failed=failed, numbers=self.numbers, sections=self.sections)
        (self.folder / "report.json").write_text(json.dumps(everything, indent=1, default=str), encoding="utf-8")
        lines = ["# minihgd on a GPU", "", *(f"- {key}: {value}" for key, value in self.facts.items()), "",
                 f"{passed} checks passed, {failed} failed.", ""]
        failures = [check["text"] for section in self.sections for check in section["checks"] if not check["passed"]]
        lines += [f"- FAILED: {text}" for text in failures] + [""] * bool(failures)
        for section in self.sections:
            lines += [f"## {section['title']}", "", f"{section['seconds']:.0f} seconds", ""]
            for part in section["content"]:
                lines += [*_markdown(part), ""]
        (self.folder / "report.md").write_text("\n".join(lines), encoding="utf-8")


def _lines(kind, value, left):
    return aligned(value, tuple(left)) if kind == "table" else value if kind == "code" else [value]


def _markdown(part):
    if part["kind"] == "table":
        header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in part["value"])
        marks = [":--" if i in part["left"] else "--:" for i in range(len(header))]
        return ["| " + " | ".join(row) + " |" for row in (header, marks, *rows)]
    return ["```", *part["value"], "```"] if part["kind"] == "code" else [part["value"]]
