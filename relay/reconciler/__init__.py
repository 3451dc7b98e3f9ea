"""Polls the upstream for tasks whose webhook does not come, until each has ended."""
