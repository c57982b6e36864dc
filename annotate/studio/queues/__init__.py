"""The order of each project's photos, where annotators are in it, and what is made ahead for them."""
