"""What a mask says of a pixel that is of no class, or of which none is known."""

VOID = 255
"""It is neither learnt from nor judged."""
