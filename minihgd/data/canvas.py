"""The canvas on which the sample scenes are painted: one mask per layer, for the image and for the label alike.

Lengths are in units of the image's shorter side, x to the right and y down. A colour is 3×1×1 with values 0..255, or
3×H×W: here the channels come first, because a layer is then three products of whole H×W planes.
A network trained on such scenes: docs/13-training.md.
"""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .context_classes import CLASSES

ID = dict(CLASSES)
SUPERSAMPLE = 3  # polygons are drawn so many times larger and averaged down, which smooths their edges
LIGHTS = np.array([  # the colours of the zenith, of the horizon and of the sunlight
    [(66, 120, 198), (184, 211, 236), (255, 250, 240)],  # noon
    [(108, 150, 206), (242, 222, 198), (255, 240, 220)],  # morning
    [(96, 102, 164), (250, 188, 142), (255, 218, 190)],  # evening
    [(158, 170, 186), (212, 219, 226), (228, 234, 242)],  # overcast
])


def colour(*rgb):
    """Red, green and blue as a colour, 3×1×1."""
    return np.array(rgb, np.float32).reshape(3, 1, 1)


def enlarged(grid, size, axis):
    """A smooth curve of `size` values through the grid's values along one axis, evenly spaced from end to end."""
    place = np.linspace(0, grid.shape[axis] - 1, size, dtype=np.float32)
    left = np.minimum(place.astype(int), grid.shape[axis] - 2)
    share = place - left
    share = share * share * (3 - 2 * share)  # level at every grid value, hence no kinks there
    share = share[:, None] if axis == 0 else share
    return np.take(grid, left, axis) * (1 - share) + np.take(grid, left + 1, axis) * share


class Canvas:
    """An image and its label, painted together.

    `image` 3×H×W float32, `ids` H×W uint16; `x` 1×W and `y` H×1 are the places of the pixels' centres, `width` and
    `height` the lengths of the sides; `zenith`, `haze` and `sun` the colours of this scene's light.
    """

    def __init__(self, rng, height, width):
        height, width = int(height), int(width)  # a NumPy integer would turn every float32 below into float64
        self.rng, self.shape, self.unit = rng, (height, width), min(height, width)
        self.height, self.width = height / self.unit, width / self.unit
        self.y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / self.unit
        self.x = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / self.unit
        self.image = np.zeros((3, height, width), np.float32)
        self.ids = np.zeros((height, width), np.uint16)
        mixture = rng.dirichlet([0.5] * len(LIGHTS))  # mostly one of them
        self.zenith, self.haze, self.sun = (colour(*rgb) for rgb in np.tensordot(mixture, LIGHTS, 1))

    def put(self, mask, paint, name=None):
        """Lay the colour `paint` on through `mask`, H×W in 0..1, and label as `name` what is more than half covered.

        Without a name it is light or shade on what is there, which keeps its label.
        """
        self.image += mask * (paint - self.image)
        if name is not None:
            self.ids[mask > 0.5] = ID[name]

    def cover(self, *polygons):
        """How much of each pixel the polygons (each N×2, x and y) cover together, H×W in 0..1."""
        height, width = self.shape
        large = Image.new("L", (width * SUPERSAMPLE, height * SUPERSAMPLE))
        draw = ImageDraw.Draw(large)
        for polygon in polygons:
            draw.polygon((np.asarray(polygon) * (self.unit * SUPERSAMPLE)).ravel().tolist(), fill=255)
        return np.asarray(large.reduce(SUPERSAMPLE)) * np.float32(1 / 255)

    def inside(self, distance):
        """A mask from distances to an edge, positive inside: 1 there, 0 outside, a ramp one pixel wide between."""
        return np.clip(distance * self.unit + 0.5, 0, 1)

    def noise(self, rows, columns, octaves=3):
        """Smooth noise H×W around 0: random grids enlarged and added, each twice as fine and half as strong."""
        height, width = self.shape
        total = np.zeros(self.shape, np.float32)
        for fold in 2 ** np.arange(octaves):
            grid = self.rng.standard_normal((rows * fold, columns * fold), dtype=np.float32) / np.float32(fold)
            total += enlarged(enlarged(grid, width, 1), height, 0)
        return total

    def outline(self, level, tilt, roughness, columns, octaves=3):
        """The height y at every column, 1×W, of a tilted line with smooth noise on it."""
        noise = np.zeros_like(self.x)
        for fold in 2 ** np.arange(octaves):
            grid = self.rng.standard_normal((1, columns * fold), dtype=np.float32) / np.float32(fold)
            noise += enlarged(grid, self.shape[1], 1)
        return level + tilt * (self.x - self.width / 2) + roughness * noise

    def lit(self, base, spread=8):
        """The colour `base` (3 numbers), a little different every time, in this scene's sunlight."""
        varied = np.clip(np.asarray(base) + self.rng.normal(0, spread, 3), 12, 250)
        return colour(*varied) * (self.sun / 255)

    def lacquer(self):
        """A vivid colour in this scene's sunlight."""
        hue, saturation, value = self.rng.random(), self.rng.uniform(0.35, 0.85), self.rng.uniform(0.5, 0.92)
        return colour(*colorsys.hsv_to_rgb(hue, saturation, value)) * self.sun

    def shadow(self, x, y, radius_x, radius_y, strength=0.5):
        """The soft dark spot on the ground under an object."""
        spot = np.exp(-(((self.x - x) / radius_x) ** 2)) * np.exp(-(((self.y - y) / radius_y) ** 2))
        self.image *= 1 - strength * spot

    def photograph(self):
        """The painting as a camera has it, lit from one side, slightly unsharp and with noise: H×W×3 uint8."""
        rng = self.rng
        slope = rng.uniform(-0.15, 0.15) * (self.x / self.width - 0.5)
        exposed = np.clip(self.image * (rng.uniform(0.88, 1.08) + slope), 0, 255).astype(np.uint8)
        sharp = Image.fromarray(np.ascontiguousarray(exposed.transpose(1, 2, 0)))
        blurred = np.asarray(sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.6))))
        grain = rng.standard_normal(blurred.shape, dtype=np.float32) * np.float32(rng.uniform(1.5, 4.5))
        return np.clip(blurred + grain, 0, 255).astype(np.uint8)


def box(left, top, right, bottom):
    """A rectangle as a polygon, 4×2."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def ellipse(x, y, radius_x, radius_y, points=20):
    """An ellipse as a polygon, points×2."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)


def blob(rng, x, y, radius_x, radius_y):
    """An ellipse with an irregular outline, for foliage, as a polygon 20×2."""
    wobble = 1 + rng.uniform(-0.16, 0.16, (20, 1))
    return ellipse(0, 0, radius_x, radius_y) * wobble + (x, y)
