"""An array on a device beside the NumPy array that it is a copy of: see docs/17-on-the-gpu-and-on-several.md."""


class Hosted:
    """What is asked of it is asked of `host`, so that nothing waits for a GPU; what is computed, with `there`.

    arrive: called before `there` is first used; makes what is computed next wait for the copy.
    """

    def __init__(self, host, there, arrive=None):
        self.host, self._there, self._arrive = host, there, arrive
        self.shape, self.dtype, self.ndim = host.shape, host.dtype, host.ndim

    @property
    def there(self):
        """The copy on the device; what is computed with it next waits until it has arrived."""
        if self._arrive:
            self._arrive()
            self._arrive = None
        return self._there

    def __len__(self):
        return len(self.host)
