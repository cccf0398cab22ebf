"""Costs, times, tables, pictures."""

from .cost import Cost, Row, cost
from .pictures import overlay_with_legend, palette_picture, side_by_side, weighting_sheet
from .tables import class_table, table_6

__all__ = ["Cost", "Row", "class_table", "cost", "overlay_with_legend", "palette_picture", "side_by_side",
           "table_6", "weighting_sheet"]
