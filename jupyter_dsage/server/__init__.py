"""The extension of the Jupyter server: sessions of this user over REST and WebSocket, with the operator's role."""
