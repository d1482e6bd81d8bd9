"""The child: the background process of a session. It owns queue and engines, and never unpickles a payload."""
