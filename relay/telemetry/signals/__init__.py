"""What each part of relay reports: past-tense calls, one file per part, each with the metrics that it moves."""
