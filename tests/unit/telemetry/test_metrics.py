from __future__ import annotations

from relay.telemetry.metrics import Histogram


def test_a_histogram_counts_each_value_into_its_bucket() -> None:
    """Percentiles would be wrong, above all at the borders and beyond the last one."""
    histogram = Histogram("x_seconds", "x", (1.0, 2.0), "kind")
    for value in (0.5, 1.0, 1.5, 2.0, 99.0):
        histogram.series("a").observe(value)
    histogram.series("b")
    [family] = histogram.collect()
    assert [(s.labels.get("le"), s.value) for s in family.samples if s.labels["kind"] == "a"] == [
        ("1.0", 2.0),
        ("2.0", 4.0),
        ("+Inf", 5.0),
        (None, 5.0),
        (None, 104.0),
    ]
    assert histogram.series("a") is histogram.series("a")
