"""Scatter/gather computing from notebooks: a cell becomes a batch of jobs, and the cell returns at once."""
