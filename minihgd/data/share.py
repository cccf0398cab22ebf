"""A part of a data set: what one of several processes looks at."""

from .dataset import Dataset


class Share(Dataset):
    """Every `size`-th image of a data set, from number `rank` on. The shares of all ranks are the whole."""

    def __init__(self, dataset, rank, size):
        self.dataset, self.rank, self.size = dataset, rank, size
        self.classes, self.ids = dataset.classes, dataset.ids[rank::size]
        self.split, self.labelled = dataset.split, dataset.labelled

    def problems(self):
        return self.dataset.problems()

    def notes(self):
        return self.dataset.notes()

    def __getitem__(self, index):
        return self.dataset[self.rank + index * self.size]
