"""The consumer API under ``/v1``, one file per route; the probes; the documents of the contract."""
