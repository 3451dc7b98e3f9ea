"""The reference pages, each beside the module that writes it: ``python -m docs.reference``, or ``make docs``.

Every function here is pure: what the code says about itself in, Markdown out. ``tests/unit/test_reference_pages.py``
fails when a page is not what its module writes.
"""
