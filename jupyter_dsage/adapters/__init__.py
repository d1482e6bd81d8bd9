"""Adapters: the processes that stand between a child and the scheduler of somebody else (Dask, Ray)."""
