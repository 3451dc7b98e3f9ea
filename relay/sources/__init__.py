"""Source plug-ins: one file each, found by its name. Pure: bytes in, values out."""
