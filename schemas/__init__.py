"""The nouns that annotate, build and exports share: photos, masks, classes, records, recipes, the workspace."""
