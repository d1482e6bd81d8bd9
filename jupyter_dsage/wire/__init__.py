"""Bytes and what they mean: messages, their codec, and payloads. No sockets."""
