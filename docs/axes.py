"""Axes for the figures: a frame with a scale across and one up, each of even steps or of powers of ten."""

import math

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Axes:
    """A frame (x, y, width, height) of a drawing that shows `across` and `up`, (lowest, highest) values each.

    log: which of the two go by powers of ten, "x", "y" or "xy". Points become tenths of a pixel, or with `grain` 1
    whole ones, so that a figure does not depend on the last digits of what a machine computed.
    """

    def __init__(self, drawing, frame, across, up, log="", grain=0.1):
        self.drawing, self.frame, self.log, self.grain = drawing, frame, log, grain
        self.across, self.up = self._scaled("x", across), self._scaled("y", up)

    def _scaled(self, axis, values):
        return [math.log10(value) if axis in self.log else value for value in values]

    def at(self, x, y):
        """The pixel of a point."""
        left, top, width, height = self.frame
        (low, high), (bottom, highest) = self.across, self.up
        (x,), (y,) = self._scaled("x", [x]), self._scaled("y", [y])
        place = left + width * (x - low) / (high - low), top + height * (highest - y) / (highest - bottom)
        return tuple(round(value / self.grain) * self.grain for value in place)

    def border(self):
        left, top, width, height = self.frame
        self.drawing.line([(left, top), (left, top + height), (left + width, top + height)], "line")

    def ticks_across(self, values, show):
        """A faint line at each value, its text beneath the frame."""
        top, height = self.frame[1], self.frame[3]
        for value in values:
            x = self.at(value, self._anything("y"))[0]
            self.drawing.line([(x, top), (x, top + height)], "grid")
            if text := show(value):
                self.drawing.text(x, top + height + 14, text, "small")

    def ticks_up(self, values, show):
        """A faint line at each value, its text left of the frame."""
        left, width = self.frame[0], self.frame[2]
        for value in values:
            y = self.at(self._anything("x"), value)[1]
            self.drawing.line([(left, y), (left + width, y)], "grid")
            if text := show(value):
                self.drawing.text(left - 8, y, text, "small", "end")

    def _anything(self, axis):
        """Some value that the axis can show."""
        lowest = (self.across if axis == "x" else self.up)[0]
        return 10**lowest if axis in self.log else lowest

    def names(self, across, up):
        """What the axes are: one name beneath the frame (or none), one above its left end."""
        left, top, width, height = self.frame
        if across:
            self.drawing.text(left + width / 2, top + height + 36, across, "faint")
        self.drawing.text(left, top - 16, up, "faint", "start")

    def curve(self, points, kind):
        self.drawing.line([self.at(*point) for point in points], kind)

    def dots(self, points, kind, radius=3.5):
        for point in points:
            self.drawing.dot(*self.at(*point), kind, radius)


def power(value):
    """1e-06 -> 10⁻⁶; 1 and 10 as they are."""
    exponent = round(math.log10(value))
    return f"{value:g}" if exponent in (0, 1) else "10" + str(exponent).translate(SUPERSCRIPTS)


def number(value, digits=2):
    """A number with that many decimals at most, its sign a minus and not a hyphen."""
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text.replace("-", "−")
