"""Source plug-ins: one file each, found by file name. Pure: bytes in, values out."""
