"""The splits that examples/train_folder.py takes."""

import importlib.util
from argparse import Namespace
from pathlib import Path

import pytest

from minihgd.errors import DataError

from .make_folder import NAMES, write_pairs

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """The script's `datasets` for tmp_path, which has images and masks."""
    monkeypatch.syspath_prepend(EXAMPLES)
    spec = importlib.util.spec_from_file_location("train_folder", EXAMPLES / "train_folder.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    write_pairs(tmp_path / "images", tmp_path / "masks")

    def call(split="train", val_split=None, holdout=0.2):
        return script.datasets(Namespace(data=str(tmp_path), split=split, val_split=val_split, holdout=holdout))

    return call


def write_lists(root, *splits):
    for split, name in zip(splits, NAMES, strict=False):
        (root / f"{split}.txt").write_text(f"{name}\n")


def test_notes_are_given_once(datasets):
    train, val = datasets()
    assert len(train.notes()) == 2 and val.notes() == []


def test_the_part_held_out(datasets):
    sizes = [len(datasets(holdout=holdout)[1]) for holdout in (0.2, 0.99)]
    assert sizes == [1, 4]


@pytest.mark.parametrize("split", ["val", "valid", "validation", "dev", "test", "testing"])
def test_the_usual_splits_are_found(datasets, tmp_path, split):
    write_lists(tmp_path, "train", split)
    assert [part.ids for part in datasets()] == [["a"], ["b"]]


def test_of_several_val_goes_first(datasets, tmp_path):
    write_lists(tmp_path, "train", "test", "valid")
    assert datasets()[1].ids == ["c d"] and datasets(val_split="test")[1].ids == ["b"]


def test_splits_may_be_named(datasets, tmp_path):
    write_lists(tmp_path, "train", "val", "fold1", "fold2")
    assert [part.ids for part in datasets("fold1", "fold2")] == [["c d"], ["e.f"]]


@pytest.mark.parametrize("lists, given, message", [
    (["train"], {}, r"for the split 'train', but none for 'val'; there are \['train'\]: .* --val-split, or write a"),
    (["val"], {}, r"for the split 'val', but none for 'train'; there are \['val'\]: name one of them with --split"),
    (["fold1"], {"split": "fold1"}, "for the split 'fold1', but none for 'val'; there are fold1"),
    (["train", "val"], {"split": "one", "val_split": "two"}, "split='one', found neither"),
])
def test_one_split_without_the_other_is_refused(datasets, tmp_path, lists, given, message):
    write_lists(tmp_path, *lists)
    with pytest.raises(DataError, match=message):
        datasets(**given)
