"""What ``--json`` of each verb prints: a shape each, from which docs/json is written; tests hold verbs to them."""
