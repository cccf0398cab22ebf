"""The things in a sample scene: each is painted on a canvas with the middle of its footing at (x, y).

Bus and train come from the same two painters, aeroplane and bird from another one; scenes.py says what tells them
apart. Shapes are written down in the thing's own coordinates, along (to its front) and up, and then placed.
They are for training without a download: docs/13-training.md.
"""

import numpy as np

from .canvas import blob, box, colour, ellipse

RUBBER = colour(32, 32, 36)
CREAM = (232, 228, 218)


def place(shapes, x, y, length, height):
    """Polygons in along and up as polygons in x and y; a negative length turns them to the left."""
    return [np.asarray(shape) * (length, -height) + (x, y) for shape in shapes]


def from_above(c, y, height, strength):
    """The light on a thing of some height that stands at y: brighter at its top, darker at its foot.  H×1"""
    return 1 + strength * ((y - c.y) / height - 0.5)


def glass(c):
    """Window panes: the horizon's light, dimmed, in patches."""
    return 0.32 * c.haze * (1 + 0.2 * c.noise(4, 6, 2))


def tree(c, x, y, size, conifer=False):
    """A broad-leaved tree in summer or autumn, or a conifer."""
    c.shadow(x, y, 0.4 * size, 0.06 * size)
    c.put(c.cover(*place([box(-0.05, 0, 0.05, 0.45)], x, y, size, size)), c.lit((84, 64, 50)), "tree")
    if conifer:
        crown, leaves = conifer_crown(c.rng), c.lit((44, 78, 58))
    else:
        crown = leafy_crown(c.rng)
        leaves = c.lit(c.rng.choice([(58, 98, 48), (78, 110, 46), (48, 84, 52), (138, 106, 44)]))
    light = from_above(c, y - 0.1 * size, size, 0.9) - 0.45 * (c.x - x) / size  # the sun is on the left
    foliage = leaves * (light + 0.16 * c.noise(20, 26, 2))
    c.put(c.cover(*place(crown, x, y, size, size)), foliage, "tree")


def leafy_crown(rng):
    """Six overlapping blobs."""
    return [blob(rng, rng.normal(0, 0.13), rng.uniform(0.5, 0.8), rng.uniform(0.16, 0.26), rng.uniform(0.14, 0.22))
            for _ in range(6)]


def conifer_crown(rng):
    """Three tiers of branches, narrower upwards."""
    crown = []
    for foot in (0.12, 0.35, 0.58):
        half = (0.36 - 0.32 * foot) * rng.uniform(0.9, 1.1)
        crown.append([(-half, foot), (half, foot), (0, foot + 0.42)])
    return crown


def houses(c, street):
    """A row of house fronts as far as the image is wide, on the line y = street."""
    left = -0.1
    while left < c.width:
        right = left + c.rng.uniform(0.28, 0.6)
        house(c, left, right, street - c.rng.uniform(0.2, 0.42), street)
        left = right


def house(c, left, right, top, street):
    """A front with an eave, a shaded corner, and windows that shine or mirror the sky."""
    rng = c.rng
    walls = c.lit(rng.choice([(168, 98, 78), (198, 178, 146), (150, 148, 150), (206, 200, 190), (140, 116, 100)]))
    c.put(c.cover(box(left, top, right, street)), walls * (1 + 0.06 * c.noise(10, 10, 2)), "building")
    c.put(c.cover(box(left, top, right, top + 0.025), box(right - 0.02, top, right, street)), 0.6 * walls)
    columns, storeys = rng.integers(3, 6), max(2, round((street - top) / 0.12))
    wide, tall = (right - left) / (columns + 0.4), (street - top) / (storeys + 0.3)
    panes = [box(left + (i + 0.4) * wide, top + (j + 0.4) * tall, left + (i + 0.95) * wide, top + (j + 1) * tall)
             for i in range(columns) for j in range(storeys)]
    c.put(0.85 * c.cover(*panes), rng.uniform(0.25, 0.55) * c.haze * (1 + 0.25 * c.noise(8, 10, 1)))


