"""Engines: what a URL names, a place that has slots. One file each."""
