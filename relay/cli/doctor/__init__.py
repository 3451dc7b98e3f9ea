"""``relay doctor``: is everything there that a relay needs, and what has to be fixed?

``findings.py`` judges what was measured and is pure; ``local.py`` looks at this machine, ``network.py`` at what is
reached over the network; ``command.py`` runs all of it and reports.
"""
