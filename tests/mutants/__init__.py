"""Mutation tests: small mistakes are planted in the code, one at a time; the tests have to notice (``make mutants``).

``mutations.py`` makes the mistakes (pure), ``reach.py`` records which tests run which line, ``trial.py`` runs those
tests against one mistake in a copy of the tree, ``__main__.py`` draws a sample and reports. ``explained.txt`` lists
mistakes that no test can notice, each with the reason; ``known.py`` those that went unnoticed once, each with the test
that was written for it: ``test_known.py`` plants them in each ``make test``.
"""
