"""A stand-in for https://api.novita.ai, written from the vendor's documentation and independent of relay's code.

It needs no key, generates nothing, and misbehaves on request in every way that a receiver has to survive.
"""
