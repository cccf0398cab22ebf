"""From the names and layouts of PyTorch's ResNets to those of a model here."""

from dataclasses import dataclass, field

from ..errors import WeightsError
from .files import read

LEFT_OUT = ("num_batches_tracked", "fc.weight", "fc.bias")  # nothing here has a place for them


@dataclass
class Report:
    """What `load` did. `matched`, `missing` (in the model, not in the file), `unexpected` (the reverse): names."""

    matched: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    unexpected: list = field(default_factory=list)

    def __str__(self):
        return (f"{len(self.matched)} arrays matched, {len(self.missing)} missing"
                f"{_few(self.missing)}, {len(self.unexpected)} unexpected{_few(self.unexpected)}")


def load(model, path, strict=True):
    """Load a weights file in PyTorch's names and layout into a model; returns a Report.

    Convolution weights Cout×Cin×kh×kw become kh×kw×Cin×Cout. Names may carry a `module.` or `backbone.` prefix, and
    in a model with a `backbone` fill that. Raises WeightsError, and changes nothing, where a shape differs, nothing
    matches, or with `strict` where a name is missing or unexpected.
    """
    own = model.state_dict()
    prefix = "backbone." if hasattr(model, "backbone") else ""
    expected = {name: a for name, a in own.items() if name.startswith(prefix)}
    found = {}
    for name, array in read(path).items():
        if name.endswith(LEFT_OUT):
            continue
        name = name.removeprefix("module.").removeprefix("backbone.")
        found[prefix + name] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    report = Report(sorted(expected.keys() & found.keys()), sorted(expected.keys() - found.keys()),
                    sorted(found.keys() - expected.keys()))
    if not report.matched or strict and (report.missing or report.unexpected):
        raise WeightsError(f"{path}: {report}")
    for name in report.matched:
        if found[name].shape != expected[name].shape:
            raise WeightsError(f"{path}: {name} has shape {found[name].shape} (kh×kw×Cin×Cout for convolutions), "
                               f"the model expects {expected[name].shape}")
    model.load_state_dict({**own, **{name: found[name] for name in report.matched}})
    return report


def _few(names):
    return f" ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})" if names else ""
