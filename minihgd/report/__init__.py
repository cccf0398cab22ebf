"""Costs, times, tables, pictures: the paper's are explained in docs/01-what-the-network-computes.md."""

from .codewords import codeword_sheet, decoder_picture, weighting_sheet
from .cost import Cost, Row, cost
from .pictures import overlay_with_legend, palette_picture, side_by_side
from .tables import class_table, table_6

__all__ = ["Cost", "Row", "class_table", "codeword_sheet", "cost", "decoder_picture", "overlay_with_legend",
           "palette_picture", "side_by_side", "table_6", "weighting_sheet"]
