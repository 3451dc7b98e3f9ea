"""Coverage-guided fuzzing of every parser that is ours: ``make fuzz``, ``python -m tests.fuzz``.

``targets.py`` has a function per parser that fails where an input shows a fault; ``test_targets.py`` replays the seeds
and the inputs that were found (``finds/``), without a fuzzer.
"""
