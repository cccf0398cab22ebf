"""Little landscapes with their labels, painted from a random generator: to train on where no data set is at hand.

In three places only the rest of the image decides, because two classes share one painter and differ in nothing else:

- *bus* and *train* (`carriage_side`, `carriage_front`): a bus is in a scene with a road and no track, a train in
  one with a track and no road.
- *aeroplane* and *bird* (`flyer`): an aeroplane is in the sky of a scene with a road, a bird in the sky of one
  without road and buildings.
- *snow* and *ground* (`pale_field`): the pale ground is the beach of a scene with water; snow is where none is.

A codeword sees all of the image: docs/08-softmax-pooling.md. Training on such scenes: docs/13-training.md.
"""

import numpy as np

from .canvas import Canvas
from .scene_objects import boat, car_behind, car_side, carriage_front, carriage_side, cow, flyer, houses, tree


def paint(rng, height=96, width=128, scene=None):
    """One scene: image H×W×3 uint8 and label H×W uint16, whose values are ids of the 59 classes.

    `scene` is one of `SCENES`, or None for any of them.
    """
    canvas = Canvas(rng, height, width)
    if scene is None:
        scene = SCENES[rng.integers(len(SCENES))]
    scene(canvas)
    return canvas.photograph(), canvas.ids


# Fields, which reach across the image. A line is the height y at every column, 1×W.

def sky(c):
    """Zenith to horizon, with clouds stretched sideways."""
    depth = np.clip(c.y / (0.6 * c.height), 0, 1)
    c.put(np.ones(c.shape, np.float32), c.zenith + depth * (c.haze - c.zenith), "sky")
    clouds = np.clip(0.8 * c.noise(4, 3, 4) - c.rng.uniform(-0.1, 0.8), 0, 1)
    c.put(clouds * c.rng.uniform(0.4, 0.9), 0.75 * c.sun + 0.25 * c.haze + 10)


def mountains(c, horizon):
    """One range or two, the farther one hazier; some with snow on top, which is still mountain."""
    rock = c.lit(c.rng.choice([(96, 92, 96), (110, 98, 86), (84, 96, 92)]))
    for distance in ([0.55, 0.25] if c.rng.random() < 0.5 else [0.35]):
        level = horizon - c.rng.uniform(0.12, 0.2) - 0.12 * distance
        top = c.outline(level, c.rng.uniform(-0.08, 0.08), 0.06, 4)
        faces = np.clip(c.noise(5, 6), -1.5, 1.5)
        shaded = rock * (1 + 0.22 * faces)
        mask = c.inside(c.y - top)
        c.put(mask, shaded + distance * (c.haze - shaded), "mountain")
        if c.rng.random() < 0.5:
            caps = np.clip((top + 0.07 + 0.04 * faces - c.y) * 20, 0, 0.85)
            c.put(mask * caps, 0.6 * c.sun + 0.4 * c.haze)


def receding(c, texture, horizon):
    """A texture H×W laid on the ground: finer towards the horizon, as a row there stands for more depth."""
    below = np.clip((c.y[:, 0] - horizon) / (c.height - horizon), 0, 1)
    depth = 1 / (0.12 + below)  # the small number keeps the horizon at a finite distance
    rows = (len(texture) - 1) * (depth - depth.min()) / (depth.max() - depth.min())
    return texture[rows.astype(int)]


def field(c, name, base, line, strength):
    """All below a line, in one colour with a texture that recedes."""
    texture = receding(c, c.noise(14, 5), line.min()) + 0.5 * c.noise(5, 3, 2)
    c.put(c.inside(c.y - line), base * (1 + strength * texture), name)


def grass(c, line):
    """Green or dry, with a grain of blades."""
    field(c, "grass", c.lit(c.rng.choice([(104, 140, 62), (88, 126, 56), (138, 146, 70)])), line, 0.13)
    blades = c.rng.standard_normal(c.shape, dtype=np.float32)
    c.image *= 1 + 0.05 * blades * c.inside(c.y - line)


def pale_field(c, name, line):
    """Snow or bright sand: which of the two, only the rest of the scene tells."""
    field(c, name, c.lit((230, 227, 222), 7), line, 0.05)


