"""The traps A to J that the relay is built around, each with the tests that keep it out of them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TRAPS = {
    "A: aiokafka commits a transaction although a record of it failed": (
        "tests/unit/sinks/kafka/test_transactions.py::test_trap_a_nothing_is_committed_around_a_failed_record",
        "tests/unit/sinks/kafka/test_transactions.py::test_trap_a_a_checkpoint_that_failed_publishes_nothing",
        "tests/integration/test_kafka_sink.py::test_trap_a_and_b_a_record_that_the_broker_refuses",
    ),
    "B: after a failed record its partition's sequence is off for good": (
        "tests/unit/sinks/kafka/test_transactions.py"
        "::test_trap_b_a_refused_record_ends_its_producer_and_is_answered_for",
        "tests/unit/sinks/kafka/test_transactions.py"
        "::test_trap_b_a_record_in_doubt_ends_its_producer_and_the_sink_must_be_opened_again",
        "tests/unit/sinks/kafka/test_transactions.py"
        "::test_trap_b_what_follows_a_refused_batch_in_its_partition_is_a_follow_on",
        "tests/unit/sinks/kafka/test_transactions.py::test_trap_b_what_is_out_of_sequence_elsewhere_is_a_doubt",
        "tests/integration/test_kafka_sink.py::test_trap_a_and_b_a_record_that_the_broker_refuses",
    ),
    "C: stopping and aborting wait without limit while the broker is away": (
        "tests/unit/sinks/kafka/test_transactions.py::test_trap_c_letting_go_waits_for_no_broker",
        "tests/unit/sinks/kafka/test_sink.py::test_letting_go_ends_a_sender_that_waits_without_limit",
        "tests/integration/test_kafka_sink.py::test_trap_c_close_is_bounded_while_the_broker_hangs",
    ),
    "D: retriable errors are tried again without any limit": (
        "tests/unit/sinks/kafka/test_transactions.py::test_trap_d_a_transaction_has_a_deadline_of_our_own",
        "tests/unit/sinks/kafka/test_transactions.py"
        "::test_trap_d_a_batch_that_is_given_more_time_gets_a_producer_that_waits_longer",
        "tests/unit/sinks/kafka/test_config.py::test_settings_that_cannot_work_are_refused",
        "tests/integration/test_kafka_sink.py::test_trap_d_publish_is_bounded_while_the_broker_hangs",
    ),
    "E: offsets of a group without members expire": (
        "tests/integration/test_kafka_sink.py::test_the_checkpoint_survives",
        "tests/integration/test_kafka_sink.py::test_a_checkpoint_topic_that_forgets_is_refused",
        "tests/faults/test_traps.py::test_trap_e_no_group_offset_is_written",
    ),
    "F: a checkpoint that is read too early may be an old one": (
        "tests/unit/sinks/kafka/test_transactions.py"
        "::test_trap_f_the_checkpoint_is_read_after_the_new_producer_has_taken_over",
        "tests/integration/test_kafka_sink.py"
        "::test_trap_f_what_a_dead_relay_left_open_is_settled_before_the_checkpoint_is_read",
        "tests/integration/test_kafka_sink.py::test_trap_f_a_commit_at_the_last_moment_is_not_missed",
    ),
    "G: redis-py sends again by itself what was not answered": (
        "tests/unit/sinks/redis/test_wire.py::test_trap_g_the_client_never_sends_again_by_itself",
        "tests/integration/test_redis_sink.py::test_lost_replies_do_not_double",
        "tests/integration/test_redis_sink.py::test_batch_that_arrives_twice_is_written_once",
    ),
    "H: one misspelt option of aiohttp's server drops all the others": (
        "tests/unit/edge/http/test_server.py::test_the_options_reach_aiohttp",
        "tests/unit/edge/http/test_server.py::test_a_misspelt_option_is_an_error",
    ),
    "I: a plain integer key starts at 1 again in a table that was pruned empty": (
        "tests/unit/journal/test_store.py::test_offsets_never_start_again_after_pruning_everything",
        "tests/faults/test_journal_model.py::test_the_journal_equals_its_twin_whatever_comes",
    ),
    "J: a lost or restored volume gives offsets out again": (
        "tests/unit/core/publishing/test_lineage.py::test_where_to_go_on",
        "tests/unit/core/publishing/test_lineage.py::test_what_a_sink_had_from_this_file_before_the_fork_stays_its_own",
        "tests/unit/journal/test_store.py::test_a_fork_outlives_a_restart",
        "tests/unit/publishing/test_publisher.py::test_another_journals_checkpoint_starts_a_new_lineage",
        "tests/unit/publishing/test_publisher.py::test_an_older_copy_whose_first_batch_got_lost_loses_nothing",
        "tests/integration/test_lost_journals.py::test_events_flow_after_the_volume_was_lost",
        "tests/integration/test_lost_journals.py::test_an_older_copy_goes_on_beyond_what_the_sinks_have",
    ),
}


@cache
def names_of(path: str) -> set[str]:
    """The names of a file's tests."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_has_its_tests(trap: str) -> None:
    """Broken: a trap would lose its test when a test is renamed or taken away, and nobody would see it."""
    for place in TRAPS[trap]:
        path, _, name = place.partition("::")
        assert name in names_of(path), f"{place} is gone: name what tests this now"


def test_every_trap_is_listed() -> None:
    """Broken: one of them would be forgotten."""
    assert [trap[0] for trap in TRAPS] == list("ABCDEFGHIJ")


def test_trap_e_no_group_offset_is_written() -> None:
    """TRAP E. Broken: a checkpoint as a group's offset is dropped after a week without events, and the relay starts
    again: everything that it holds is published again."""
    sources = [path.read_text("utf-8") for path in sorted((ROOT / "relay" / "sinks" / "kafka").glob("*.py"))]
    assert sources
    assert not [source for source in sources if "send_offsets_to_transaction" in source or "group_id" in source]
