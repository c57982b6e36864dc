"""Label Studio: run one, send tasks with proposals, fetch corrections, serve interactive SAM."""
