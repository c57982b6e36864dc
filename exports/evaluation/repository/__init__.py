"""The files of a dataset: which shards a config has, whether they are the manifest's, and how the Hub gives them."""
