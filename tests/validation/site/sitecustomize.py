"""Run by ``site`` at the start of each Python that a test starts: when it loads the journal, it gets its witness."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

if folder := os.environ.get("EVENT_WITNESS"):

    class _Finder:
        """Finds the journal's store once, and lets the witness in after it has been loaded."""

        def find_spec(self, name, path=None, target=None):
            if name != "relay.journal.store":
                return None
            sys.meta_path.remove(self)
            spec = find_spec(name)
            load = spec.loader.exec_module

            def load_and_watch(module):
                load(module)
                from tests.validation.witness import Notes, watch

                watch(module.Store, Notes(Path(folder)).look)

            spec.loader.exec_module = load_and_watch
            return spec

    sys.meta_path.insert(0, _Finder())
