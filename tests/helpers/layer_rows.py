"""Rows of a layer table, made by hand."""


def layer_row(**known) -> dict:
    """Returns a row of a layer table of which little is known."""
    columns = ("kernel", "stride", "padding", "dilation", "jump", "receptive_field", "effective_field")
    row = {"layer": "", "type": "Conv2D", "output": "", "parameters": 0, "dense_parameters": None, "flops": 0}
    return {**row, **dict.fromkeys(columns), **known}
