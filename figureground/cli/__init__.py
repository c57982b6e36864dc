"""The command line: one module a verb or group of verbs."""
