"""The layouts that a folder of one's own images and masks may have: see `Folder`.

    images/a.jpg        masks/a.png
    images/train/a.jpg  masks/train/a.png
    train/images/a.jpg  train/masks/a.png

The folders have one of the names IMAGES and MASKS. In the place of train may stand any other name of a split.
What training makes of such a folder: docs/13-training.md.
"""

import os
from pathlib import Path

from ..errors import DataError
from .dataset import composed, some
from .layout import find_lists, folders_in, readable

# What the folders may be called, by preference; capitals do not matter.
IMAGES = ("images", "imgs", "JPEGImages", "image", "img", "photos")
MASKS = ("masks", "labels", "annotations", "SegmentationClass", "mask", "label", "annotation", "segmentation",
         "segmentations", "ground_truth", "gt")
ENDINGS = ("_mask", "-mask", "_label", "-label", "_labelIds", "_gt")  # the name of a mask may have after its image's
BEGINNINGS = ("mask_", "label_")  # and before it
SAME = (("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing"))  # names for one split
LISTS = (".", "ImageSets/Segmentation")  # where lists of names may be
LISTED = ("trainval", *(name for names in SAME for name in names))  # other text files may lie about


def find_pair(root, split):
    """(folder of images, folder of masks, whether they are the split's own). Raises DataError if there is none."""
    own = [] if split is None else [(*pair, True) for pair in pairs_of(root, split)]
    for images, masks, is_own in [*own, (child(root, *IMAGES), child(root, *MASKS), False)]:
        if images and masks:
            return images, masks, is_own
        if images or masks:
            missing = f"masks for these images: {' or '.join(MASKS)}" if images else \
                f"images for these masks: {' or '.join(IMAGES)}"
            raise DataError(f"{images or masks}: found no folder, arranged in the same way, of {missing}")
    splits = f", or as split one of {splits_of(root)}" if splits_of(root) else ""
    with readable(root):
        inside = sorted(os.listdir(root))
    raise DataError(
        f"{root}: expected a folder of images ({', '.join(IMAGES)}) and one of masks ({', '.join(MASKS)}){splits}; "
        f"found {some(inside) or 'an empty folder'}"
    )


def pairs_of(root, split):
    """The folders of images and masks that a split may have for itself; None for one that is not there."""
    inside = child(root, split)
    yield child(inside, *IMAGES), child(inside, *MASKS)
    yield child(child(root, *IMAGES), split), child(child(root, *MASKS), split)


def split_folders(root):
    """{split: its folder of masks} for the splits that have folders of their own."""
    folders = [folder for folder in (root, child(root, *IMAGES)) if folder]
    names = sorted({name for folder in folders for name in folders_in(folder)})
    return {name: masks for name in names for images, masks in pairs_of(root, name) if images and masks}


def splits_of(root):
    """The names of the splits that have folders of their own or lists."""
    return sorted({*split_folders(root), *(split for split in LISTED if find_lists([root], LISTS, split))})


def same_splits(split):
    """The names that mean the same split, the usual one first."""
    return next((names for names in SAME if split.lower() in names), (split,))


def has_split(root, split):
    """Whether there are folders or a list of just this name."""
    return any(images or masks for images, masks in pairs_of(root, split)) or bool(find_lists([root], LISTS, split))


def present_split(root, split):
    """The name by which a split is there: the given one, or another for the same; the given one if none is."""
    return next((name for name in (split, *same_splits(split)) if has_split(root, name)), split)


def child(folder, *names):
    """The first of the names that is a folder in this one, whatever its capitals; None if there is none."""
    inside = {composed(name.lower()): Path(folder, name) for name in folders_in(folder)} if folder else {}
    return next((inside[name.lower()] for name in names if name.lower() in inside), None)


def image_of(images):
    """The function that turns the name of a mask into the one of its image among `images`, if there is one."""

    def name_of(mask):
        names = [mask, *map(mask.removesuffix, ENDINGS), *map(mask.removeprefix, BEGINNINGS)]
        return next((name for name in names if name in images), mask)

    return name_of
