"""The journal: every accepted event, fsynced before its sender gets an answer, in the order of its offsets."""
