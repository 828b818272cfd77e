"""edgeroute: an LLM edge router. Importing the package loads no native code."""

__version__ = "0.1.0"
