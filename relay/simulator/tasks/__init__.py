"""The task half of the upstream: submissions, results, outputs, and the webhooks that follow."""
