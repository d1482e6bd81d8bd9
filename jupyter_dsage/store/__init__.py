"""What a session keeps on disk: its journal, and where it is found again. Used by child and client."""
