"""How the interactive SAM is served: by which names, and how it ends."""
