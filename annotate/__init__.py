"""Photos to accepted masks: catalogue, segmenters, proposals, freeze."""
