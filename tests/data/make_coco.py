"""Writes tiny copies of COCO's instances as published, and knows the labels that should come of them."""

import json

import numpy as np
from PIL import Image, ImageDraw

from .make_context import compress, photograph, run_lengths

HEIGHT, WIDTH = 40, 50
# VOC's classes by COCO's names of them
COCO_IDS = {
    "airplane": 5, "bicycle": 2, "bird": 16, "boat": 9, "bottle": 44, "bus": 6, "car": 3, "cat": 17, "chair": 62,
    "cow": 21, "dining table": 67, "dog": 18, "horse": 19, "motorcycle": 4, "person": 1, "potted plant": 64,
    "sheep": 20, "couch": 63, "train": 7, "tv": 72,
}
TRUCK = 8  # none of VOC's
DOG, PERSON, TV = 12, 15, 20  # VOC's labels


def filled(*polygons):
    """The mask H×W that Pillow fills, one polygon after the other."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for polygon in polygons:
        picture = Image.new("1", (WIDTH, HEIGHT))
        ImageDraw.Draw(picture).polygon(list(zip(polygon[::2], polygon[1::2], strict=True)), fill=1)
        mask |= np.array(picture)
    return mask


def first_pixels(count):
    """A mask H×W of so many pixels, row by row."""
    return np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) < count


def coded(mask, compressed):
    counts = run_lengths(mask)
    return {"size": list(mask.shape), "counts": compress(counts) if compressed else counts}


def scenes():
    """{image's name: [(category, segmentation, its mask, iscrowd), ...]}."""
    dog, legs, truck = [3, 2, 44.5, 5.25, 40, 33, 8, 30], [4, 28, 12, 28, 12, 38.7, 4, 39], [0, 0, 50, 0, 50, 40, 0, 40]
    person, crowd = [20.4, 8, 49, 8, 49, 39, 20.4, 39], first_pixels(1500)
    return {
        "overlap": [
            (TRUCK, [truck], filled(truck), 0),  # the first, but hides nothing
            (COCO_IDS["dog"], [dog, legs], filled(dog, legs), 0),
            (COCO_IDS["person"], [person], filled(person), 0),
            (COCO_IDS["dog"], [truck], filled(truck), 0),  # everywhere else, behind the person
        ],
        "crowd": [
            (COCO_IDS["dog"], [legs], filled(legs), 0),
            (COCO_IDS["person"], coded(crowd, False), crowd, 1),
        ],
        "compressed": [(COCO_IDS["tv"], coded(~first_pixels(700), True), ~first_pixels(700), 1)],
        "thousand": [(COCO_IDS["cow"], coded(first_pixels(1000), False), first_pixels(1000), 0)],
        "one_more": [(COCO_IDS["cow"], coded(first_pixels(1001), False), first_pixels(1001), 0)],
        "truck": [(TRUCK, [truck], filled(truck), 0)],
        "nothing": [],
    }


def labels():
    """{image's name: label H×W}: the first to come keeps its pixels."""
    label_of = {category: label for label, category in enumerate(COCO_IDS.values(), 1)}
    expected = {}
    for name, instances in scenes().items():
        expected[name] = label = np.zeros((HEIGHT, WIDTH), np.uint8)
        for category, _, mask, _ in instances:
            label[mask & (label == 0)] = label_of.get(category, 0)
    return expected


def instances_json():
    """The content of instances_*.json. The annotations of all images are mixed, as in COCO's own."""
    images, annotations = [], []
    for number, (name, instances) in enumerate(scenes().items(), 9):
        images.append({"id": number, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH, "license": 3})
        annotations += [
            {"id": 100 * place + number, "image_id": number, "category_id": category, "segmentation": segmentation,
             "iscrowd": iscrowd, "area": 0.5, "bbox": [0, 0, 1, 1]}
            for place, (category, segmentation, _, iscrowd) in enumerate(instances)
        ]
    annotations.sort(key=lambda annotation: annotation["id"])
    categories = [{"id": number, "name": name, "supercategory": "thing"} for name, number in COCO_IDS.items()]
    return {"info": {"year": 2017}, "licenses": [], "images": images, "annotations": annotations,
            "categories": [*categories, {"id": TRUCK, "name": "truck", "supercategory": "vehicle"}]}


def write_coco(root, split="train", year=2017, content=None):
    """A split of COCO below `root`: one JSON file and the photographs."""
    write_json(root, content or instances_json(), split, year)
    folder = root / f"{split}{year}"
    folder.mkdir(parents=True)
    for name in scenes():
        photograph((HEIGHT, WIDTH)).save(folder / f"{name}.jpg")


def write_json(root, content, split="train", year=2017):
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / f"annotations/instances_{split}{year}.json").write_text(json.dumps(content))
