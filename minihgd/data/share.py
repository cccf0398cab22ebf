"""A part of a data set: what one of several processes looks at. See docs/17-on-the-gpu-and-on-several.md."""

from .dataset import Dataset


class Share(Dataset):
    """Every `size`-th image of `dataset`, from number `rank` on. The shares of all ranks, 0 to size - 1, are the whole.

    So each of several processes scores its own images: docs/17-on-the-gpu-and-on-several.md.
    """

    def __init__(self, dataset, rank, size):
        self.dataset, self.rank, self.size = dataset, rank, size
        self.classes, self.ids = dataset.classes, dataset.ids[rank::size]
        self.split, self.labelled = dataset.split, dataset.labelled

    def problems(self):
        return self.dataset.problems()

    def notes(self):
        return self.dataset.notes()

    def __getitem__(self, index):
        return self.dataset[range(self.rank, len(self.dataset), self.size)[index]]
