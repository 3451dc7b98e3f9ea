"""Pure parsing and deciding: no I/O, no clock, no logger. Time is an argument."""
