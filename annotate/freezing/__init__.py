"""What a release must be before it is frozen: a policy, the votes on each object, and the judgement of both."""
