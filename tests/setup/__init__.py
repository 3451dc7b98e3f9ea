"""What the tests need beside Python: looked for before anything else runs, then installed or named.

``python3 -m tests.setup test`` looks for programs, with nothing but the standard library: it runs before there is an
environment. ``python -m tests.setup.fetch test`` then fills ``.cache``. ``make setup-test`` does both.
"""
