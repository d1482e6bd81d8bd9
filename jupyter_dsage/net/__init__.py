"""Moving frames between processes. Nothing above this floor knows which transport carries them."""
