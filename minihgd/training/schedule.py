"""The poly learning-rate schedule, a pure function of the step."""


def poly(step, steps, base, power=0.9):
    """The learning rate of `step` (0 … steps - 1): base · (1 - step / steps)^power, section 4.1 of the paper."""
    return base * (1 - step / steps) ** power
