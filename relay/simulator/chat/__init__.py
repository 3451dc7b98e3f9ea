"""The conversations' half of the upstream: requests, answers, their bytes, and what was seen of clients.

``routes`` is the only module that does I/O. The others turn a request and its random numbers into an ``Answer``: one of
``apis`` reads the request, ``behaviour`` says how it is answered, ``reply`` makes it up, the API writes it down, and
``delivery`` cuts it into what goes over the wire and when.
"""
