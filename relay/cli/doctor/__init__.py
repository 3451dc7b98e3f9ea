"""``relay doctor``: whether everything that relay needs is there, and what must be fixed.

``findings.py`` judges what was measured and is pure; ``local.py`` looks at this machine, ``network.py`` at what is
reached over the network; ``command.py`` runs all of it and reports.
"""