def carriage_side(c, name, x, y):
    """A bus or a train from the side, its ends at different distances."""
    rng = c.rng
    length, height, taper = rng.uniform(0.75, 1.05), rng.uniform(0.28, 0.36), rng.uniform(-0.3, 0.3)

    def part(shapes, paint):  # along 0..1, up 0..1; the nearer end is taller and stands lower
        placed = []
        for along, up in (np.asarray(shape).T for shape in shapes):
            near = taper * (along - 0.5)
            xs, ys = x + length * (along - 0.5), y + height * (0.4 * near - up * (1 + near))
            placed.append(np.stack([xs, ys], axis=1))
        c.put(c.cover(*placed), paint, name)

    c.shadow(x, y, 0.55 * length, 0.05)
    lacquer = c.lacquer()
    part([ellipse(u, 0.09, 0.09 * height / length, 0.09) for u in (0.12, 0.24, 0.76, 0.88)], RUBBER)
    part([box(0.02, 0.08, 0.98, 0.2)], 0.35 * lacquer)
    body = [(0, 0.16), (1, 0.16), (1, 0.9), (0.97, 1), (0.03, 1), (0, 0.9)]
    part([body], lacquer * from_above(c, y, height, 0.5))
    part([box(0, 0.36, 1, 0.44)], c.lit(CREAM))
    part([box(u, 0.52, u + 0.12, 0.86) for u in np.arange(0.05, 0.9, 0.155)], glass(c))
    door = rng.uniform(0.25, 0.75)
    part([box(door - 0.04, 0.2, door + 0.04, 0.86)], 0.6 * lacquer)


def carriage_front(c, name, x, y):
    """A bus or a train coming up the middle of its way."""
    height = c.rng.uniform(0.36, 0.5)
    half = 0.42 * height * c.rng.uniform(0.9, 1.05)

    def part(shapes, paint):  # across -1..1, up 0..1
        c.put(c.cover(*place(shapes, x, y, half, height)), paint, name)

    c.shadow(x, y, 1.5 * half, 0.05, 0.6)
    lacquer = c.lacquer()
    part([box(-0.85, 0, -0.5, 0.15), box(0.5, 0, 0.85, 0.15)], RUBBER)
    part([box(-0.92, 0.06, 0.92, 0.2)], 0.35 * lacquer)
    body = [(-1, 0.14), (1, 0.14), (1, 0.88), (0.85, 1), (-0.85, 1), (-1, 0.88)]
    part([body], lacquer * from_above(c, y, height, 0.5))
    part([box(-0.84, 0.48, -0.03, 0.84), box(0.03, 0.48, 0.84, 0.84)], glass(c))
    part([box(-1, 0.36, 1, 0.43)], c.lit(CREAM))
    part([ellipse(-0.7, 0.27, 0.14, 0.06), ellipse(0.7, 0.27, 0.14, 0.06)], colour(250, 240, 200))


def car_side(c, x, y):
    """A car passing by, to the left or to the right."""
    size = c.rng.uniform(0.4, 0.52)
    ahead = c.rng.choice([-1, 1])

    def part(shapes, paint):  # along -1..1, up 0..1
        c.put(c.cover(*place(shapes, x, y, ahead * size / 2, 0.42 * size)), paint, "car")

    c.shadow(x, y, 0.55 * size, 0.04)
    lacquer = c.lacquer()
    part([[(-0.82, 0.55), (-0.62, 1), (0.2, 1), (0.52, 0.55)]], 0.85 * lacquer)
    part([[(-0.68, 0.58), (-0.54, 0.93), (-0.2, 0.93), (-0.2, 0.58)],
          [(-0.12, 0.58), (-0.12, 0.93), (0.16, 0.93), (0.4, 0.58)]], glass(c))
    body = [(-1, 0.15), (-0.98, 0.55), (-0.8, 0.62), (0.5, 0.6), (0.92, 0.5), (1, 0.15)]
    part([body], lacquer * from_above(c, y, 0.3 * size, 0.4))
    part([ellipse(-0.58, 0.17, 0.2, 0.22), ellipse(0.58, 0.17, 0.2, 0.22)], RUBBER)
    part([ellipse(-0.58, 0.17, 0.09, 0.1), ellipse(0.58, 0.17, 0.09, 0.1)], c.lit((180, 182, 186)))


