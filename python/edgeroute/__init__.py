"""edgeroute: an LLM edge router. Importing the package loads no native code."""

__all__ = ["__version__"]

__version__ = "0.1.0"
