"""How this installation, this machine and a workspace do, and what to type next."""
