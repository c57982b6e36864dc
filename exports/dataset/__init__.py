"""The repository folder of a dataset: what it holds, how it is built, read, verified and compared."""