def water(c, horizon):
    """Blue or green, with the scene above the horizon mirrored in its ripples."""
    height, width = c.shape
    ripples = receding(c, c.noise(24, 4), horizon)
    shoreline = horizon * c.unit
    mirrored = 2 * shoreline - np.arange(height)[:, None] + 2.5 * ripples  # H×W, the row that each pixel reflects
    reflection = c.image[:, np.clip(mirrored, 0, shoreline - 1).astype(int), np.arange(width)]
    own = c.lit((52, 104, 128)) * (1 + 0.12 * ripples)
    c.put(c.inside(c.y - horizon) * np.ones_like(c.x), 0.5 * own + 0.45 * reflection, "water")


# Ways. Where a way lies is three maps H×W: its mask; across, -1..1 from one edge to the other; and along, in lengths
# that look shorter the farther they are.

def way_ahead(c, horizon):
    """A way from the lower edge to the horizon, in one-point perspective, with a bend."""
    near = np.clip((c.y - horizon) / (c.height - horizon), 1e-3, None)  # 0 at the horizon, 1 at the lower edge
    vanishing, foot = c.width * c.rng.uniform(0.35, 0.65), c.width * c.rng.uniform(0.35, 0.65)
    bend = c.width * c.rng.uniform(-0.1, 0.1)
    centre = vanishing + (foot - vanishing) * near + bend * np.sin(np.pi * near)
    half = c.width * c.rng.uniform(0.36, 0.46) * near
    mask = c.inside(half - np.abs(c.x - centre)) * c.inside(c.y - horizon)
    return mask, (c.x - centre) / half, np.broadcast_to(1 / near, c.shape)


def way_across(c, level):
    """A way from the left edge to the right one, below a line that is a little tilted."""
    line = c.outline(level, c.rng.uniform(-0.04, 0.04), 0, 2)
    near = np.clip((c.y - line) / (c.height - level), 0, 1)
    along = 10 + 2.2 * (c.x - c.width / 2) / (0.8 + near)
    return c.inside(c.y - line), 2 * near - 1, along


def road(c, mask, across, along):
    """Asphalt with a dashed line in the middle and a pale edge on both sides."""
    c.put(mask, c.lit((98, 100, 108), 5) * (1 + 0.07 * c.noise(12, 16)), "road")
    dashes = (np.abs(across) < 0.045) & (2 * along % 1 < 0.55)
    edges = np.abs(np.abs(across) - 0.92) < 0.04
    c.put(0.8 * mask * (dashes | edges), c.lit((226, 224, 214)))


def track(c, mask, across, along):
    """Ballast, dark sleepers across, and two bright rails."""
    c.put(mask, c.lit((146, 114, 86), 5) * (1 + 0.12 * c.noise(24, 32, 2)), "track")
    sleepers = (np.abs(across) < 0.8) & (4 * along % 1 < 0.45)
    c.put(0.8 * mask * sleepers, c.lit((70, 50, 40), 4))
    rails = np.abs(np.abs(across) - 0.55) < 0.06
    c.put(0.9 * mask * rails, c.lit((190, 192, 198), 4))


# Scenes, from back to front.

def chance(c, probability):
    """True with a probability of 0 to 1."""
    return c.rng.random() < probability


def somewhere(c, margin=0.3):
    """A place x between the image's sides."""
    return c.rng.uniform(margin, c.width - margin)


def fly(c, name, roofs, x=None):
    """A flyer in the sky well above the height y of roofs or horizon."""
    x = somewhere(c, 0.25) if x is None else x
    flyer(c, name, x, c.rng.uniform(0.18, max(0.19, 0.5 * roofs)))


def open_country(c):
    """Sky, sometimes mountains, and grass; returns the horizon's height y."""
    horizon = c.height * c.rng.uniform(0.46, 0.54)
    sky(c)
    if chance(c, 0.45):
        mountains(c, horizon)
    grass(c, c.outline(horizon, c.rng.uniform(-0.03, 0.03), 0.01, 3))
    return horizon


def roadside_trees(c, horizon):
    """A tree on one side or on both, clear of the middle."""
    for side in c.rng.permutation([0.1, 0.9])[: c.rng.integers(1, 3)]:
        x = c.width * (side + c.rng.uniform(-0.08, 0.08))
        tree(c, x, horizon + c.rng.uniform(0.05, 0.15), c.rng.uniform(0.4, 0.6), conifer=chance(c, 0.3))


def city(c):
    """A street before a row of houses: bus, car, aeroplane."""
    street = c.height * c.rng.uniform(0.6, 0.68)
    sky(c)
    houses(c, street + 0.03)
    road(c, *way_across(c, street))
    if chance(c, 0.3):
        tree(c, somewhere(c), street + 0.03, c.rng.uniform(0.4, 0.5))
    with_bus = chance(c, 0.85)
    if with_bus:
        carriage_side(c, "bus", somewhere(c, 0.45), street + c.rng.uniform(0.1, 0.16))
    if not with_bus or chance(c, 0.5):
        car_side(c, somewhere(c), c.height - c.rng.uniform(0.03, 0.06))
    if chance(c, 0.6):
        fly(c, "aeroplane", street - 0.35)


