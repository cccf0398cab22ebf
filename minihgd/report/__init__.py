"""Costs, times, tables, pictures."""

from .cost import Cost, Row, cost
from .pictures import palette, side_by_side, weighting_sheet
from .tables import class_table

__all__ = ["Cost", "Row", "class_table", "cost", "palette", "side_by_side", "weighting_sheet"]
