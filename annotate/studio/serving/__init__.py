"""How the interactive SAM is served: what a request may take, and when it ends."""