def country_road(c):
    """A road to the horizon through grass: bus or car, trees, aeroplane."""
    horizon = open_country(c)
    road(c, *way_ahead(c, horizon + 0.01))
    roadside_trees(c, horizon)
    vehicle_x, vehicle_y = c.width / 2 + c.rng.uniform(-0.06, 0.06), c.height * c.rng.uniform(0.84, 0.92)
    if chance(c, 0.6):  # as often, next to those from the side, as a train is seen from the front
        carriage_front(c, "bus", vehicle_x, vehicle_y)
    else:
        car_behind(c, vehicle_x, vehicle_y)
    if chance(c, 0.6):
        fly(c, "aeroplane", horizon)


def railway(c):
    """A track through grass, across the image or to the horizon: train, trees, bird."""
    horizon = open_country(c)
    from_side, with_train = chance(c, 0.58), chance(c, 0.95)
    if from_side:
        roadside_trees(c, horizon)
        track(c, *way_across(c, c.height * c.rng.uniform(0.62, 0.7)))
        if with_train:
            carriage_side(c, "train", somewhere(c, 0.45), c.height * c.rng.uniform(0.78, 0.85))
    else:
        track(c, *way_ahead(c, horizon + 0.01))
        roadside_trees(c, horizon)
        if with_train:
            vehicle_x, vehicle_y = c.width / 2 + c.rng.uniform(-0.06, 0.06), c.height * c.rng.uniform(0.84, 0.92)
            carriage_front(c, "train", vehicle_x, vehicle_y)
    if chance(c, 0.4):
        fly(c, "bird", horizon)


def shore(c):
    """A lake or the sea behind a pale beach: boat, mountains, bird."""
    horizon = c.height * c.rng.uniform(0.4, 0.48)
    sky(c)
    if chance(c, 0.6):
        mountains(c, horizon)
    water(c, horizon)
    side = c.rng.choice([0.18, -0.18])  # the boat on one side, the bird on the other
    if chance(c, 0.9):
        boat(c, c.width * (0.5 + side + c.rng.uniform(-0.08, 0.08)), horizon + c.rng.uniform(0.1, 0.18))
    if chance(c, 0.6):
        fly(c, "bird", horizon, c.width * (0.5 - side + c.rng.uniform(-0.06, 0.06)))
    beach = c.outline(c.height * c.rng.uniform(0.68, 0.76), c.rng.uniform(-0.12, 0.12), 0.02, 3)
    c.put(0.6 * c.inside(c.y - beach + 0.025), c.lit((226, 226, 220)))  # foam, still water
    pale_field(c, "ground", beach)


def meadow(c):
    """Grass in gentle hills: cow, trees, bird."""
    horizon = c.height * c.rng.uniform(0.42, 0.52)
    sky(c)
    if chance(c, 0.4):
        mountains(c, horizon)
    grass(c, c.outline(horizon, c.rng.uniform(-0.1, 0.1), 0.03, 3))
    side = c.rng.choice([1, -1])  # trees on one side, the bird on the other
    for _ in range(c.rng.integers(0, 3)):
        x = c.width * (0.5 + side * c.rng.uniform(0.05, 0.42))
        tree(c, x, horizon + c.rng.uniform(0.04, 0.14), c.rng.uniform(0.4, 0.6))
    if chance(c, 0.95):
        cow(c, somewhere(c), c.height * c.rng.uniform(0.78, 0.92))
    if chance(c, 0.5):
        fly(c, "bird", horizon, c.width * (0.5 - side * c.rng.uniform(0.1, 0.25)))


def winter(c):
    """Snow before mountains, with conifers."""
    horizon = c.height * c.rng.uniform(0.46, 0.56)
    sky(c)
    mountains(c, horizon)
    pale_field(c, "snow", c.outline(horizon, c.rng.uniform(-0.12, 0.12), 0.03, 3))
    for depth in sorted(c.rng.uniform(0.04, 0.3, c.rng.integers(1, 4))):
        tree(c, somewhere(c, 0.1), horizon + depth, c.rng.uniform(0.4, 0.55) * (0.8 + depth), conifer=True)


SCENES = (city, country_road, railway, shore, meadow, winter)
