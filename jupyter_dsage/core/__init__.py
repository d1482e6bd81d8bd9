"""The deciding part: pure state, no I/O, no clock, no randomness, no threads, no logging.

Facts go in (`events`), orders come out (`commands`); `scheduler.Scheduler` is the door.
"""
