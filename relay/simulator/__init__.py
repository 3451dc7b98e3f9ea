"""A stand-in for https://api.novita.ai, written from what the vendor publishes and from nothing of the relay's own.

It needs no key, generates nothing, and misbehaves on request in every way that a receiver has to survive.
"""
