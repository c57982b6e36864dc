"""The plan of a build, made before any pixel: which rows there are, and whose pixels each takes."""
