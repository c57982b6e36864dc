"""Looking at a dataset in a browser of this machine, straight from its shards."""
