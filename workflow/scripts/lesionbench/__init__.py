"""Lesionbench: train and compare segmentation models of COVID-19 lesions on chest CT."""

__version__ = "0.1.0"
