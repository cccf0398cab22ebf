"""The 59 classes of PASCAL Context, and their ids among the 459 of its full annotation.

Two orders are in use: that of `59_labels.txt` (PASCAL VOC's twenty first), and the ids sorted upwards, as
the JSON annotation and most ready-made PNG labels have it. Scores on 59 classes and on 60: docs/14-evaluation.md.
"""

CLASSES = (  # (name, id of 459), in the order of 59_labels.txt
    ("aeroplane", 2), ("bicycle", 23), ("bird", 25), ("boat", 31), ("bottle", 34), ("bus", 45), ("car", 59),
    ("cat", 65), ("chair", 72), ("cow", 98), ("diningtable", 397), ("dog", 113), ("horse", 207), ("motorbike", 258),
    ("person", 284), ("pottedplant", 308), ("sheep", 347), ("sofa", 368), ("train", 416), ("tvmonitor", 427),
    ("bag", 9), ("bed", 18), ("bench", 22), ("book", 33), ("building", 44), ("cabinet", 46), ("ceiling", 68),
    ("clothes", 80), ("computer", 85), ("cup", 104), ("door", 115), ("fence", 144), ("floor", 158), ("flower", 159),
    ("food", 162), ("grass", 187), ("ground", 189), ("keyboard", 220), ("light", 232), ("mountain", 259),
    ("mouse", 260), ("curtain", 105), ("platform", 296), ("sign", 355), ("plate", 295), ("road", 324),
    ("rock", 326), ("shelves", 349), ("sidewalk", 354), ("sky", 360), ("snow", 366), ("bedcloth", 19),
    ("track", 415), ("tree", 420), ("truck", 424), ("wall", 440), ("water", 445), ("window", 454), ("wood", 458),
)

UNKNOWN = 431  # "unknown" among the 459

NAMES = tuple(name for name, _ in CLASSES)
IDS = tuple(number for _, number in CLASSES)
ORDERS = {"59_labels": IDS, "sorted": tuple(sorted(IDS))}
NAME_OF = {number: name for name, number in CLASSES}
