"""Weitiao (微调) adapts a language model to your task, and proves that it did."""

__version__ = "0.1.0"
