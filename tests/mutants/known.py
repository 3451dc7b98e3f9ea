"""Mistakes that reviews found unnoticed, each with the test that has to notice it.

``make mutants`` and the fault matrix plant them.

Code and test are found by their text, wherever their files are: no list of paths to keep up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants.trial import Copy


@dataclass(frozen=True, slots=True)
class Known:
    """``mistake`` in the place of ``code``, which is there once in all of relay/; the function ``test`` has to fail.

    ``test`` has its file's name before it (``test_x.py::test_y``) where there are several of the name.
    """

    what: str
    code: str
    mistake: str
    test: str

    def planted(self, root: Path) -> tuple[str, str]:
        """The path of the code's file below ``root``, and its text with the mistake. Raises ``LookupError``."""
        name = _only(root, "relay", self.code)
        return name, (root / name).read_text().replace(self.code, self.mistake)

    def node(self, root: Path) -> str:
        """The test as pytest names it. Raises ``LookupError``."""
        file, _, name = self.test.rpartition("::")
        return f"{_only(root, 'tests', f'def {name}(', file)}::{name}"


def unnoticed(root: Path, copy: Copy) -> list[str]:
    """Plants each of them; what those are that their tests do not notice, in a few seconds, or not any more."""
    return [
        known.what
        for known in KNOWN
        if copy.try_out(*known.planted(root), [known.node(root)], each=5) not in ("killed", "timed out")
    ]


def _only(root: Path, folder: str, text: str, file: str = "") -> str:
    found = [
        path
        for path in (root / folder).rglob(file or "*")
        if path.suffix in (".py", ".lua", ".sql") and path != root / "tests/mutants/known.py"
        for _ in re.finditer(re.escape(text), path.read_text())
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} places below {folder} have: {text}")
    return str(found[0].relative_to(root))


