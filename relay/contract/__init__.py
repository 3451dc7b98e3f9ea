"""The machine-readable contract: the schemas of the events' data, and the descriptions of the surfaces around them.

Pure: each document is made from the code that does what it describes, and read back by the official parsers in tests.
"""

from relay.contract.asyncapi import asyncapi
from relay.contract.openapi import openapi
from relay.contract.schemas import rendered, schemas

__all__ = ["asyncapi", "openapi", "rendered", "schemas"]
