"""dcsim: requests, batches, watts and breakers of an LLM inference site in one event loop."""

__version__ = "0.1.0"