KNOWN: Final = (
    # -- P1: nothing is lost -----------------------------------------------------------------------------------------
    Known(
        "Kafka: every error out of sequence is taken for what follows from a refusal; nothing is committed",
        "(isinstance(error, OUT_OF_SEQUENCE) and (batch.topic, batch.partition) in refused)",
        "isinstance(error, OUT_OF_SEQUENCE)",
        "test_trap_b_what_is_out_of_sequence_elsewhere_is_a_doubt",
    ),
    Known(
        "what lies beyond the sink's place is confirmed, and nobody publishes it",
        "facts = [fact for fact in facts_of(page) if fact.offset <= upto]",
        "facts = facts_of(page)",
        "test_what_is_confirmed_when_the_sink_opens_ends_where_the_sink_ends",
    ),
    Known(
        "a draft of 9 MiB waits for a group that is large enough",
        "if count and taken + more > size:",
        "if taken + more > size:",
        "test_a_draft_larger_than_any_group_is_taken",
    ),
    Known(
        "a journal that has to exist is made",
        "if must_exist and not path.exists():",
        "if False:",
        "test_names.py::test_a_journal_that_must_exist_is_not_made",
    ),
    # -- P2, P4: nothing is repeated ---------------------------------------------------------------------------------
    Known(
        "the index of keys is swept by the retention of events",
        "older_than = wall_ms() - int(self._policy.dedup_window * 1000)",
        "older_than = wall_ms() - int(self._policy.retention * 1000)",
        "test_a_fact_is_known_for_the_window_whatever_the_retention",
    ),
    Known(
        "what another replica has claimed counts as published: its contradiction goes first",
        "if not mine(value) then return 'held' end",
        "if not mine(value) then return string.sub(value, 10, 25) end",
        "test_a_contradiction_waits_until_its_original_is_published",
    ),
    Known(
        "the same, of a contradiction that a replica has found by itself",
        "if not done(value) and not mine(value) then return 'held' end",
        "",
        "test_a_contradiction_waits_until_its_original_is_published",
    ),
    Known(
        "what lies behind an event that another replica holds is published before it",
        "        if entry.offset == held_at:\n            break",
        "        if entry.offset == held_at:\n            continue",
        "test_a_contradiction_is_never_published_before_its_original",
    ),
    Known(
        "the page is not cut where another replica's turn begins",
        "page = [entry for entry in page if entry.offset < share.held_at]",
        "page = list(page)",
        "test_a_contradiction_is_never_published_before_its_original",
    ),
    Known(
        "a second replay opens the sink without a look, and so ends the first one",
        "if not self._begun and isinstance(self._sink, Glancing):",
        "if False:",
        "test_a_replay_that_is_running_is_not_disturbed",
    ),
    Known(
        "a second replay looks once, and takes one that moves for one that was interrupted",
        "if await sink.glance() != held:",
        "if False:",
        "test_a_replay_that_is_running_is_not_disturbed",
    ),
    # -- bounds ------------------------------------------------------------------------------------------------------
    Known(
        "max_size is no limit for events",
        "older_than, over_size = wall_ms() - round(self._policy.retention * 1000), self._policy.max_size",
        "older_than, over_size = wall_ms() - round(self._policy.retention * 1000), 1 << 60",
        "test_a_journal_larger_than_allowed_shrinks",
    ),
    Known(
        "max_size is no limit for dead letters",
        "older_than, over_size = wall_ms() - round(self._policy.dead_letter_retention * 1000), self._policy.max_size",
        "older_than, over_size = wall_ms() - round(self._policy.dead_letter_retention * 1000), 1 << 60",
        "test_dead_letters_make_room_where_the_journal_is_too_large",
    ),
    Known(
        "a look at the journal sweeps one step of 2,000 keys, whatever comes in",
        "for _ in range(_SWEEP_STEPS):",
        "for _ in range(1):",
        "test_the_sweep_keeps_up",
    ),
    Known(
        "a sweep under way waits for the time of the next one",
        "time.monotonic() + (0.0 if self._swept else self._sweep_every)",
        "time.monotonic() + self._sweep_every",
        "test_a_sweep_that_was_begun_goes_on_at_the_next_look",
    ),
    Known(
        "a start forgets how far the last process had swept",
        "self._swept = store.swept",
        'self._swept = b""',
        "test_the_care_sweeps_on_where_the_last_process_was",
    ),
    Known(
        "the place of a sweep is not written down",
        'self._db.execute(_SQL["save_swept"], (swept.hex(),))',
        "pass",
        "test_a_sweep_goes_on_where_the_last_process_was",
    ),
    Known(
        "bodies without a length reserve nothing",
        "place.grow(len(chunk))",
        "pass",
        "test_a_body_of_unknown_length_is_cut_where_the_budget_ends",
    ),
    Known(
        "answers that are held reserve nothing",
        "await place.grown(len(piece))",
        "pass",
        "test_answers_that_are_held_share_a_budget",
    ),
    Known(
        "each client has a budget of its own for answers that are held",
        "while size > budget.size - budget.held and budget._overdrawn not in (None, self):",
        "while False:",
        "test_answers_that_are_held_share_a_budget",
    ),
    Known(
        "a consumer that has gone is found out by the next heartbeat",
        "            handler_cancellation=True,\n",
        "            handler_cancellation=False,\n",
        "test_a_consumer_that_leaves_is_forgotten",
    ),
    # -- the wire ----------------------------------------------------------------------------------------------------
    Known(
        "a reset reads as the end of an answer without a length",
        "if exc is None and self._body is not None and self._body.open_ended:",
        "if self._body is not None and self._body.open_ended:",
        "test_a_reset_is_the_end_of_no_answer",
    ),
    Known(
        "a connection with half a request on it is used again",
        "again = again and head is not None and lives_on(head) and not self._sending",
        "again = again and head is not None and lives_on(head)",
        "test_an_answer_in_the_middle_of_an_upload_counts",
    ),
    Known(
        "a token behind %2F stays in the text",
        r'_SLASH: Final = r"(?:\\*/|%2[Ff])"',
        r'_SLASH: Final = r"\\*/"',
        "test_a_token_inside_any_text_is_hidden",
    ),
    Known(
        "a token behind %2f stays in the text",
        r'_SLASH: Final = r"(?:\\*/|%2[Ff])"',
        r'_SLASH: Final = r"(?:\\*/|%2F)"',
        "test_a_token_inside_any_text_is_hidden",
    ),
    Known(
        "the addresses of the upstream are tried one after the other",
        "happy_eyeballs_delay=DELAY",
        "happy_eyeballs_delay=None",
        "test_one_dead_address_of_two_does_not_take_the_upstream_down",
    ),
    Known(
        "an address that was late is tried first again",
        "return sorted(found, key=lambda info: info[4] in self._late)",
        "return list(found)",
        "test_who_was_late_comes_last_for_a_while",
    ),
)
