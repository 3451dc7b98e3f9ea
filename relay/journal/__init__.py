"""The journal: every accepted event, fsynced before the sender hears of it, in the order of its offsets."""
