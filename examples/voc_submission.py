"""Write what the servers of PASCAL VOC and ADE20K take, and check what was written.

    python examples/voc_submission.py runs/voc-1/checkpoint.npz --data ROOT --competition comp6
    python examples/voc_submission.py runs/ade20k-1/checkpoint.npz --data ROOT --split test

For VOC a tar.gz with results/VOC2012/Segmentation/comp6_test_cls/<id>.png (comp5 for a model that has seen nothing but
VOC's own data): palette PNGs of the images' own sizes. For ADE20K a zip with a PNG for each image, class + 1. The
PNGs stay in a folder beside the archive: after Ctrl-C the same command goes on with those that are missing.
"""

import json
import os

from script_common import data_flags, identity, open_dataset, open_model, parser, run

from minihgd import data, evaluation
from minihgd.errors import DataError, SettingError
from minihgd.evaluation import submission
from minihgd.files import written_aside
from minihgd.training import Progress


def main(args):
    model, about, views = open_model(args)
    dataset = open_dataset(args, about)
    if not isinstance(dataset, (data.PascalVOC, data.ADE20K)) or list(dataset.classes) != about["classes"]:
        raise SettingError("expected VOC or ADE20K, and a model with its classes; found a data set of "
                           f"{len(dataset.classes)} classes and a model of {len(about['classes'])}")
    form = submission.voc(args.competition) if isinstance(dataset, data.PascalVOC) else submission.ade20k()
    folder = claim(args.out, identity(args, dataset, views))
    paths = {name: os.path.join(folder, f"{name}.png") for name in dataset.ids}
    todo = [name for name in dataset.ids if not os.path.exists(paths[name])]
    print(f"{len(dataset)} images, {len(todo)} of them to be labelled, in {folder}")
    progress = Progress(len(todo), what="image")
    try:
        for done, name in enumerate(todo, 1):
            image = data.read_image(dataset.image_path(name))
            submission.save(evaluation.predict_labels(model, image, views), paths[name], form)
            progress.report(done)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on, what is done is in {folder}")
        return 130
    archive = folder + form.suffix
    submission.pack(paths, archive, form)
    try:
        submission.verify(archive, dataset, form, paths)
    except DataError as error:
        os.remove(archive)
        raise DataError(f"{error}; delete what is wrong, and the same command makes it anew") from None
    print(f"{archive}: {len(paths)} pictures; names, sizes, modes, values and palettes are as they should be")
    return 0


def claim(given, said):
    """The folder for the pictures, which belongs to one model, data set and way of looking. Raises SettingError."""
    folder = os.path.normpath(given)
    if os.path.basename(folder) in ("", ".", ".."):
        raise SettingError(f"--out: expected the name of a folder for the PNGs alone, found {given!r}")
    os.makedirs(folder, exist_ok=True)
    mark = os.path.join(folder, "made-from.json")
    if not os.path.exists(mark):
        if os.listdir(folder):
            raise SettingError(f"{folder}: expected a new or empty folder, found one with other files in it; "
                               "choose another with --out")
        with written_aside(mark, "w") as file:
            json.dump(said, file)
    if read_mark(mark) != said:
        raise SettingError(f"{folder}: holds pictures of another checkpoint, data set or way of looking; "
                           "delete it, or choose another with --out")
    return folder


def read_mark(path):
    """What the pictures beside the file `path` were made from. Raises SettingError for a damaged file."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{path}: expected what the pictures beside it were made from, found a damaged file "
                           f"({error}); delete the folder, or choose another with --out") from None


def arguments():
    it = parser(__doc__)
    data_flags(it, datasets=("voc", "ade20k"), split="test")
    it.add_argument("--competition", choices=("comp5", "comp6"), default="comp6",
                    help="comp5: trained on VOC's data only; comp6: on other data too (default: comp6)")
    it.add_argument("--out", default="submission",
                    help="folder of the PNGs, and the archive's name (default: submission)")
    return it.parse_args()


if __name__ == "__main__":
    run(main, arguments())
