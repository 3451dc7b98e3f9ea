"""What each part of the relay reports: past-tense calls, one file per part, each with the metrics that it moves."""
