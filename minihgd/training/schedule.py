"""The poly learning-rate schedule, a pure function of the step: see docs/13-training.md."""


def poly(step, steps, base, power=0.9):
    """The learning rate of `step` (0 … steps - 1): base · (1 - step / steps)^power, section 4.1 of the paper.

    steps: of the whole run. base: the rate of step 0. See docs/13-training.md.
    """
    return base * (1 - step / steps) ** power