def car_behind(c, x, y):
    """A car driving ahead of us."""
    half, height = c.rng.uniform(0.18, 0.23), c.rng.uniform(0.28, 0.34)

    def part(shapes, paint):  # across -1..1, up 0..1
        c.put(c.cover(*place(shapes, x, y, half, height)), paint, "car")

    c.shadow(x, y, 1.4 * half, 0.04, 0.6)
    lacquer = c.lacquer()
    part([box(-0.92, 0, -0.6, 0.3), box(0.6, 0, 0.92, 0.3)], RUBBER)
    part([[(-0.85, 0.55), (-0.62, 1), (0.62, 1), (0.85, 0.55)]], 0.85 * lacquer)
    part([[(-0.7, 0.58), (-0.53, 0.92), (0.53, 0.92), (0.7, 0.58)]], glass(c))
    body = [(-1, 0.14), (1, 0.14), (1, 0.52), (0.88, 0.62), (-0.88, 0.62), (-1, 0.52)]
    part([body], lacquer * from_above(c, y, height, 0.4))
    part([box(-0.95, 0.38, -0.6, 0.5), box(0.6, 0.38, 0.95, 0.5)], colour(196, 44, 40))
    part([box(-0.28, 0.24, 0.28, 0.36)], c.lit(CREAM))


def boat(c, x, y):
    """A sailing boat, and its reflection, which stays water."""
    rng = c.rng
    size = rng.uniform(0.4, 0.52)
    ahead = rng.choice([-1, 1])
    wooden = [box(-0.03, 0.15, 0.03, 1), [(-0.45, 0.23), (0.55, 0.25), (0.38, 0), (-0.36, 0)]]  # the mast and the hull
    sails = [[(-0.01, 0.19), (-0.01, 1), (-0.44, 0.21)], [(0.02, 0.2), (0.02, 0.92), (0.48, 0.22)]]
    cloth = c.lit(rng.choice([(240, 236, 226), (226, 110, 84), (236, 208, 130)]))
    wood = c.lit(rng.choice([(126, 62, 44), (48, 66, 104), (210, 210, 212)]))
    for shapes, paint in ((wooden, wood), (sails, cloth)):
        c.put(0.35 * c.cover(*place(shapes, x, y, ahead * size, -0.8 * size)), paint)
        c.put(c.cover(*place(shapes, x, y, ahead * size, size)), paint, "boat")


def cow(c, x, y):
    """A cow with spots, looking up or grazing."""
    rng = c.rng
    size = rng.uniform(0.44, 0.58)
    ahead = rng.choice([-1, 1])

    def part(shapes, paint, pattern=1):
        c.put(c.cover(*place(shapes, x, y, ahead * size, size)) * pattern, paint, "cow")

    c.shadow(x, y, 0.5 * size, 0.05)
    dark = rng.random() < 0.6
    hide = c.lit(rng.choice([(112, 70, 46), (56, 48, 46)]) if dark else rng.choice([(226, 220, 210), (158, 112, 72)]))
    spots = c.lit((236, 230, 220) if dark else (60, 50, 46))
    part([box(u, 0, u + 0.09, 0.3) for u in (-0.37, -0.22, 0.1, 0.23)], 0.75 * hide)
    body = [(-0.4, 0.22), (-0.1, 0.17), (0.28, 0.22), (0.34, 0.48), (0.28, 0.58), (-0.36, 0.57), (-0.42, 0.48)]
    part([body], hide * from_above(c, y - 0.18 * size, 0.4 * size, 0.4))
    part([body], spots, np.clip(c.noise(8, 10, 2) * 4 - 1.5, 0, 1))
    low = rng.choice([0, -0.3])  # how far the head is lowered
    part([[(0.22, 0.34), (0.26, 0.57), (0.48, 0.6 + low), (0.4, 0.42 + low)]], hide)
    head = [(0.36, 0.64), (0.48, 0.68), (0.6, 0.5), (0.54, 0.42), (0.44, 0.44)]
    part([[(u, v + low) for u, v in head]], 0.85 * hide)


def flyer(c, name, x, y):
    """A bird or an aeroplane: a dark gliding silhouette, here with its middle at (x, y)."""
    size = c.rng.uniform(0.38, 0.48)
    turn = c.rng.uniform(-0.5, 0.5) + c.rng.choice([0, np.pi])
    body = ellipse(0.03, 0, 0.5, 0.11)
    wing = np.array([(0.26, 0), (0.16, 0.2), (0, 0.42), (-0.22, 0.6), (-0.21, 0.36), (-0.17, 0)])
    tail = [(-0.28, 0.05), (-0.52, 0.2), (-0.5, 0), (-0.52, -0.2), (-0.28, -0.05)]
    rotation = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    slant = c.rng.uniform(0.6, 0.8)  # it is seen from below, not straight up
    turned = [np.asarray(shape) @ rotation for shape in (body, wing, wing * (1, -1), tail)]
    c.put(c.cover(*place(turned, x, y, size, slant * size)), c.lit((58, 58, 66), 6), name)
