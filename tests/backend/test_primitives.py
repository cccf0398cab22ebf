"""Every primitive passes its checks."""

import pytest
from backend.checks import CHECKS


@pytest.mark.parametrize("name", CHECKS)
def test_check(name):
    CHECKS[name]()
